/** How paths are compared with prefixes, over every protocol: no spelling of a path bypasses the application of its prefix. */
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { beforeEach, describe, expect, test } from 'vitest';
import { cascade } from '../../src/apps/cascade/cascade.ts';
import { proxy, transparentProxy } from '../../src/apps/proxy/proxy.ts';
import { staticFiles, withStaticFiles } from '../../src/apps/static/static-files.ts';
import { urlMap } from '../../src/apps/urlmap.ts';
import { prefix } from '../../src/filters/headers/prefix.ts';
import type { MountedRequest } from '../../src/http/mount.ts';
import { applyFilter } from '../../src/protocol/filter.ts';
import type { App } from '../../src/protocol/types.ts';
import { cgiBackend } from '../contract/backends/cgi-backend.ts';
import { fastcgiBackend } from '../contract/backends/fastcgi-backend.ts';
import { httpBackend } from '../contract/backends/http-backend.ts';
import { http2Backend } from '../contract/backends/http2-backend.ts';
import { scgiBackend } from '../contract/backends/scgi-backend.ts';
import { temporaryDirectory } from '../helpers/directory.ts';
import { beforeSuite, whenOver } from '../helpers/programs/lifetime.ts';

type Ask = (path: string) => Promise<[status: number, body: string]>;

interface Protocol {
  readonly name: string;
  start(app: App): Promise<Ask>;
}

const PROTOCOLS = [httpBackend, http2Backend, fastcgiBackend, scgiBackend, cgiBackend].map(
  (backend): Protocol => ({
    name: backend.name,
    async start(app) {
      const serving = await backend.start(app);
      whenOver(() => serving.close());
      return async (path) => {
        const { status, body } = await serving.request({ path });
        return [status, body.toString()];
      };
    },
  }),
);

/** Another server, which responds with the path it was asked for. */
async function upstream(): Promise<{ readonly host: string; readonly seen: (string | undefined)[] }> {
  const seen: (string | undefined)[] = [];
  const server = createServer((req, res) => {
    seen.push(req.url);
    res.end(`behind ${req.url}`);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  whenOver(() => void server.close());
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

/** Paths that some server resolves below /admin, or below another prefix than they seem to have. */
const REFUSED = [
  '/./admin/',
  '/.//admin/',
  '/x/../admin/',
  '/x/%2e%2e/admin/',
  '/x/%2E./admin/',
  '/x/..%2fadmin/',
  '/x/..%2Fadmin/',
  '/x/..%5cadmin/',
  '/x/..;/admin/',
  '/x/..;a=b/admin/',
  '/x//../admin/',
  '/public/../admin/',
  '/public/..%2fadmin/',
  '/public/%2e%2e',
  '/admin/../public/',
  '/admin%2f',
  '/admin%2Fusers',
  '/%61dmin%2f',
  '/%2fadmin',
  '/admin%5cusers',
  '/admin\\users',
  '/\\admin',
  '/\\x\\admin',
  '//x/admin',
  '/admin;a=b/users',
  '/;a=b/admin',
  '/admin%3bx',
  // For servers that remove parameters before they decode, or before they decode slashes.
  '/;%2fx%2fy/admin',
  '/a/..;%2fx/admin',
  '/;%2fx%5cy/admin',
  '/%3b%2fx%2fy/admin',
  '/;%2fx\\admin',
  '/public/;a%2fb/../admin',
  '/admin%3f',
  '/admin%23x',
  '/admin%00',
  '/x%00/y',
  '/%c0%ae%c0%ae/admin',
  '/x/%c0%afadmin',
  '/x/%e0%80%af',
  'http://localhost/../admin',
  'http://localhost/x/%2e%2e/admin',
];

/** Paths that clients really request, and where they go: none of these has a second meaning. */
const ROOT = [
  '/',
  '/x',
  '/files/a%2Fb',
  '/@scope%2fname',
  '/a;v=1/b',
  '/a;v=x%2fy/b',
  '/a;v=x%2fadmin/b',
  '/.well-known/x',
  '/...',
  '/a..b/..c',
  '/administrator',
  '/Admin',
  '/%252e%252e/admin',
  '/admin%252f',
  '/a//b',
  '/%E9t%E9',
  '/?x=/../admin/',
  '/x?y=%2e%2e%2fadmin',
];
const ADMIN = ['/admin', '/admin/', '/admin?x', '/%61dmin/users', '/adm%69n', '//admin/', '/admin//x', '/admin/a%2Fb'];

describe.each(PROTOCOLS)('over $name', ({ name, start }) => {
  let behind: Awaited<ReturnType<typeof upstream>>;
  let ask: Ask;
  beforeSuite(async () => {
    behind = await upstream();
    ask = await start(
      await urlMap({
        '/': await proxy({ address: `http://${behind.host}` }),
        '/admin': (_req, res) => void res.writeHead(401).end(),
        '/public': await transparentProxy({ forceHost: behind.host }),
      }),
    );
  });
  beforeEach(() => void behind.seen.splice(0));

  // Node's client of HTTP/2 sends no absolute form, which HTTP/2 does not have.
  test.each(REFUSED.filter((path) => name !== 'http2' || path.startsWith('/')))('%s is refused', async (path) => {
    expect([(await ask(path))[0], behind.seen]).toEqual([400, []]);
  });

  test.each(ROOT)('%s goes to / as it was sent', async (path) => {
    expect(await ask(path)).toEqual([200, `behind ${path}`]);
  });

  test.each(ADMIN)('%s goes to /admin', async (path) => {
    expect([(await ask(path))[0], behind.seen]).toEqual([401, []]);
  });

  test.each([
    ['/public/x', '/public/x'],
    ['//public/x', '/public/x'],
    ['/public//x', '/public//x'],
    ['/public/a%2Fb', '/public/a%2Fb'],
  ])('transparent_proxy hands %s on as %s', async (path, sent) => {
    expect(await ask(path)).toEqual([200, `behind ${sent}`]);
  });

  test('an application without prefixes gets every path unchanged', async () => {
    const sent = await start((req, res) => res.end(req.url));
    for (const path of ['/x/../admin', '/%2e%2e/x', '/a%2f..%5c', '//x', '/%c0%ae', '/a;b/..;c']) {
      expect(await sent(path)).toEqual([200, path]);
    }
  });
});

describe('each part that compares paths refuses ambiguous ones', () => {
  const says: App = (req: MountedRequest, res) => res.end(`${req.baseUrl ?? ''} ${req.url}`);

  async function ask(app: App, path: string): Promise<[number, string]> {
    const serving = await httpBackend.start(app);
    const { status, body } = await serving.request({ path });
    await serving.close();
    return [status, body.toString()];
  }

  const directory = (): string => temporaryDirectory({ 'a.txt': 'a', 'secret/b.txt': 'b' });

  test('prefix', async () => {
    const app = await applyFilter(prefix({ prefix: '/app' }), says);
    for (const path of ['/app/../x', '/app/%2e%2e/x', '/x/..%2fapp', '/app%2fx', '/app;a/x']) {
      expect([path, await ask(app, path)]).toEqual([path, [400, 'Bad Request: ambiguous path\n']]);
    }
    expect(await ask(app, '/%61pp/a%2Fb')).toEqual([200, '/%61pp /a%2Fb']);
    expect(await ask(app, '/other/a%2Fb')).toEqual([200, '/app /other/a%2Fb']);
  });

  test('static, as an application and as a filter', async () => {
    const documentRoot = directory();
    const filtered = await applyFilter(withStaticFiles({ documentRoot, urlPrefix: '/files' }), says);
    for (const path of ['/files/../x', '/x/../files/a.txt', '/files%2fa.txt', '/files\\a.txt', '/files/secret/..;/']) {
      expect([path, (await ask(filtered, path))[0]]).toEqual([path, 400]);
    }
    expect(await ask(filtered, '/fil%65s/a.txt')).toEqual([200, 'a']);
    expect(await ask(filtered, '/other/a%2Fb')).toEqual([200, ' /other/a%2Fb']);
    const files = staticFiles({ documentRoot });
    for (const path of ['/secret/../a.txt', '/%2e%2e/a.txt', '/secret/..%2fa.txt', '/x\\..\\a.txt']) {
      expect([path, (await ask(files, path))[0]]).toEqual([path, 400]);
    }
  });

  test('a cascade of static files and a proxy does not proxy a path that static refuses, but proxies other spellings', async () => {
    const { host, seen } = await upstream();
    const app = await cascade([staticFiles({ documentRoot: directory() }), await proxy({ address: `http://${host}` })]);
    expect((await ask(app, '/x/../admin'))[0]).toBe(400);
    expect(seen).toEqual([]);
    expect(await ask(app, '/@scope%2fname')).toEqual([200, 'behind /@scope%2fname']);
  });

  test('a proxy with a path in its address, and a mounted transparent proxy', async () => {
    const { host, seen } = await upstream();
    const below = await proxy({ address: `http://${host}/base` });
    const transparent = await transparentProxy({ forceHost: host });
    const mounted: App = (req: MountedRequest, res) => transparent(Object.assign(req, { baseUrl: '/base' }), res);
    for (const path of ['/../x', '/%2e%2e/x', '/..%5cx', '/..;/x', '/a/..', '/%c0%ae%c0%ae/x']) {
      expect([path, (await ask(below, path))[0], (await ask(mounted, path))[0]]).toEqual([path, 400, 400]);
    }
    expect(seen).toEqual([]);
    expect(await ask(below, '/a%2Fb')).toEqual([200, 'behind /base/a%2Fb']);
  });

  test('nested maps', async () => {
    const inner = await urlMap({ '/': says, '/admin': (_req, res) => res.end('admin') });
    const app = await urlMap({ '/a': inner, '/': inner });
    expect(await ask(app, '/a/admin%2fx')).toEqual([400, 'Bad Request: ambiguous path\n']);
    expect(await ask(app, '/a//x/admin')).toEqual([400, 'Bad Request: ambiguous path\n']);
    expect(await ask(app, '/a/admin')).toEqual([200, 'admin']);
  });

  test('an upgrade is refused like a request', async () => {
    const part: App = Object.assign((() => {}) as App, { upgrade: () => {} });
    const app = await urlMap({ '/': part, '/admin': part });
    const server = createServer().listen(0, '127.0.0.1');
    whenOver(() => void server.close());
    await once(server, 'listening');
    server.on('upgrade', (req, socket, head) => app.upgrade?.(req, socket, head));
    const { port } = server.address() as AddressInfo;
    const headers = { connection: 'Upgrade', upgrade: 'websocket' };
    const client = request({ host: '127.0.0.1', port, path: '/x/..%2fadmin', headers }).end();
    const [response] = await once(client, 'response');
    expect(response.statusCode).toBe(400);
    response.resume();
  });
});

test.each(['/a/../b', '/./a', '/a;b', '/a\\b', '/a?b', '/a#b'])('%s cannot be a prefix', async (path) => {
  const app: App = (_req, res) => res.end();
  await expect(urlMap({ [path]: app })).rejects.toThrow(`"${path}" cannot be a path prefix`);
  expect(() => prefix({ prefix: path })).toThrow(`"${path}" cannot be a path prefix`);
});

test('behind a gateway, SCRIPT_NAME and PATH_INFO of a mounted application match its prefix in any spelling', async () => {
  const environ = async (prefixes: string, requestUri: string, PATH_INFO: string): Promise<unknown> => {
    let seen: unknown;
    const app = await urlMap({
      [prefixes]: (req: MountedRequest) => {
        seen = [req.environ?.['SCRIPT_NAME'], req.environ?.['PATH_INFO'], req.baseUrl, req.url];
      },
    });
    const req = { url: requestUri, headers: {}, socket: {}, environ: { SCRIPT_NAME: '', PATH_INFO } };
    app(req as unknown as MountedRequest, {} as never);
    return seen;
  };
  expect(await environ('/a', '//a/b', '/a/b')).toEqual(['/a', '/b', '/a', '/b']);
  expect(await environ('/a/b', '/a//b/c', '/a/b/c')).toEqual(['/a/b', '/c', '/a//b', '/c']);
  const name = Buffer.from('/ü').toString('latin1');
  expect(await environ('/ü', '/%C3%BC/x', `${name}/x`)).toEqual([name, '/x', '/%C3%BC', '/x']);
});
