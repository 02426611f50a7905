/** Which servers are served together, and why some cannot be: `check` and `serve` report the same errors. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkFile } from '../../src/deploy/check/check.ts';
import { compositionOf, compositionTree } from '../../src/deploy/inspect/composition.ts';
import { LoadSession } from '../../src/deploy/session.ts';
import { ErrorList, formatError, PasterError } from '../../src/errors.ts';
import { loadPlannedServers, planOf } from '../../src/serve/plan.ts';
import { temporaryDirectory } from '../helpers/directory.ts';

const APP = '[app:main]\nuse = npm:paster#test\n';
const WEB = '[server:web]\nuse = npm:paster#fastcgi\nsocket = web.sock\n';
const LIVE = '[server:live]\nuse = npm:paster#http\nport = 8090\n';

function file(text: string): string {
  return join(temporaryDirectory({ 'x.ini': text }), 'x.ini');
}

async function load(path: string, options: Parameters<typeof planOf>[3] = {}) {
  const session = new LoadSession();
  return loadPlannedServers(await planOf(path, {}, join(path, '..'), options), session);
}

/** The first line of the error, without the directory. */
async function failureOf(work: () => Promise<unknown>, path: string): Promise<string> {
  try {
    await work();
  } catch (error) {
    const [first] = error instanceof ErrorList ? error.errors : [error];
    if (first instanceof PasterError) return formatError(first, join(path, '..'));
    throw error;
  }
  throw new Error('no error');
}

describe('which servers are served', () => {
  it.each([
    ['those of [paster]', '[paster]\nserve = web, live\n', [], ['web', 'live']],
    ['on several lines', '[paster]\nserve =\n  live\n  web\n', [], ['live', 'web']],
    ['interpolated', '[DEFAULT]\nfirst = web\n[paster]\nserve = %(first)s live\n', [], ['web', 'live']],
    ['those of the command line override the file', '[paster]\nserve = web, live\n', ['live'], ['live']],
    ['main', '[server:main]\nuse = npm:paster#http\n', [], ['main']],
    ['the section [server]', '[server]\nuse = npm:paster#http\n', [], ['main']],
  ])('%s', async (_what, text, serverNames, expected) => {
    const servers = await load(file(`${text}${APP}${WEB}${LIVE}`), { serverNames });
    expect(servers.map(({ name }) => name)).toEqual(expected);
  });

  it('gives the options of an address, and --https, to the only HTTP server', async () => {
    const path = file(`[paster]\nserve = web live\n${APP}${WEB}${LIVE}`);
    const servers = await load(path, { overrides: { port: '8091', workers: '3' } });
    expect(servers.map(({ server }) => server.addresses)).toEqual([
      [{ kind: 'unix', path: join(path, '../web.sock') }],
      [{ kind: 'tcp', host: '127.0.0.1', port: 8091 }],
    ]);
    expect(servers.map(({ server }) => server.workers)).toEqual([3, 3]);
  });
});

const TOGETHER = `[paster]\nserve = web, live\n${APP}`;

describe('check and serve report', () => {
  it.each([
    [
      'an unknown name',
      `[paster]\nserve = web, liev\n${APP}${WEB}${LIVE}`,
      'x.ini:2:14: there is no section [server:liev] (did you mean [server:live]?)',
    ],
    ['a repeated name', `[paster]\nserve = web, web\n${APP}${WEB}`, 'x.ini:2:9: [paster] serve: it names web twice'],
    ['no name', `[paster]\nserve =\n${APP}${WEB}`, 'x.ini:2:1: [paster] serve: it names no server'],
    [
      'an unknown setting',
      `[paster]\nsevre = web\n${APP}${WEB}`,
      'x.ini:2:1: [paster] unknown setting "sevre" (did you mean "serve"?)',
    ],
    [
      'another number of workers',
      `${TOGETHER}${WEB}workers = 2\n${LIVE}workers = 4\n`,
      'x.ini:12:1: [server:live] workers: the servers have the same processes, and [server:web] configures these (write it in [server:web], and leave it out here)',
    ],
    [
      'a setting that the first section leaves out',
      `${TOGETHER}${WEB}${LIVE}graceful_timeout = 5\n`,
      'x.ini:11:1: [server:live] graceful_timeout: the servers have the same processes, and [server:web] configures these',
    ],
    ['its alias', `${TOGETHER}${WEB}${LIVE}maxRequests = 5\n`, 'x.ini:11:1: [server:live] maxRequests: the servers'],
    ['variables', `${TOGETHER}${WEB}${LIVE}environment = A=1\n`, 'x.ini:11:1: [server:live] environment: the servers'],
    [
      'the same address',
      `${TOGETHER}${LIVE.replace('live', 'web')}${LIVE}`,
      'x.ini:10:1: [server:live] 127.0.0.1:8090: [server:web] listens there already (give each server an address of its own)',
    ],
    [
      'an address that includes the other',
      `${TOGETHER}${LIVE.replace('live', 'web')}${LIVE}host = 0.0.0.0\n`,
      'x.ini:10:1: [server:live] 0.0.0.0:8090: [server:web] listens there already',
    ],
    [
      'another name of the address',
      `${TOGETHER}${LIVE.replace('live', 'web')}${LIVE}host = localhost\n`,
      'x.ini:10:1: [server:live] localhost:8090: [server:web] listens there already',
    ],
    [
      'the same socket',
      `${TOGETHER}${WEB}${WEB.replace('web]', 'live]').replace('web.', './web.')}`,
      'web.sock: [server:web] listens there already',
    ],
    [
      'a CGI server',
      `${TOGETHER}${WEB}[server:live]\nuse = npm:paster#cgi\n`,
      'x.ini:8:1: [server:live] cgi serves one request and ends: it cannot be served together with others',
    ],
  ])('%s', async (_what, text, expected) => {
    const path = file(text);
    const found = await checkFile(path, {});
    const errors = found
      .filter(({ severity }) => severity === 'error')
      .map(({ error }) => formatError(error, join(path, '..')));
    expect(errors).toEqual([expect.stringContaining(expected)]);
    expect(await failureOf(() => load(path), path)).toBe(errors[0]);
  });

  it.each([
    ['equal settings', `${TOGETHER}${WEB}workers = 2\n${LIVE}workers = 2\n`],
    ['different settings of each socket', `${TOGETHER}${WEB}mode = 666\nbacklog = 10\n${LIVE}backlog = 20\n`],
    [
      'workers that a name of flup implies',
      `${TOGETHER}${LIVE.replace('live', 'web')}[server:live]\nuse = egg:Flup#fcgi_fork\nsocket = a.sock\n`,
    ],
  ])('nothing for %s', async (_what, text) => {
    const path = file(text);
    expect((await checkFile(path, {})).filter(({ severity }) => severity === 'error')).toEqual([]);
    expect(await load(path)).toHaveLength(2);
  });

  it('only servers that are not served as unused', async () => {
    const found = await checkFile(file(`[paster]\nserve = live\n${APP}${WEB}${LIVE}`), {});
    expect(found.map(({ error }) => error.message)).toEqual([
      '[server:web] is not used: to serve it too, write serve = live, web in [paster]',
    ]);
  });

  it.each([
    [{ port: '1' }, '--port'],
    [{ socket: 'x' }, '--socket'],
    [{ ssl_pem: 'x' }, '--https'],
  ])('an option %s that could apply to several servers', async (overrides, option) => {
    const path = file(`${TOGETHER}${LIVE.replace('live', 'web')}${LIVE.replace('8090', '8091')}`);
    await expect(load(path, { overrides })).rejects.toThrow(`serve: ${option} is ambiguous with several servers`);
  });

  it('an option that names a server twice', async () => {
    const path = file(`${APP}${WEB}${LIVE}`);
    await expect(load(path, { serverNames: ['web', 'web'] })).rejects.toThrow('--server-name: web is named twice');
  });
});

it('config --tree shows all servers above the application', async () => {
  const path = file(`${TOGETHER}${WEB}${LIVE}`);
  const tree = compositionTree(await compositionOf(path, {}, new LoadSession()), { settings: false });
  const lines = tree.split('\n').map((line) => line.replace(/ {2,}\S*$/, ''));
  expect(lines).toEqual([
    '[server:web] npm:paster#fastcgi',
    '[server:live] npm:paster#http',
    '└─ [app:main] npm:paster#test',
  ]);
});
