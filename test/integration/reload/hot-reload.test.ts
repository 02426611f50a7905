/** WebSockets of hot reload, for which development servers expect their own server or port: they pass paster's port and filters. */
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { eventually, ROOT, serve } from '../../helpers/programs/program.ts';

const SERVER = '[server:main]\nuse = npm:paster#http\nport = 0\n';
const WS = JSON.stringify(join(ROOT, 'node_modules/ws/index.js'));

/** The first message, or the status if the upgrade is refused. */
async function greeting(url: string, protocol: string[], headers: Record<string, string> = {}): Promise<string> {
  const socket = new WebSocket(url.replace('http', 'ws'), protocol, { headers });
  const refused = once(socket, 'unexpected-response').then(([, response]) => String(response.statusCode));
  const greeted = once(socket, 'message').then(([message]) => String(message));
  socket.on('error', () => {});
  const first = await Promise.race([refused, greeted]);
  socket.terminate();
  return first;
}

describe('Vite in middleware mode', () => {
  /** What Vite does in this mode: its own server on port 24678, which its client knows, before the program listens. */
  const VITE = `const { createServer } = require('node:http');
    const { WebSocketServer } = require(${WS});
    exports.createServer = (port) => {
      const sockets = new WebSocketServer({ noServer: true });
      const server = createServer((_, res) => { const statusCode = 426; res.writeHead(statusCode); res.end(); });
      server.on('upgrade', (...args) => sockets.handleUpgrade(...args, (socket) => socket.send('from Vite')));
      server.listen(port);
      return (req, res) => {
        const client = 'const hmrPort = ' + port + ';\\n';
        res.setHeader('content-length', client.length);
        res.statusCode = req.headers['if-none-match'] ? 304 : 200;
        res.end(client);
      };
    };`;
  const PROGRAM = `const { createServer } = require('node:http');
    const client = require('vite/dist/node.js').createServer(24678);
    createServer((req, res) => (req.url.endsWith('/@vite/client') ? client(req, res) : res.end('page'))).listen(5173);`;
  const start = (program: string) =>
    serve(['x.ini'], {
      cwd: temporaryDirectory({
        'server.js': program,
        'node_modules/vite/dist/node.js': VITE,
        'x.ini': `[app:main]\nuse = listen:./server.js\n${SERVER}`,
      }),
    });

  test('has its WebSocket on the port of the page, where its client connects', async () => {
    const program = await start(PROGRAM);
    const { url } = program;
    expect(await (await fetch(url)).text()).toBe('page');
    expect(await greeting(url, ['vite-hmr'])).toBe('from Vite');
    const client = await fetch(`${url}/@vite/client`, { headers: { 'if-none-match': '"1"' } });
    expect([client.status, await client.text()]).toEqual([200, 'const hmrPort = 0    ;\n']);
    expect(await greeting(url, ['other'])).toBe('200');
    expect(program.output).not.toContain('is not opened');
  });

  test('has it next to WebSockets of the program, once its client has been loaded', async () => {
    const { url } = await start(`${PROGRAM.slice(0, PROGRAM.lastIndexOf('.listen'))}.on('upgrade', (...args) => {
      new (require(${WS}).WebSocketServer)({ noServer: true }).handleUpgrade(...args, (socket) => socket.send('own'));
    }).listen(5173);`);
    expect(await greeting(url, ['vite-hmr'])).toBe('own');
    await (await fetch(`${url}/@vite/client`)).text();
    expect(await greeting(url, ['vite-hmr'])).toBe('from Vite');
    expect(await greeting(url, ['other'])).toBe('own');
  });
});

describe('Next.js, which waits for upgrades on the server of a request', () => {
  /** What Next's handler does with its first request. */
  const NEXT = `const { WebSocketServer } = require(${WS});
    const sockets = new WebSocketServer({ noServer: true });
    let isSetUp = false;
    exports.handle = (req, res) => {
      if (!isSetUp) {
        isSetUp = true;
        req.socket.server.on('upgrade', (...args) => sockets.handleUpgrade(...args, (socket) => socket.send('from Next')));
      }
      res.end('page');
    };`;
  // The password is "x".
  const FILES = {
    'node_modules/next/dist/server/next.js': NEXT,
    'app.js': `const next = require('next/dist/server/next.js');
      exports.makeApp = () => (req, res) => next.handle(req, res);`,
    'server.js': `const next = require('next/dist/server/next.js');
      require('node:http').createServer((req, res) => next.handle(req, res)).listen(3000);`,
    'x.ini': `[composite:main]
use = npm:paster#urlmap
/ = other
/next = next
[app:other]
use = npm:paster#test
[filter:auth]
use = npm:paster#auth_basic
realm = x
users = ada:{SHA}EfatjsUqKYSrqv18O1FlA3hcIHI=
${SERVER}`,
  };

  test.each(['call:./app.js:makeApp', 'listen:./server.js'])('works as %s', async (use) => {
    const cwd = temporaryDirectory(FILES);
    writeFileSync(join(cwd, 'x.ini'), `[app:next]\nuse = ${use}\nfilter-with = auth\n${FILES['x.ini']}`);
    const { url } = await serve(['x.ini'], { cwd });
    const headers = { authorization: `Basic ${Buffer.from('ada:x').toString('base64')}` };
    expect(await (await fetch(`${url}/next/`, { headers })).text()).toBe('page');
    expect(await greeting(`${url}/next/hmr`, [])).toBe('401');
    expect(await greeting(`${url}/next/hmr`, [], headers)).toBe('from Next');
    expect(await greeting(`${url}/other`, [])).toBe('200');
  });
});

test('a program may open a server for its own processes, on a Unix socket in the temporary directory', async () => {
  const cwd = temporaryDirectory({
    'server.js': `const net = require('node:net');
      const path = require('node:path').join(require('node:os').tmpdir(), 'ipc-' + process.pid);
      const ipc = net.createServer((socket) => socket.end('internal')).listen(path);
      require('node:http').createServer((req, res) => net.connect(path).pipe(res)).listen(3000);
      process.on('SIGTERM', () => ipc.close());`,
    'x.ini': `[app:main]\nuse = listen:./server.js\n${SERVER}`,
  });
  const { url } = await serve(['x.ini'], { cwd, env: { TMPDIR: cwd } });
  expect(await (await fetch(url)).text()).toBe('internal');
});

test('a program of a package is not run by a spare worker', async () => {
  const cwd = temporaryDirectory({
    'node_modules/tool/bin.js': `require('node:fs').appendFileSync('runs', process.argv.slice(2).join() + '\\n');
      require('node:http').createServer((req, res) => res.end(process.env.EDITION)).listen(3000);`,
    'x.ini': `[app:main]\nuse = listen:./node_modules/tool/bin.js\nargs = dev\n${SERVER}environment = EDITION=1\n`,
  });
  const { url } = await serve(['x.ini', '--reload'], { cwd });
  const ini = readFileSync(join(cwd, 'x.ini'), 'utf8');
  for (const edition of ['2', '3']) {
    writeFileSync(join(cwd, 'x.ini'), ini.replace('EDITION=1', `EDITION=${edition}`));
    await eventually(async () => (await (await fetch(url)).text()) === edition);
  }
  expect(new Set(readFileSync(join(cwd, 'runs'), 'utf8').trim().split('\n'))).toEqual(new Set(['dev']));
});
