/** `mount` in the section of an application: which path the application gets below a prefix. */
import { appendFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { describe, expect, test } from 'vitest';
import { checkFile } from '../../src/deploy/check/check.ts';
import { loadApp } from '../../src/deploy/load.ts';
import { applyConvention, type MountedRequest } from '../../src/http/mount.ts';
import type { App } from '../../src/protocol/types.ts';
import { temporaryDirectory } from '../helpers/directory.ts';
import { whenOver } from '../helpers/programs/lifetime.ts';
import { ask } from '../helpers/requests/ask.ts';
import { serveFastcgi } from '../servers/fastcgi/serve.ts';
import { request } from '../servers/scgi/client.ts';
import { serveScgi } from '../servers/scgi/serve.ts';

const APP = `const app = (req, res) => res.end(JSON.stringify([req.url, req.baseUrl ?? '', req.originalUrl]));
export default app;
export const make = (_globalConf, conf) => (req, res) => {
  if (req.url.endsWith('?conf')) res.end(JSON.stringify(conf));
  else app(req, res);
};
`;

function directoryOf(section: string, rest = ''): string {
  return temporaryDirectory({
    'package.json': '{ "type": "module" }',
    'app.js': APP,
    'x.ini': `[composite:main]\nuse = npm:paster#urlmap\n/a = outer\n[composite:outer]\nuse = npm:paster#urlmap\n/b = app
[app:app]\n${section}\n${rest}[server:main]\nuse = npm:paster#http\nport = 0\n`,
  });
}

/** Requests a target exactly as written, and returns the request's url, baseUrl and originalUrl. */
async function asker(section: string, rest = ''): Promise<(target: string) => Promise<unknown>> {
  const app = await loadApp('config:x.ini', { relativeTo: directoryOf(section, rest) });
  const server = createServer(app).listen(0, '127.0.0.1');
  whenOver(() => void server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  return async (target) => JSON.parse(String((await ask(`http://127.0.0.1:${port}`, target)).body));
}

const MODULE = 'use = module:./app.js';

describe('below two URL maps', () => {
  test.each([
    ['stripped', '/a/b/c%2Fd?q=/', ['/c%2Fd?q=/', '/a/b', '/a/b/c%2Fd?q=/']],
    ['stripped', '/a/b', ['/', '/a/b', '/a/b']],
    ['whole', '/a/b/c%2Fd?q=/', ['/a/b/c%2Fd?q=/', '', '/a/b/c%2Fd?q=/']],
    ['whole', '/a/b', ['/a/b', '', '/a/b']],
    ['whole', '/a/b?q', ['/a/b?q', '', '/a/b?q']],
    ['whole', '/a/b/', ['/a/b/', '', '/a/b/']],
    ['whole', '/%61/b/', ['/%61/b/', '', '/%61/b/']],
    ['express', '/a/b/c?q', ['/c?q', '/a/b', '/a/b/c?q']],
    ['express', '/a/b', ['/', '/a/b', '/a/b']],
    ['proxied', '/a/b/c?q', ['/c?q', '', '/c?q']],
    ['proxied', '/a/b', ['/', '', '/']],
  ])('mount = %s: %s', async (mount, target, seen) => {
    expect(await (await asker(`${MODULE}\nmount = ${mount}`))(target)).toEqual(seen);
  });

  test('the default is stripped', async () => {
    expect(await (await asker(MODULE))('/a/b/c')).toEqual(['/c', '/a/b', '/a/b/c']);
  });

  test('filters around the application still see the path without the prefixes', async () => {
    const rest = '[filter:inner]\nuse = npm:paster#prefix\nprefix = /z\n';
    const ask = await asker(`${MODULE}\nmount = whole\nfilter-with = inner`, rest);
    expect(await ask('/a/b/c')).toEqual(['/a/b/z/c', '', '/a/b/c']);
  });

  test('the section that uses another one overrides its mount', async () => {
    const ask = await asker('use = base\nmount = whole', `[app:base]\n${MODULE}\nmount = express\n`);
    expect(await ask('/a/b/c')).toEqual(['/a/b/c', '', '/a/b/c']);
  });
});

describe('a factory', () => {
  const CALL = 'use = call:./app.js:make';

  test('does not receive mount', async () => {
    const ask = await asker(`${CALL}\nmount = express\nother = 1`);
    expect(await ask('/a/b/c')).toEqual(['/c', '/a/b', '/a/b/c']);
    expect(await ask('/a/b?conf')).toEqual({ other: '1' });
  });

  test('may have its own setting mount with other values', async () => {
    expect(await (await asker(`${CALL}\nmount = /media/disk`))('/a/b?conf')).toEqual({ mount: '/media/disk' });
  });

  test.each([
    ['a typo', `${CALL}\nmount = hole`, 'mount: "hole" is not an allowed value (did you mean "whole"?)'],
    ['a built-in part', 'use = npm:paster#test\nmount = nowhere', 'mount: "nowhere" is not an allowed value'],
    ['an application of a module', `${MODULE}\nmount = nowhere`, 'mount: "nowhere" is not an allowed value'],
  ])('check reports an error: %s', async (_what, section, message) => {
    const found = await checkFile(`${directoryOf(section)}/x.ini`, {});
    expect(found.map(({ error }) => error.message)).toEqual([expect.stringContaining(`[app:app] ${message}`)]);
  });
});

describe('in the section of a gateway server', () => {
  const app = (async (req: MountedRequest, res) => {
    res.end([req.url, req.baseUrl ?? '', req.originalUrl].join(' '));
  }) satisfies App;
  const environ = { REQUEST_URI: '/a/b?q', SCRIPT_NAME: '/a', PATH_INFO: '/b', QUERY_STRING: 'q' };

  test.each([
    ['stripped', '/b?q /a /a/b?q'],
    ['whole', '/a/b?q  /a/b?q'],
    ['express', '/b?q /a /a/b?q'],
  ])('mount = %s', async (mount, seen) => {
    const fastcgi = await serveFastcgi(app, { mount });
    const scgi = await serveScgi(app, { mount });
    whenOver(() => Promise.all([fastcgi.close(), scgi.close()]));
    expect(String((await (await fastcgi.client()).ask(1, environ)).body)).toBe(seen);
    const client = await scgi.client();
    client.socket.end(request(environ));
    expect(String((await client.answer()).body)).toBe(seen);
  });

  /** As nginx and Apache send them: REQUEST_URI as the client wrote it, the other two decoded. */
  describe.each([
    ['slashes in a row', '/a//b//', '/a', '//b//', '//b//', '/a'],
    ['a slash at the end', '/a/', '/a', '/', '/', '/a'],
    ['the prefix alone: a path that is not split', '/a', '/a', '', '/a', ''],
    ['the prefix with a query', '/a?q', '/a', '', '/a?q', ''],
    ['an encoded slash', '/a/b%2Fc', '/a', '/b/c', '/b%2Fc', '/a'],
    ['an encoded percent sign', '/a/b%252F', '/a', '/b%2F', '/b%252F', '/a'],
    ['a parameter of the path', '/a/b;c=1', '/a', '/b;c=1', '/b;c=1', '/a'],
    ['a prefix with a space', '/a%20b/c', '/a b', '/c', '/c', '/a%20b'],
    ['a prefix with a space, alone', '/a%20b', '/a b', '', '/a%20b', ''],
    ['a prefix that is encoded unnecessarily', '/%61/b', '/a', '/b', '/b', '/a'],
    ['no prefix', '/b%20c//', '', '/b c//', '/b%20c//', ''],
  ])('%s', (_what, uri, scriptName, pathInfo, rest, base) => {
    const query = uri.split('?')[1] ?? '';
    const odd = { REQUEST_URI: uri, SCRIPT_NAME: scriptName, PATH_INFO: pathInfo, QUERY_STRING: query };

    test.each([
      ['stripped', `${rest} ${base} ${uri}`],
      ['whole', `${uri}  ${uri}`],
      ['express', `${rest} ${base} ${uri}`],
      ['proxied', `${rest}  ${rest}`],
    ])('mount = %s', async (mount, seen) => {
      const show = (async (req: MountedRequest, res) => {
        res.end([req.url, req.baseUrl ?? '', req.originalUrl ?? req.url].join(' '));
      }) satisfies App;
      const fastcgi = await serveFastcgi(show, { mount });
      const scgi = await serveScgi(show, { mount });
      whenOver(() => Promise.all([fastcgi.close(), scgi.close()]));
      expect(String((await (await fastcgi.client()).ask(1, odd)).body)).toBe(seen);
      const client = await scgi.client();
      client.socket.end(request(odd));
      expect(String((await client.answer()).body)).toBe(seen);
    });
  });

  test('is unknown to a server without prefixes', async () => {
    const file = directoryOf(MODULE).concat('/x.ini');
    appendFileSync(file, 'mount = whole\n');
    const found = await checkFile(file, {});
    expect(found.map(({ error }) => error.message)).toEqual([
      expect.stringContaining('[server:main] unknown setting "mount"'),
    ]);
  });
});

describe('whole mount from the data of a gateway or a filter', () => {
  const changed = (req: Partial<MountedRequest>): Partial<MountedRequest> => {
    applyConvention(req as MountedRequest, 'whole');
    return req;
  };

  test.each([
    ['absolute form', { url: '/x', baseUrl: '/a', originalUrl: 'http://h/a/x' }, '/a/x'],
    ['the mount in absolute form', { url: '/?q', baseUrl: '/a', originalUrl: 'http://h/a?q' }, '/a?q'],
    ['a proxy has removed the prefix', { url: '/x', baseUrl: '/a', originalUrl: '/x' }, '/a/x'],
    ['slashes in a row do not become a host', { url: '/x', baseUrl: '/a', originalUrl: '//a/x' }, '/a/x'],
    ['the path was rewritten', { url: '/y', baseUrl: '/a', originalUrl: '/a/x' }, '/a/y'],
  ])('%s', (_what, req, url) => {
    expect(changed({ ...req })).toMatchObject({ url, baseUrl: '' });
  });

  test('removes the mount from the environment too', () => {
    const environ = { SCRIPT_NAME: '/a', PATH_INFO: '/x y' };
    expect(changed({ url: '/x%20y', baseUrl: '/a', originalUrl: '/a/x%20y', environ }).environ).toEqual({
      SCRIPT_NAME: '',
      PATH_INFO: '/a/x y',
    });
  });
});
