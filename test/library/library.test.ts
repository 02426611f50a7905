/** The public exports, used like another program's own code and tests would use them. */
import { once } from 'node:events';
import { symlinkSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createNetServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  type Address,
  type App,
  appConfig,
  ConfigError,
  ErrorList,
  loadApp,
  loadFilter,
  loadServer,
  PasterError,
  parseIni,
  RunError,
} from '../../src/index.ts';
import { temporaryDirectory, writeFiles } from '../helpers/directory.ts';

const FILES = {
  'package.json': '{"type": "module"}',
  'app.js': `export const makeApp = ({ greeting }, { name = 'World' }) => (req, res) => res.end(greeting + ' ' + name);
export const makeTag = (globalConf, { tag }) => (app) => (req, res) => {
  res.setHeader('x-tag', tag);
  return app(req, res);
};
export const fail = () => { throw new TypeError('no database'); };
export const makeTyped = () => () => {};
makeTyped.settings = { '~standard': { version: 1, vendor: 'x', validate: () => ({ issues: [
  { message: 'too big', path: ['a'] }, { message: 'too small', path: ['b'] } ] }) } };
`,
  'etc/develop.ini': `[DEFAULT]
greeting = Hello
[app:main]
use = call:../app.js:makeApp
[app:other]
use = main
name = %(who)s
who = Other
set greeting = Hi
[app:fails]
use = call:../app.js:fail
[app:typed]
use = call:../app.js:makeTyped
a = 1
b = 2
[filter:main]
use = call:../app.js:makeTag
tag = %(greeting)s
[server:main]
use = npm:paster#http
port = 0
[server:socket]
use = npm:paster#fastcgi
socket = %(here)s/../app.sock
workers = 3
`,
};

async function get(app: App): Promise<Response> {
  await app.ready?.();
  const server = createServer((req, res) => app(req, res)).listen(0, '127.0.0.1');
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await app.close?.();
  });
  await once(server, 'listening');
  return fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
}

const text = async (app: App): Promise<string> => (await get(app)).text();

const urlOf = (address: Address | undefined): string =>
  address?.kind === 'tcp' ? `http://${address.host}:${address.port}/` : expect.unreachable('it is not TCP');

describe('loadApp', () => {
  test('accepts a URI, a name, and other globals', async () => {
    const relativeTo = temporaryDirectory(FILES);
    const uri = 'config:etc/develop.ini';
    expect(await text(await loadApp(uri, { relativeTo }))).toBe('Hello World');
    expect(await text(await loadApp(`${uri}#other`, { relativeTo }))).toBe('Hi Other');
    expect(await text(await loadApp(uri, { relativeTo, name: 'other' }))).toBe('Hi Other');
    expect(await text(await loadApp(`${uri}#main`, { relativeTo, name: 'other' }))).toBe('Hi Other');
    expect(await text(await loadApp(uri, { relativeTo, globalConf: { greeting: 'Ahoy' } }))).toBe('Ahoy World');
  });

  test('uses the working directory without relativeTo', async () => {
    const directory = temporaryDirectory(FILES);
    expect(await text(await loadApp(`config:${directory}/etc/develop.ini`))).toBe('Hello World');
    await expect(loadApp('config:etc/no-such.ini')).rejects.toThrow(join(process.cwd(), 'etc/no-such.ini'));
  });
});

test('loadFilter wraps any application', async () => {
  const filter = await loadFilter('config:etc/develop.ini', { relativeTo: temporaryDirectory(FILES) });
  const response = await get(await filter((_req, res) => res.end('mine')));
  expect([response.headers.get('x-tag'), await response.text()]).toEqual(['Hello', 'mine']);
});

test('appConfig returns both configurations and calls no factory', async () => {
  const relativeTo = temporaryDirectory({ 'etc/develop.ini': FILES['etc/develop.ini'] });
  const { globalConf, localConf } = await appConfig('config:etc/develop.ini', {
    relativeTo,
    name: 'other',
    globalConf: { region: 'eu' },
  });
  const here = join(relativeTo, 'etc');
  expect({ ...globalConf }).toEqual({ here, __file__: join(here, 'develop.ini'), greeting: 'Hi', region: 'eu' });
  expect({ ...localConf }).toEqual({ name: 'Other', who: 'Other' });
});

test('parseIni returns values as they are written, with their places', () => {
  const ini = parseIni('[DEFAULT]\na = 1\n[x]\nb : %(a)s\n  more\n', '/x.ini');
  const entry = ini.sections.get('x')?.entries.get('b');
  expect(entry?.value).toBe('%(a)s\nmore');
  expect(entry?.location).toEqual({ file: '/x.ini', line: 4, column: 1 });
  expect(entry?.locate(6)).toEqual({ file: '/x.ini', line: 5, column: 3 });
  expect(ini.defaults.entries.get('a')?.value).toBe('1');
});

describe('loadServer', () => {
  test('listens where its section says, and finishes a response when it is closed', async () => {
    const relativeTo = temporaryDirectory(FILES);
    const server = await loadServer('config:etc/develop.ini', { relativeTo });
    expect([server.scheme, server.addresses]).toEqual(['http', [{ kind: 'tcp', host: '127.0.0.1', port: 0 }]]);
    let finish = (): void => {};
    const arrived = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const running = await server.serve(async (_req, res) => {
      res.write('a');
      finish();
      await new Promise(setImmediate);
      res.end('b');
    });
    const url = urlOf(running.addresses[0]);
    const response = fetch(url).then((answer) => answer.text());
    await arrived;
    await running.close();
    expect(await response).toBe('ab');
    await expect(fetch(url)).rejects.toThrow();
  });

  test('serves on the given listeners, and closes them', async () => {
    const server = await loadServer('config:etc/develop.ini', { relativeTo: temporaryDirectory(FILES) });
    const listeners = [createNetServer(), createNetServer()];
    for (const listener of listeners) await once(listener.listen(0, '127.0.0.1'), 'listening');
    const running = await server.serve((_req, res) => res.end('given'), listeners);
    expect(running.addresses).toHaveLength(2);
    for (const address of running.addresses) expect(await (await fetch(urlOf(address))).text()).toBe('given');
    await running.close({ graceful: false });
    expect(listeners.map((listener) => listener.listening)).toEqual([false, false]);
  });

  test('has the settings of its section before it listens', async () => {
    const relativeTo = temporaryDirectory(FILES);
    const server = await loadServer('config:etc/develop.ini#socket', { relativeTo });
    expect(server).toMatchObject({
      scheme: 'fastcgi',
      addresses: [{ kind: 'unix', path: `${relativeTo}/app.sock` }],
      workers: 3,
      settings: { graceful_timeout: 30, backlog: 1024 },
    });
  });
});

test('the path of a socket is normalized, unless .. follows a symbolic link', async () => {
  const relativeTo = temporaryDirectory(FILES);
  symlinkSync(join(relativeTo, 'etc'), join(relativeTo, 'link'));
  const elsewhere = temporaryDirectory();
  symlinkSync(elsewhere, join(relativeTo, 'elsewhere'));
  for (const [written, path] of [
    ['etc/../app.sock', 'app.sock'],
    ['link/../app.sock', 'app.sock'],
    ['etc/.././/app.sock', 'app.sock'],
    ['elsewhere/../app.sock', 'elsewhere/../app.sock'],
  ]) {
    for (const setting of ['socket = ', 'listen = unix:']) {
      const text = `[server:main]\nuse = npm:paster#fastcgi\n${setting}%(here)s/${written}\n`;
      writeFiles(relativeTo, { 'x.ini': text });
      const { addresses } = await loadServer('config:x.ini', { relativeTo });
      expect(addresses).toEqual([{ kind: 'unix', path: `${relativeTo}/${path}` }]);
    }
  }
});

describe('errors', () => {
  const failure = (run: Promise<unknown>) =>
    run.then(
      () => expect.unreachable('it works'),
      (error: PasterError) => error,
    );

  test('one is a ConfigError with a place, a code and a hint', async () => {
    const relativeTo = temporaryDirectory({ 'x.ini': '[app:main]\nuse = mian\n[app:man]\nuse = egg:x' });
    const error = await failure(loadApp('config:x.ini', { relativeTo }));
    expect(error).toBeInstanceOf(ConfigError);
    expect(error).toMatchObject({
      code: 'PASTER_SECTION_MISSING',
      message: 'there is no section [app:mian]',
      hint: expect.stringMatching(/did you mean \[app:ma(in|n)\]\?/),
      location: { file: join(relativeTo, 'x.ini'), line: 2, column: 7 },
    });
  });

  test('several are an ErrorList, whether syntax or settings', async () => {
    const syntax = await failure(
      loadApp('config:x.ini', { relativeTo: temporaryDirectory({ 'x.ini': '[a]\nb\nc = 1\nc = 2\n' }) }),
    );
    expect(syntax).toBeInstanceOf(ErrorList);
    expect((syntax as ErrorList).errors.map((each) => each.location?.line)).toEqual([2, 4]);
    const settings = await failure(loadApp('config:etc/develop.ini#typed', { relativeTo: temporaryDirectory(FILES) }));
    expect((settings as ErrorList).errors.map((each) => each.location?.line)).toEqual([14, 15]);
  });

  test('a factory that throws is a RunError at its own line, with the original error as its cause', async () => {
    const relativeTo = temporaryDirectory(FILES);
    const error = await failure(loadApp('config:etc/develop.ini#fails', { relativeTo }));
    expect(error).toBeInstanceOf(RunError);
    expect(error).toBeInstanceOf(PasterError);
    expect(error.cause).toBeInstanceOf(TypeError);
    expect(error.location).toMatchObject({ file: join(relativeTo, 'app.js'), line: 6 });
  });
});
