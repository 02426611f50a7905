/** `paster control`: what it does to a running server, and what it prints. */
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../helpers/directory.ts';
import { beforeSuite } from '../helpers/programs/lifetime.ts';
import { eventually, type Program, paster, ROOT, serve } from '../helpers/programs/program.ts';
import { atTerminal, shown } from '../helpers/programs/terminal.ts';
import { ask } from '../helpers/requests/ask.ts';

const APP = `import { existsSync } from 'node:fs';
function spin() {
  while (!existsSync('go'));
}
export default (req, res) => {
  if (req.url === '/held') res.write('held');
  else if (req.url.startsWith('/block')) {
    spin();
    res.end('unblocked');
  }
  else res.end(String(process.pid));
};
`;
const INI = '[app:main]\nuse = module:../app.js\n[server:main]\nuse = npm:paster#http\nport = 0\n';

/** Requests over a new connection. */
const bodyOf = async (url: string) => String((await ask(url, '/')).body);

async function served(...args: string[]) {
  const cwd = temporaryDirectory({ 'app.js': APP, 'package.json': '{"type": "module"}', 'etc/x.ini': INI });
  const env = { XDG_RUNTIME_DIR: cwd, TMPDIR: cwd };
  const program = await serve(['etc/x.ini', ...args], { cwd, env });
  const control = (...words: string[]) => paster(['control', 'etc/x.ini', ...words], { cwd, env }).finished();
  const typed = (input: string, ...words: string[]) =>
    paster(['control', 'etc/x.ini', ...words], { cwd, env, input }).finished();
  return { cwd, env, program, control, typed };
}

test('reloads a server with workers, sets their number, replaces them, lists requests, and stops', async () => {
  const { cwd, program, control } = await served('-w', '2');
  expect(await control('workers', '+1')).toMatchObject({ status: 0, stdout: '3 workers\n' });
  expect(await control('workers', '-2')).toMatchObject({ status: 0, stdout: '1 worker\n' });
  expect(await control('workers', '-1')).toMatchObject({ status: 0, stdout: '1 worker\n' });

  const pid = await bodyOf(program.url);
  const replaced = await control('replace', pid);
  expect(replaced.stdout).toMatch(new RegExp(`^worker ${pid} is replaced by \\d+\n$`));
  const [, successor] = /by (\d+)/.exec(replaced.stdout) ?? [];
  expect(await bodyOf(program.url)).toBe(successor);
  expect(await control('replace', pid)).toMatchObject({
    status: 1,
    stderr: `paster: process ${pid} is not a worker of server ${program.pid} (workers: ${successor})\n`,
  });

  const leave = new AbortController();
  expect((await control('requests')).stdout).toBe('no request in flight\n');
  await fetch(`${program.url}/held`, { signal: leave.signal });
  expect((await control('requests')).stdout).toMatch(
    new RegExp(`^GET /held, for [\\d.]+ s, from 127\\.0\\.0\\.1, worker ${successor}\n$`),
  );
  leave.abort();

  writeFileSync(join(cwd, 'app.js'), 'export default (req, res) => res.end("new");\n');
  const reloaded = await control('reload');
  expect(reloaded).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^reloaded: 1 worker of the new version/),
  });
  expect(await bodyOf(program.url)).toBe('new');
  writeFileSync(join(cwd, 'app.js'), 'export default (req, res) => {\n');
  const failed = await control('reload');
  expect(failed.status).toBe(1);
  expect(failed.stderr).toMatch(/^paster: not reloaded: .*app\.js/);
  expect(await bodyOf(program.url)).toBe('new');

  expect(await control('stop')).toMatchObject({ status: 0, stdout: `Server in PID ${program.pid} stopped\n` });
  await program.finished();
  expect(await control('stop')).toMatchObject({ status: 1, stderr: expect.stringContaining('no server of etc/x.ini') });
});

test('controls one process without workers, and several servers of a file', async () => {
  const { cwd, env, program, control } = await served();
  expect(await control('reload')).toMatchObject({
    status: 1,
    stderr: expect.stringMatching(
      /^paster: reload: server \d+ is one process without workers \(set workers = 1 or more/,
    ),
  });
  const other = await serve(['etc/x.ini'], { cwd, env });
  const several = await control('stop');
  expect(several.status).toBe(1);
  expect(several.stderr).toContain(`--pid ${other.pid}`);
  expect(await control('stop', '--pid', String(other.pid))).toMatchObject({ status: 0 });
  await other.finished();
  await fetch(`${program.url}/held`);
  expect((await control('requests')).stdout).toMatch(/^GET \/held/);
  expect(await bodyOf(program.url)).toBe(String(program.pid));
});

test('takes a CPU profile and a heap snapshot, opens a prompt, and finds where a worker is blocked', async () => {
  const { cwd, program, control, typed } = await served('-w', '1');
  const pid = await bodyOf(program.url);
  let isOver = false;
  const failed: unknown[] = [];
  const load = (async () => {
    while (!isOver) await bodyOf(program.url).catch((error) => failed.push(error));
  })();
  const profiled = await control('profile', pid, '--seconds', '0.5', '-o', 'one.cpuprofile');
  expect(profiled).toMatchObject({ status: 0, stdout: 'one.cpuprofile\n' });
  const { nodes, samples } = JSON.parse(readFileSync(join(cwd, 'one.cpuprofile'), 'utf8'));
  expect([nodes.length > 0, samples.length > 0]).toEqual([true, true]);
  expect(statSync(join(cwd, 'one.cpuprofile')).mode & 0o777).toBe(0o600);
  // Neither an existing file nor the target of a link is overwritten.
  symlinkSync(join(cwd, 'elsewhere'), join(cwd, 'link'));
  for (const file of ['one.cpuprofile', 'link']) {
    expect(await control('heap', pid, '-o', file)).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(new RegExp(`^paster: control: cannot write ${file}: `)),
    });
  }
  expect(existsSync(join(cwd, 'elsewhere'))).toBe(false);
  const snapped = await control('heap', pid);
  expect(snapped.stdout).toMatch(new RegExp(`^heap-${pid}-[\\dT]+\\.heapsnapshot\n$`));
  const snapshot = JSON.parse(readFileSync(join(cwd, snapped.stdout.trim()), 'utf8'));
  expect(snapshot.strings).toContain('spin');
  isOver = true;
  await load;
  expect(failed).toEqual([]);

  const lines = "1 + 1\nprocess.pid\n({ a: [1] })\nawait Promise.resolve('text')\nthrow new RangeError('no')\n";
  expect((await typed(lines, 'repl', pid)).stdout).toMatch(
    new RegExp(`^2\n${pid}\n\\{ a: \\[ 1 \\] \\}\n"text"\nUncaught RangeError: no\n`),
  );

  const blocked = ask(program.url, '/block?token=secret');
  const worker = await eventually(async () => {
    const { stdout } = await control('requests');
    return stdout.includes('blocked') && stdout;
  });
  writeFileSync(join(cwd, 'go'), '');
  expect(worker).toMatch(/^GET \/block\?token=\*+, for [\d.]+ s, from 127\.0\.0\.1, worker \d+\n/);
  expect(worker).toMatch(/^ {2}at spin \(\/.*\/app\.js:3:\d+\)$/m);
  expect(String((await blocked).body)).toBe('unblocked');
});

test('profile, heap and repl find one process without workers by its PID', async () => {
  const { cwd, program, control, typed } = await served();
  const pid = String(program.pid);
  expect((await control('profile', pid, '--seconds', '0.1', '-o', 'x')).status).toBe(0);
  expect(JSON.parse(readFileSync(join(cwd, 'x'), 'utf8')).nodes.length).toBeGreaterThan(0);
  expect((await typed('6 * 7', 'repl', pid)).stdout).toBe('42\n');
  expect((await control('heap', '1')).stderr).toContain(`process 1 is not server ${pid}, which has no workers`);
});

test('top shows the table of status at a terminal, until q', async () => {
  const { cwd, env, program, control } = await served('-w', '1');
  const pid = await bodyOf(program.url);
  const top = atTerminal(['control', 'etc/x.ini', 'top'], { cwd, env });
  await top.says(/[\d.]+ requests\/s, \d+ in flight, [\d.]+ refused\/s/);
  expect(shown(top.output)).toMatch(new RegExp(`^${pid} +ready`, 'm'));
  top.type('q');
  const { status, stdout } = await top.finished();
  // The terminal is in its previous state.
  expect([status, stdout.endsWith('\x1b[?7h\x1b[?25h\x1b[?1049l')]).toEqual([0, true]);
  expect(await control('top')).toMatchObject({ status: 2, stderr: expect.stringContaining('top needs a terminal') });
});

describe('an error in the command line', () => {
  let server: Awaited<ReturnType<typeof served>>;
  beforeSuite(async () => {
    server = await served();
  });

  test.each([
    [['reload', '--seconds', '4'], 'control: reload takes no --seconds'],
    [['profile', '4711', '--seconds', 'long'], 'control: --seconds: "long" is not a number of seconds'],
    [[], 'control: the action is missing (there are: reload, workers,'],
    [['relaod'], 'control: unknown action "relaod" (did you mean "reload"?)'],
    [['workers'], 'control: workers needs +1, -1 or a number'],
    [['workers', 'many'], 'control: workers: "many" is not a number of workers (allowed: +1, -1, 4)'],
    [['workers', '0'], 'control: workers: a server has at least one (stop ends it;'],
    [['replace', '-4'], 'control: "-4" is not a PID'],
    [['reload', 'now'], 'control: reload takes no argument, but got "now"'],
  ])('control %j', async (words, message) => {
    const { status, stderr } = await server.control(...words);
    expect(stderr).toContain(`paster: ${message}`);
    expect(status).toBe(2);
    expect((await ask(server.program.url, '/')).status).toBe(200);
  });
});

const LOGGING_APP = `import { getLogger } from 'paster';
const log = getLogger('shop');
export default (req, res) => {
  log.warn('low stock of %s', req.url);
  log.info('shown');
  log.debug('hidden');
  if (req.url === '/throw') log.exception('cannot pay', new Error('no money'));
  process.stdout.write('prin');
  process.stdout.write('ted\\x1b[1m\\n');
  process.stderr.write(Buffer.from('warned\\n'));
  if (req.url === '/many') for (let i = 0; i < 30_000; i++) log.info('line %d', i);
  res.end('ok');
};
`;
const LOGGING_INI = `${INI}
[loggers]
keys = root
[logger_root]
level = INFO
handlers = console
[handlers]
keys = console
[handler_console]
class = StreamHandler
args = (sys.stderr,)
[formatters]
keys =
`;

for (const workers of [[], ['-w', '2']]) {
  test(`logs -f: records and printed lines ${workers.length > 0 ? 'of all workers' : 'of one process'}`, async () => {
    const cwd = temporaryDirectory({
      'app.js': LOGGING_APP,
      'package.json': '{"type": "module"}',
      'etc/x.ini': LOGGING_INI,
    });
    mkdirSync(join(cwd, 'node_modules'));
    symlinkSync(ROOT, join(cwd, 'node_modules/paster'));
    const env = { XDG_RUNTIME_DIR: cwd, TMPDIR: cwd };
    const program = await serve(['etc/x.ini', ...workers], { cwd, env });
    const follow = (...words: string[]) => paster(['control', 'etc/x.ini', 'logs', ...words], { cwd, env });
    expect(await follow().finished()).toMatchObject({ status: 2, stderr: expect.stringContaining('write logs -f') });
    expect(await follow('-f', '--level', 'loud').finished()).toMatchObject({
      status: 2,
      stderr:
        'paster: control: --level: "loud" is not a log level (there are: debug, info, warning, error, critical)\n',
    });
    // A follower that has printed something is connected.
    const begins = async (follower: Program, shown: string) => {
      await eventually(async () => {
        await bodyOf(program.url);
        return follower.stdout.includes(shown);
      });
      return follower;
    };
    const all = await begins(follow('-f'), 'low stock');
    // If `some` came first, `all` could begin with the second half of the lines of a request.
    const some = await begins(follow('-f', '--level', 'error'), 'stderr: warned');
    await ask(program.url, '/throw');
    await eventually(() => all.stdout.includes('no money') && some.stdout.includes('no money'));
    await eventually(() => all.stdout.split('stderr: warned').length === all.stdout.split('low stock').length);
    const line = /^[\d-]{10} [\d:]{8},\d{3} \d+ /.source;
    const shown = all.stdout.split('\n');
    expect(
      shown
        .filter((each) => /low stock/.test(each))
        .every((each) => new RegExp(`${line}WARNING shop: low stock of /`).test(each)),
    ).toBe(true);
    expect(all.stdout).toMatch(new RegExp(`${line}INFO shop: shown$`, 'm'));
    expect(all.stdout).toMatch(new RegExp(`${line}stdout: printed\\\\x1b\\[1m$`, 'm'));
    expect(all.stdout).toMatch(/ERROR shop: cannot pay\nError: no money\n {4}at /);
    // Records that a handler writes to the console are not shown a second time, and --level shows no record below the logger's own level.
    expect(all.stdout).not.toMatch(/std(?:out|err): (?:shown|low)|hidden/);
    expect(some.stdout).not.toMatch(/WARNING|INFO|stdout/);

    const before = all.stdout.length;
    await ask(program.url, '/many');
    await eventually(() => /line 29999|lines are left out/.test(all.stdout.slice(before)));
    program.kill('SIGTERM');
    expect(await all.finished()).toMatchObject({ status: 0, stderr: '' });
    expect((await some.finished()).status).toBe(0);
  });
}
