/** Programs that call listen() themselves, served by `listen:` through the filters and the server of an INI file. */
import { once } from 'node:events';
import { symlinkSync, writeFileSync } from 'node:fs';
import { Agent, get, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { eventually, paster, ROOT, serve } from '../../helpers/programs/program.ts';

const PORT = '[server:main]\nuse = npm:paster#http\nport = 0\n';

/** A directory with an INI file that serves a program, the first of these files. */
function project(files: Record<string, string>, settings = '', server = ''): string {
  const [program] = Object.keys(files);
  return temporaryDirectory({
    ...files,
    'x.ini': `[app:main]\nuse = listen:./${program}\n${settings}\n${PORT}${server}\n`,
  });
}

async function bodyOf(directory: string, path = '/'): Promise<string> {
  const { url } = await serve(['x.ini'], { cwd: directory });
  return await ask(`${url}${path}`);
}

const ECHO = `const server = require('node:http').createServer((req, res) => {
  res.end([require.main === module, req.url, server.address().port, process.argv.slice(2)].join(' '));
});
server.listen(3000);
`;

describe('listen:', () => {
  test('runs a CommonJS program like node, and reports the address that clients connect to', async () => {
    const directory = project({ 'server.js': ECHO }, 'args = --a b');
    const { url } = await serve(['x.ini'], { cwd: directory });
    expect(await ask(`${url}/x?y`)).toBe(`true /x?y ${new URL(url).port} --a,b`);
  });

  test('runs an ES module that listens after an await', async () => {
    const source = `import { createServer } from 'node:http';
      await new Promise((resolve) => setTimeout(resolve, 20));
      createServer((req, res) => res.end('late')).listen(process.env.PORT ?? 3000, '0.0.0.0');`;
    expect(await bodyOf(project({ 'server.mjs': source }))).toBe('late');
  });

  test('without an INI file runs the program of a script with its variables, which the environment overrides', async () => {
    const start = `cross-env A="b  c" B='x&y' PORT=9999 node server.js`;
    const cwd = temporaryDirectory({
      'package.json': JSON.stringify({ scripts: { start } }),
      'server.js': `require('node:http').createServer((q, r) => r.end(process.env.A + process.env.B)).listen(3000);`,
    });
    const program = await serve(['.'], { cwd, env: { A: 'mine ', PORT: '0' } });
    expect(await ask(program.url)).toBe('mine x&y');
  });

  test.each([
    ['', "server.on('request', (req, res) => res.end('it'));"],
    [', once it listens', "server.once('listening', () => server.on('request', (req, res) => res.end('it')));"],
    [', later', "setTimeout(() => server.on('request', (req, res) => res.end('it')), 50);"],
  ])('serves a server whose handler is set after listen()%s', async (_when, source) => {
    const program = `const server = require('node:http').createServer();\nserver.listen(3000);\n${source}`;
    expect(await bodyOf(project({ 'server.js': program }))).toBe('it');
  });

  const NO_SERVER = 'a program that serves nothing belongs in a [process:NAME] with use = program:FILE';

  test.each([
    ["console.log('a script');", 'the program has ended without calling listen() of an HTTP server'],
    [
      "require('node:http2').createServer().on('stream', (stream) => stream.end()).listen(3001);",
      'the program listens on port 3001, but has no server there that handles "request" events',
    ],
  ])('reports what a program lacks: %s', async (source, hint) => {
    const { status, stderr } = await paster(['serve', 'x.ini'], { cwd: project({ 'server.js': source }) }).finished();
    expect([status, stderr]).toEqual([
      1,
      expect.stringContaining(`listen:./server.js never becomes ready (${hint}; ${NO_SERVER})`),
    ]);
  });

  test.each([
    [
      '',
      'setInterval(() => {}, 1000);',
      `the program has not called listen() of an HTTP server within 1 s (${NO_SERVER}`,
    ],
    [
      '',
      "require('node:net').createServer().listen(3001);\nsetInterval(() => {}, 1000);",
      `the program listens on port 3001, but has no server there that handles "request" events (${NO_SERVER}`,
    ],
    [
      'ready = /health\n',
      "require('node:http').createServer((req, res) => res.writeHead(500).end()).listen(3000);",
      'the program listens, but is not ready after 1 s (it is ready when /health responds with a status below 400',
    ],
  ])('reports at start_timeout what a program has not done: %s%s', async (setting, source, message) => {
    const cwd = project({ 'server.js': source }, setting, 'workers = 1\nstart_timeout = 1\n');
    const { status, stderr } = await paster(['serve', 'x.ini'], { cwd }).finished();
    expect([status, stderr]).toEqual([
      1,
      expect.stringContaining(`x.ini:1:1: [app:main] listen:./server.js: ${message}`),
    ]);
  });

  test('reports at start_timeout without workers too, and keeps waiting', async () => {
    const listen = "require('node:http').createServer((req, res) => res.end('it')).listen(3000)";
    const source = `const timer = setInterval(() => { if (require('node:fs').existsSync('go')) { clearInterval(timer); ${listen}; } }, 20);`;
    const cwd = project({ 'server.js': source }, '', 'start_timeout = 1\n');
    const program = paster(['serve', 'x.ini'], { cwd });
    await program.says(/\[app:main\] listen:.*: the program has not called listen\(\) of an HTTP server within 1 s/);
    writeFileSync(join(cwd, 'go'), '');
    await program.says(/^serving on /m);
  });

  test.each([
    [
      'express',
      `const express = require(${packagePath('express')}); const app = express(); app.get('/', (q, r) => r.send('it')); app.listen(3000);`,
    ],
    [
      'fastify',
      `const app = require(${packagePath('fastify')})(); app.get('/', async () => 'it'); app.listen({ port: 3000 });`,
    ],
    [
      'koa',
      `const Koa = require(${packagePath('koa')}); const app = new (Koa.default ?? Koa)(); app.use((c) => { c.body = 'it'; }); app.listen(3000);`,
    ],
  ])('serves %s, whose listen() the program calls', async (_name, source) => {
    expect(await bodyOf(project({ 'server.cjs': source }))).toBe('it');
  });

  test.each(['http', 'https', 'http2'])('keeps connections open to a program that uses node:%s', async (name) => {
    const create = name === 'http2' ? 'createSecureServer' : 'createServer';
    const source = `require('node:${name}').${create}({}, (req, res) => res.end('it')).listen(3443);`;
    const { url } = await serve(['x.ini'], { cwd: project({ 'server.js': source }) });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const reused: boolean[] = [];
    for (let round = 0; round < 2; round++) {
      const req = get(url, { agent });
      const [res] = (await once(req, 'response')) as [IncomingMessage];
      await once(res.resume(), 'end');
      reused.push(req.reusedSocket);
    }
    agent.destroy();
    expect(reused).toEqual([false, true]);
  });

  test('opens no port except that of the INI file, unless listen_others is set', async () => {
    const source = `const { createServer } = require('node:http');
      createServer((req, res) => res.end('first')).listen(0);
      const other = createServer((req, res) => res.end('other'));
      other.listen(0, '127.0.0.1', () => console.log('other on ' + other.address().port + '.'));`;
    const closed = project({ 'server.js': source });
    const program = await serve(['x.ini'], { cwd: closed });
    expect(await ask(program.url)).toBe('first');
    await program.says(/server\.js: the program's server on port 0 is not opened; listen_others = true opens it/);
    const open = await serve(['x.ini'], { cwd: project({ 'server.js': source }, 'listen_others = true') });
    const [, port] = await open.says(/other on (\d+)\./);
    expect(await ask(`http://127.0.0.1:${port}/`)).toBe('other');
  });

  test('serves the server with the port that is set', async () => {
    const source = `const { createServer } = require('node:http');
      createServer((req, res) => res.end('admin')).listen(9000);
      createServer((req, res) => res.end('site')).listen(3000);`;
    expect(await bodyOf(project({ 'server.js': source }, 'port = 3000'))).toBe('site');
  });

  test.each(['/ready', 'is up'])('waits until the program is ready: %s', async (ready) => {
    const source = `let status = 503;
      require('node:http').createServer((req, res) => { res.statusCode = status; res.end(String(status)); }).listen(3000);
      setTimeout(() => { status = 200; console.log('the program is up'); }, 300);`;
    expect(await bodyOf(project({ 'server.js': source }, `ready = ${ready}`))).toBe('200');
  });

  test.each([[], ['debug=true'], ['--reload']])('forwards WebSockets to the program: %j', async (...options) => {
    const source = `const { WebSocketServer } = require(${packagePath('ws')});
      const server = require('node:http').createServer();
      server.on('request', (req, res) => res.end('plain'));
      new WebSocketServer({ server }).on('connection', (socket) => socket.on('message', (text) => socket.send('got ' + text)));
      server.listen(3000);`;
    const { url } = await serve(['x.ini', ...options], { cwd: project({ 'server.js': source }) });
    const socket = new WebSocket(url.replace('http', 'ws'));
    await once(socket, 'open');
    socket.send('hello');
    const [data] = await once(socket, 'message');
    expect(String(data)).toBe('got hello');
    socket.terminate();
  });

  test.each(['', '-w 2'])('calls the program’s TERM handlers when its requests have ended %s', async (workers) => {
    const source = `const server = require('node:http').createServer((req, res) => {
        console.log('asked');
        setTimeout(() => res.end('done'), 300);
      });
      server.listen(3000);
      process.on('SIGTERM', () => {
        console.log('term at the program');
        server.close(() => { console.log('closed the program'); process.exit(0); });
      });`;
    const program = await serve(['x.ini', ...workers.split(' ').filter(Boolean)], {
      cwd: project({ 'server.js': source }),
    });
    const asked = ask(program.url);
    await program.says(/^asked$/m);
    const ended = program.kill('SIGTERM');
    expect(await asked).toBe('done');
    const { status, stdout, stderr } = await ended;
    expect(status).toBe(0);
    expect(stdout + stderr).toMatch(/term at the program[\s\S]*closed the program/);
  });

  test.each(['', '-w 2'])(
    'runs a program that forks itself with node:cluster as one of its workers %s',
    async (workers) => {
      const source = `import cluster, { isPrimary } from 'node:cluster';
      import { createServer } from 'node:http';
      if (isPrimary || cluster.isMaster) { cluster.fork(); cluster.fork(); }
      else {
        createServer((req, res) => res.end(String(cluster.worker.id === process.pid))).listen(18432);
        const other = createServer((req, res) => res.end('other'));
        other.listen(0, '127.0.0.1', () => console.log('other on ' + other.address().port + '.'));
      }`;
      const directory = project({ 'server.mjs': source }, 'listen_others = true');
      const program = await serve(['x.ini', ...workers.split(' ').filter(Boolean)], { cwd: directory });
      expect(await ask(program.url)).toBe('true');
      const [, port] = await program.says(/other on (\d+)\./);
      expect(await ask(`http://127.0.0.1:${port}/`)).toBe('other');
      await expect(ask('http://127.0.0.1:18432/')).rejects.toThrow();
    },
  );

  test('reports what to do for a program that forks other files with node:cluster', async () => {
    const source = `const cluster = require('node:cluster'); cluster.setupPrimary?.({ exec: 'worker.js' }); cluster.fork();`;
    const { status, stderr } = await paster(['serve', 'x.ini'], { cwd: project({ 'server.js': source }) }).finished();
    expect(status).not.toBe(0);
    expect(stderr).toMatch(/forks workers with node:cluster \(serve the file that the workers run/);
  });

  test.each([
    ['', 'listen(18433)', 'listen_others = true'],
    ['', 'listen(18433)', ''],
    ['', 'listen({ port: 18433, exclusive: true })', ''],
    ['cluster.schedulingPolicy = cluster.SCHED_NONE;', 'listen(18433)', ''],
  ])('opens no port for forks of another file of the program: %s %s %s', async (before, listen, settings) => {
    const forks = `const cluster = require('cluster');
      ${before}
      if (cluster.isPrimary) cluster.fork();
      else require('node:http').createServer((req, res) => res.end()).${listen}.on('listening', () => console.log('it listens'));`;
    const cwd = project({ 'server.js': `require('./forks.js');`, 'forks.js': forks }, settings);
    const { status, stdout, stderr } = await paster(['serve', 'x.ini'], { cwd }).finished();
    expect(status).toBe(2);
    expect(stderr).toMatch(
      /^paster: forks\.js:3:\d+: \[app:main\] the program forks workers with node:cluster \(serve/m,
    );
    expect(stdout).not.toContain('it listens');
  });

  test('lets a program listen again after it has closed its server', async () => {
    const source = `const server = require('node:http').createServer((req, res) => res.end(String(server.listening)));
      server.listen(3000, () => server.close(() => server.listen(3000, () => console.log('listens again'))));`;
    const program = await serve(['x.ini'], { cwd: project({ 'server.js': source }) });
    await program.says(/listens again/);
    expect(await ask(program.url)).toBe('true');
    expect(program.output).not.toContain('is not opened');
  });

  test('does not report a server that only looks for a free port', async () => {
    const source = `const probe = require('node:net').createServer();
      probe.listen(4000, () => probe.close(() => {
        require('node:http').createServer((req, res) => res.end('found')).listen(4000);
      }));`;
    const program = await serve(['x.ini'], { cwd: project({ 'server.js': source }) });
    expect(await ask(program.url)).toBe('found');
    expect(program.output).not.toContain('is not opened');
  });

  test('resolves packages behind symbolic links like node, even if the program imports them later', async () => {
    const cwd = project({
      'server.mjs': `import { createServer } from 'node:http';
        import 'linked';
        createServer(async (req, res) => res.end((await import('linked/later')).url)).listen(3000);`,
      'store/linked/package.json': '{ "type": "module", "exports": { ".": "./index.js", "./later": "./later.js" } }',
      'store/linked/index.js': 'export default 1;',
      'store/linked/later.js': 'export const { url } = import.meta;',
    });
    symlinkSync('store', join(cwd, 'node_modules'));
    const { url } = await serve(['x.ini'], { cwd });
    expect(await ask(url)).toMatch(/\/store\/linked\/later\.js$/);
  });

  test('a program may end itself by a signal, without ending the command', async () => {
    const source = `require('node:http').createServer((req, res) => res.end('it')).listen(3000);
      process.once('SIGTERM', () => process.kill(process.pid, 'SIGTERM'));`;
    const { status, stdout } = await paster(['request', 'x.ini', '/'], {
      cwd: project({ 'server.js': source }),
    }).finished();
    expect([status, stdout]).toEqual([0, 'it']);
  });

  test('a program sees only its own signal handlers, and removes only those', async () => {
    const source = `require('node:http').createServer((req, res) => {
        res.end([process.listenerCount('SIGTERM'), process.listeners('SIGTERM').length, process.listenerCount('SIGINT')].join());
      }).listen(3000);
      process.on('SIGTERM', function () { console.log('term at the program', this === process); });
      process.on('SIGINT', () => console.log('int at the program'));
      process.removeAllListeners('SIGINT');`;
    const program = await serve(['x.ini'], { cwd: project({ 'server.js': source }) });
    expect(await ask(program.url)).toBe('1,1,0');
    const { status, stdout } = await program.kill('SIGINT');
    expect(status).toBe(0);
    expect(stdout).toContain('term at the program true');
    expect(stdout).not.toContain('int at the program');
  });

  test.each(['', '-w 2'])('waits for asynchronous work of TERM handlers %s', async (workers) => {
    const source = `require('node:http').createServer((req, res) => res.end('it')).listen(3000);
      process.on('SIGTERM', () => setTimeout(() => { console.log('flushed'); process.exit(0); }, 600));`;
    const cwd = project({ 'server.js': source });
    const program = await serve(['x.ini', ...workers.split(' ').filter(Boolean)], { cwd });
    const { status, stdout, stderr } = await program.kill('SIGTERM');
    expect(status).toBe(0);
    expect(stdout + stderr).toContain('flushed');
  });

  test.each(['', '-w 1'])(
    'lets a program send last messages on its WebSockets before they close %s',
    async (workers) => {
      const source = `const { WebSocketServer } = require(${packagePath('ws')});
      const server = require('node:http').createServer();
      const sockets = new WebSocketServer({ server });
      server.listen(3000);
      process.on('SIGTERM', async () => {
        await new Promise((resolve) => setTimeout(resolve, 100));
        for (const socket of sockets.clients) {
          socket.send('goodbye');
          socket.close(4001, 'come back');
        }
        server.close(() => process.exit(0));
      });`;
      const cwd = project({ 'server.js': source });
      const program = await serve(['x.ini', ...workers.split(' ').filter(Boolean)], { cwd });
      const socket = new WebSocket(program.url.replace('http', 'ws'));
      await once(socket, 'open');
      const message = once(socket, 'message');
      const closed = once(socket, 'close');
      const { status } = await program.kill('SIGTERM');
      expect([status, String((await message)[0]), (await closed).map(String)]).toEqual([
        0,
        'goodbye',
        ['4001', 'come back'],
      ]);
    },
  );

  test('lets a program end long polls of Socket.IO when it stops', async () => {
    const source = `const polls = new Set();
      require('node:http').createServer((req, res) => polls.add(res) && res.write('open ')).listen(3000);
      process.on('SIGTERM', () => polls.forEach((each) => each.end('closed')));`;
    const program = await serve(['x.ini'], { cwd: project({ 'server.js': source }) });
    const response = await fetch(`${program.url}/socket.io/?EIO=4&transport=polling&sid=1`);
    const [body, { status }] = await Promise.all([response.text(), program.kill('SIGTERM')]);
    expect([body, status]).toEqual(['open closed', 0]);
  });

  test('hides the channel to the supervisor from the program', async () => {
    const source = `process.removeAllListeners('message');
      process.removeAllListeners('disconnect');
      const messages = [];
      process.on('message', (message) => messages.push(message));
      process.disconnect?.();
      require('node:http').createServer((req, res) => res.end(process.pid + JSON.stringify(messages))).listen(3000);`;
    const program = await serve(['x.ini', '-w', '1'], { cwd: project({ 'server.js': source }) });
    const first = await ask(program.url);
    expect(first).toMatch(/^\d+\[\]$/);
    // The supervisor queries the worker.
    program.child.kill('SIGWINCH');
    await program.says(/^worker \d+, up/m);
    expect(await ask(program.url)).toBe(first);
    program.child.kill('SIGHUP');
    await program.says(/^reloaded$/m);
    // A keep-alive connection may still belong to the old worker.
    await eventually(async () => (await ask(program.url)) !== first);
  });

  test('a program that fails is reported with its file and line', async () => {
    const { status, stderr } = await paster(['serve', 'x.ini'], {
      cwd: project({ 'server.js': "\nthrow new Error('no database');\n" }),
    }).finished();
    expect(status).toBe(1);
    expect(stderr).toMatch(/server\.js:2:\d+: .*no database/);
  });
});

async function ask(url: string): Promise<string> {
  return (await fetch(url)).text();
}

/** The path of one of this project's packages, as a JavaScript string. */
function packagePath(name: string): string {
  return JSON.stringify(join(ROOT, 'node_modules', name));
}
