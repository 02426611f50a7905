/** `paster check --as-user`: its findings match what connections of that user really do. */
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, renameSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { accessTo, identityOf } from '../../../src/commands/configuration/web-server-access.ts';
import { checkFile } from '../../../src/deploy/check/check.ts';
import { formatError } from '../../../src/errors.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import {
  type Finished,
  Program,
  paster,
  ROOT,
  requireProgram,
  requireRoot,
  serve,
} from '../../helpers/programs/program.ts';

const APP = '[app:main]\nuse = npm:paster#test\n';
const SETPRIV = requireProgram('setpriv');
const SETFACL = requireProgram('setfacl');

function project(server: string): string {
  const directory = temporaryDirectory({
    'x.ini': `${APP}[server:main]\n${server}\n`,
    'server.js': 'exports.make = () => () => {};\nexports.run = () => {};\n',
  });
  chmodSync(directory, 0o755);
  mkdirSync(join(directory, 'run'));
  return directory;
}

function check(cwd: string, user: string): Promise<Finished> {
  return paster(['check', 'x.ini', '--as-user', user], { cwd }).finished();
}

/** The same for a built-in server in this process: starting the command takes two processes, and most of these tests need it twice. A test compares them. */
async function checkHere(cwd: string, user: string): Promise<Pick<Finished, 'status' | 'stdout'>> {
  const who = identityOf(user);
  const sentences: string[] = [];
  const found = await checkFile(
    join(cwd, 'x.ini'),
    {},
    {
      onServer(server, settings) {
        const access = accessTo(server, settings, who);
        sentences.push(...access.sentences);
        return access.obstacles;
      },
    },
  );
  const errors = found.map(({ error }) => formatError(error, cwd));
  const lines = [...errors, ...sentences, ...(found.length === 0 ? ['x.ini: ok'] : [])];
  return { status: found.length === 0 ? 0 : 2, stdout: lines.map((line) => `${line}\n`).join('') };
}

test('a user that does not exist is an error', async () => {
  const { status, stderr } = await check(project('use = npm:paster#http'), 'no-such-user');
  expect([status, stderr]).toEqual([2, 'paster: there is no user "no-such-user"\n']);
});

describe.runIf(requireRoot() && SETPRIV !== undefined)('as root', () => {
  const id = (option: string, name: string) => Number(execFileSync('id', [option, name], { encoding: 'utf8' }));
  // Functions, because the body of a skipped suite is evaluated too, and the user may not exist there.
  const uid = () => id('-u', 'www-data');
  const gid = () => id('-g', 'www-data');

  /** Whether the user can really connect. */
  async function connects(path: string, user: string): Promise<boolean> {
    const script = `require('net').connect(${JSON.stringify(path)}).on('connect', () => process.exit(0)).on('error', () => process.exit(1))`;
    const groups = execFileSync('id', ['-G', user], { encoding: 'utf8' }).trim().replaceAll(' ', ',');
    const as = [`--reuid=${id('-u', user)}`, `--regid=${id('-g', user)}`, `--groups=${groups}`];
    const program = new Program(SETPRIV ?? '', [...as, process.execPath, '-e', script], { cwd: '/' });
    return (await program.finished()).status === 0;
  }

  const closed = (run: string): void => chmodSync(run, 0o700);
  const CASES: readonly [
    what: string,
    settings: string,
    prepare: (run: string) => void,
    suggestion: RegExp | undefined,
  ][] = [
    ['the default mode', '', () => {}, /\(socket_group = www-data\)$/],
    ['a socket of its group', 'socket_group = www-data', () => {}, undefined],
    ['a socket of its own', 'socket_owner = www-data', () => {}, undefined],
    ['all users', 'mode = 666', () => {}, undefined],
    ['a umask', 'umask = 000', () => {}, undefined],
    ['a user outside the group', 'mode = 600\nsocket_group = www-data', () => {}, /\(mode = 660\)$/],
    ['an owner without write permission', 'mode = 060\nsocket_owner = www-data', () => {}, /\(mode = 660\)$/],
    [
      'a closed directory',
      'mode = 666',
      closed,
      /may not enter the directory .*run \(of root:root .*700\) \(chmod o\+x /,
    ],
    [
      'a directory that its group may not enter',
      'mode = 666',
      (run) => {
        chownSync(run, 0, gid());
        chmodSync(run, 0o707);
      },
      /\(chmod g\+x \S+run, or setfacl -m u:www-data:x /,
    ],
    [
      'its own directory without permission to enter',
      'mode = 666',
      (run) => {
        chownSync(run, uid(), 0);
        chmodSync(run, 0o077);
      },
      /\(chmod u\+x \S+run\)$/,
    ],
    [
      'a setgid directory',
      '',
      (run) => {
        chownSync(run, 0, gid());
        chmodSync(run, 0o2750);
      },
      undefined,
    ],
    [
      'a link to such a directory',
      '',
      (run) => {
        renameSync(run, `${run}-there`);
        symlinkSync(`${run}-there`, run);
        chownSync(run, 0, gid());
        chmodSync(run, 0o2750);
      },
      undefined,
    ],
  ];

  test.each(CASES)('the findings match a connection: %s', async (_what, settings, prepare, suggestion) => {
    const cwd = project(`use = npm:paster#fastcgi\nsocket = %(here)s/run/app.sock\n${settings}`);
    const run = join(cwd, 'run');
    prepare(run);
    const before = await checkHere(cwd, 'www-data');
    await serve(['x.ini'], { cwd });
    const after = await checkHere(cwd, 'www-data');
    const isOpen = await connects(join(run, 'app.sock'), 'www-data');

    expect([before.status, isOpen], before.stdout).toEqual(suggestion ? [2, false] : [0, true]);
    expect(after).toEqual(before);
    const [first = '', ...rest] = before.stdout.trim().split('\n');
    if (suggestion) {
      expect(first).toMatch(/^x\.ini:5:1: \[server:main\] www-data may not /);
      expect(first).toMatch(suggestion);
    } else {
      expect(first).toBe(`[server:main] www-data can connect to fastcgi://unix:${join(run, 'app.sock')}`);
      expect(rest).toEqual(['x.ini: ok']);
    }
  });

  test.each(['mode = 660', 'mode = 666'])('the command prints the findings: %s', async (mode) => {
    const cwd = project(`use = npm:paster#fastcgi\nsocket = %(here)s/run/app.sock\n${mode}`);
    expect(await check(cwd, 'www-data')).toEqual({ ...(await checkHere(cwd, 'www-data')), stderr: '' });
  });

  test('the commands that it suggests help', async () => {
    const cwd = project('use = npm:paster#scgi\nsocket = %(here)s/run/a/app.sock\nmode = 666');
    mkdirSync(join(cwd, 'run/a'));
    chmodSync(join(cwd, 'run'), 0o700);
    chmodSync(join(cwd, 'run/a'), 0o700);
    const { stdout } = await checkHere(cwd, 'nobody');
    const suggestions = [...stdout.matchAll(/\((chmod o\+x \S+),/g)].map(([, suggestion = '']) => suggestion);
    expect(suggestions).toHaveLength(2);
    for (const suggestion of suggestions) execFileSync('sh', ['-c', suggestion]);
    expect((await checkHere(cwd, 'nobody')).status).toBe(0);
    await serve(['x.ini'], { cwd });
    expect(await connects(join(cwd, 'run/a/app.sock'), 'nobody')).toBe(true);
  });

  test('symbolic links on the path are followed', async () => {
    const cwd = project('use = npm:paster#http\nsocket = %(here)s/link/app.sock\nmode = 666');
    mkdirSync(join(cwd, 'run/deep'));
    symlinkSync('run/../run/deep', join(cwd, 'link'));
    expect((await checkHere(cwd, 'nobody')).status).toBe(0);
    chmodSync(join(cwd, 'run'), 0o700);
    expect((await checkHere(cwd, 'nobody')).stdout).toMatch(/may not enter the directory \S+\/run \(/);
    await serve(['x.ini'], { cwd });
    expect(await connects(join(cwd, 'link/app.sock'), 'nobody')).toBe(false);
  });

  test.runIf(SETFACL !== undefined)('access control lists count', async () => {
    const cwd = project('use = npm:paster#http\nsocket = %(here)s/run/app.sock\nmode = 666');
    const run = join(cwd, 'run');
    const path = join(run, 'app.sock');
    chmodSync(run, 0o700);
    await serve(['x.ini'], { cwd });
    for (const [entry, isOpen] of [
      ['u:www-data:x', true],
      ['u:www-data:-', false],
      ['g:www-data:x', false],
      ['m::-', false],
    ] as const) {
      execFileSync(SETFACL ?? '', ['-m', entry, run]);
      expect([entry, (await checkHere(cwd, 'www-data')).status === 0]).toEqual([entry, isOpen]);
      expect([entry, await connects(path, 'www-data')]).toEqual([entry, isOpen]);
    }
    execFileSync(SETFACL ?? '', ['-b', run]);
    execFileSync(SETFACL ?? '', ['-m', 'g:www-data:x', run]);
    expect((await checkHere(cwd, 'www-data')).status).toBe(0);
    expect(await connects(path, 'www-data')).toBe(true);
  });

  test('a directory that the user of check cannot search is reported with the other obstacles', async () => {
    const cwd = project('use = npm:paster#http\nsocket = %(here)s/run/app.sock\nmode = 666');
    chmodSync(join(cwd, 'run'), 0o700);
    const asNobody = [`--reuid=${id('-u', 'nobody')}`, `--regid=${id('-g', 'nobody')}`, '--clear-groups'];
    const args = [process.execPath, join(ROOT, 'bin/paster.js'), 'check', 'x.ini', '--as-user', 'www-data'];
    const { status, stdout, stderr } = await new Program(SETPRIV ?? '', [...asNobody, ...args], { cwd }).finished();
    expect([status, stderr]).toEqual([2, '']);
    expect(stdout.trim().split('\n')).toEqual([
      expect.stringMatching(
        / www-data may not enter the directory \S+run \(of root:root with mode 700\) \(chmod o\+x /,
      ),
      expect.stringMatching(/ \S+\/run cannot be examined: EACCES.*\(run this command as root\)$/),
    ]);
  });

  test('a directory that does not exist is reported', async () => {
    const cwd = project('use = npm:paster#http\nsocket = %(here)s/nowhere/app.sock');
    const { status, stdout } = await checkHere(cwd, 'nobody');
    expect([status, stdout]).toEqual([2, expect.stringMatching(/the directory \S+nowhere does not exist \(mkdir -p /)]);
  });
});

test.each([
  ['use = npm:paster#fastcgi\nlisten = fd:0', 0, '[server:main] not checked: another program opens fastcgi://fd:0'],
  [
    'paste.server_factory = ./server.js:make',
    0,
    '[server:main] not checked: paster does not know how this server uses its address',
  ],
  [
    'paste.server_runner = ./server.js:run',
    0,
    '[server:main] not checked: paster does not know how this server uses its address',
  ],
  ['use = npm:paster#http\nport = 8080', 0, '[server:main] nobody can connect to http://127.0.0.1:8080'],
  [
    'use = npm:paster#fastcgi\nhost = 0.0.0.0\nport = 9000\nallow = 10.0.0.5 10.1.0.0/16',
    0,
    '[server:main] nobody can connect to fastcgi://0.0.0.0:9000 from 10.0.0.5/32, 10.1.0.0/16',
  ],
  [
    'use = npm:paster#fastcgi\nhost = 127.0.0.1\nport = 9000\nallow = 10.0.0.5',
    2,
    'x.ini:7:1: [server:main] allow keeps nobody out of 127.0.0.1:9000: a web server on this machine comes from 127.0.0.1 (add 127.0.0.1 to allow)',
  ],
])('%j', async (server, status, line) => {
  const finished = await check(project(server), 'nobody');
  expect([finished.status, finished.stdout.split('\n')[0]]).toEqual([status, line]);
});
