/** The files and messages of `paster create --from`. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { runHere } from '../../helpers/programs/command.ts';
import { app, create, SERVER } from './migration.ts';

describe('whether a program is a server', () => {
  test.each([
    ['instances: 2', { 'a.js': 'setInterval(() => {}, 1000);' }, ['use = program:../a.js', 'instances = 2']],
    ['instances: 2, exec_mode: "cluster"', { 'a.js': 'setInterval(() => {}, 1000);' }, ['use = program:../a.js']],
    ['env: { PORT: 1 }', { 'a.js': "require('node:fs'); // listen()" }, ['use = program:../a.js']],
    ['instances: 2', { 'a.js': "require('./b')", 'b.js': SERVER }, ['use = listen:../a.js', 'workers = 2']],
    ['', { 'a.js': "import './src/b.js';", 'src/b.ts': SERVER }, ['use = listen:../a.js']],
    ['instances: 2', { 'a.js': "require('@strapi/strapi')().start()" }, ['use = listen:../a.js', 'workers = 2']],
    ['instances: 2', { 'b.js': '' }, ['use = listen:../a.js', 'workers = 2']],
    [
      'script: "node_modules/other/cli.js", args: "start", env: { PORT: 1 }',
      { 'a.js': '', 'node_modules/other/cli.js': '' },
      ['use = listen:../node_modules/other/cli.js', 'args = start'],
    ],
    ['', { 'b.js': '' }, ['use = program:../a.js']],
  ])('%s, %j', async (fields, files, lines) => {
    const ecosystem = `module.exports = { apps: [{ name: "a", script: "a.js", ${fields} }] };\n`;
    const { config, stdout } = await create({ 'ecosystem.config.js': ecosystem, ...files });
    for (const line of lines) expect(config).toContain(`\n${line}\n`);
    // The note is only about a program that could be a server: its section has instances or a port.
    const isUnserved = fields !== '' && lines.includes('use = program:../a.js');
    expect(stdout.includes('its code does not call listen(); if it serves HTTP, run create --from with web=a')).toBe(
      isUnserved,
    );
    expect(stdout.includes('there is no a.js yet: build it')).toBe(!('a.js' in files));
  });

  test('another program with a port opens the port itself', async () => {
    const { config } = await create({
      'ecosystem.config.js':
        'module.exports = { apps: [{ script: "job.py", env: { PORT: 3000 } }, { script: "other.py" }] };',
      'job.py': '',
      'other.py': '',
    });
    expect(config).toContain('command = python3 job.py\nstop_signal = SIGINT\ncwd = %(here)s/..\nexclusive = true');
    expect(config.match(/^exclusive/gm)).toHaveLength(1);
  });
});

test('a WebSocket server with its own port ends before its successor listens, also in a Procfile', async () => {
  const files = {
    'chat.js': "const { WebSocketServer } = require('ws');\nnew WebSocketServer({ port: +process.env.WS_PORT });\n",
    'feed.js': "const WebSocket = require('ws');\nnew WebSocket.Server(require('./options'));\n",
    'options.js': 'module.exports = { port: 4322 };\n',
    'manual.js': "const { WebSocketServer } = require('ws');\nnew WebSocketServer({ noServer: true });\n",
    'server.js': SERVER,
  };
  const scripts = ['chat.js', 'feed.js', 'manual.js', 'server.js'];
  const ecosystem = `module.exports = { apps: ${JSON.stringify(scripts.map((script) => ({ script })))} };\n`;
  const { config } = await create({ 'ecosystem.config.js': ecosystem, ...files });
  const lines = (script: string) => `use = program:../${script}\ncwd = %(here)s/..`;
  expect(config).toContain('use = listen:../server.js');
  expect(config).toContain(`${lines('chat.js')}\nexclusive = true`);
  expect(config).toContain(`${lines('feed.js')}\nexclusive = true`);
  expect(config).toContain(lines('manual.js'));
  expect(config.match(/^exclusive/gm)).toHaveLength(2);
  const procfile = await create({ Procfile: 'web: node server.js\nchat: node chat.js\n', ...files });
  expect(procfile.config).toMatch(/use = program:..\/chat.js\n[^[]*^exclusive = true/m);
});

describe('ways to listen', () => {
  const GRPC = "const grpc = require('@grpc/grpc-js');\nconst server = new grpc.Server();\nserver.bindAsync(";
  const OTHER: Readonly<Record<string, string>> = {
    'grpc.js': `${GRPC}'0.0.0.0:50051', grpc.ServerCredentials.createInsecure(), () => {});`,
    'grpc.mjs': "import { createServer } from 'nice-grpc';\nawait createServer().listen('0.0.0.0:50052');",
    'tcp.js': "const net = require('net');\nnet.createServer((socket) => socket.end()).listen(7000);",
    'tcp.mjs': "import { createServer } from 'node:net';\ncreateServer().listen({ port: 7000 });",
    'udp.js': "require('node:dgram').createSocket('udp4').bind(7001);",
    'chat.js': "const { Server } = require('ws');\nnew Server({ port: 8081 });",
    'uws.js': "require('uWebSockets.js').App().listen(9001, () => {});",
    'nest.js':
      "const { NestFactory } = require('@nestjs/core');\nNestFactory.createMicroservice(X).then((app) => app.listen());",
  };
  const HTTP: Readonly<Record<string, string>> = {
    'fastify.mjs': "import Fastify from 'fastify';\nawait Fastify().listen({ port: 3000 });",
    'koa.js': "new (require('koa'))().listen(3000);",
    'hono.mjs': "import { serve } from '@hono/node-server';\nserve({ fetch: app.fetch, port: 3000 });",
    'hapi.js': "const server = require('@hapi/hapi').server({ port: 3000 });\nserver.start();",
    'io.mjs': "import { Server } from 'socket.io';\nnew Server(Number(process.env.PORT));",
    'io.js': "require('socket.io')(3000);",
    'adonis.js': 'new Ignitor(url).httpServer().start();',
    'both.js': `require('express')().listen(3000);\n${GRPC}'0.0.0.0:50051', credentials, () => {});`,
    'hybrid.js':
      "const { NestFactory } = require('@nestjs/core');\nNestFactory.create(X).then((app) => app.listen(1));",
    'client.js': "const net = require('net');\nnet.connect(1);\nrequire('http').createServer().listen(3000);",
  };
  const NONE: Readonly<Record<string, string>> = {
    'client.mjs': "import net from 'node:net';\nnet.connect(7000);",
    'bun.js': 'if (globalThis.Bun) Bun.serve({ fetch });',
    'calls.js': "const grpc = require('@grpc/grpc-js');\nnew grpc.Client('a', grpc.credentials.createInsecure());",
  };

  test('each of them is recognized, and a client is not', async () => {
    const files = { ...OTHER, ...HTTP, ...NONE };
    const apps = Object.keys(files).map((script) => ({ name: script, script }));
    const { config, stdout } = await create(
      { 'ecosystem.config.js': `module.exports = { apps: ${JSON.stringify(apps)} };\n`, ...files },
      'web=',
    );
    const listed = [...config.matchAll(/^\[process:(.+)\]\n[^[]*?^exclusive = true/gm)].map(([, name]) => name);
    expect(listed).toEqual([...Object.keys(OTHER), ...Object.keys(HTTP)]);
    expect(stdout).not.toContain('does not call listen()');
  });

  test('a program with another protocol than HTTP is not served by paster, whatever its port and instances', async () => {
    const { config, stdout } = await create({
      'ecosystem.config.js':
        'module.exports = { apps: [{ script: "grpc.js", instances: 4, exec_mode: "cluster", env: { PORT: 50051 } }] };',
      'grpc.js': OTHER['grpc.js'] ?? '',
    });
    expect(config).not.toContain('[server:main]');
    expect(config).toContain('[process:grpc]\nuse = program:../grpc.js\ncwd = %(here)s/..\nexclusive = true\n');
    expect(stdout).toContain('grpc: instances: one process, because several cannot open the same port');
    const procfile = await create({ Procfile: 'web: node grpc.js\n', 'grpc.js': OTHER['grpc.js'] ?? '' });
    expect(procfile.config).toContain('[process:web-app]\nuse = program:../grpc.js\n');
    expect(procfile.stdout).toContain('web: paster serves HTTP; this one opens its port by itself');
  });
});

describe('a script of a workspace', () => {
  const FILES = {
    'package.json': JSON.stringify({
      workspaces: ['packages/*', 'apps/**', '!packages/old'],
      scripts: {
        api: 'npm start -w api',
        loop: 'npm run loop',
        clock: 'exec clock --hourly',
        jobs: 'cd packages/jobs && yarn start',
      },
    }),
    'packages/api/package.json': '{ "name": "@shop/api", "scripts": { "start": "node ." } }',
    'packages/api/index.js': SERVER,
    'packages/jobs/package.json':
      '{ "name": "jobs", "scripts": { "start": "A=1 node src/jobs", "db": "migrate up && start-jobs" }, "dependencies": { "x": "1" } }',
    'packages/jobs/src/jobs.js': '',
    'packages/old/package.json': '{ "name": "jobs", "scripts": { "start": "node old.js" } }',
    'apps/shop/web/package.json': '{ "name": "web", "scripts": { "start": "node ../../../server.js" } }',
  };
  const API = 'program:../packages/api/index.js\ncwd = %(here)s/../packages/api\n';
  const JOBS = 'program:../packages/jobs/src/jobs.js\ncwd = %(here)s/../packages/jobs\n';
  test.each([
    ['npm run start -w @shop/api', API],
    ['npm start --workspace=packages/api', API],
    ['npm --workspace jobs start', JOBS],
    ['npm start --prefix packages/api', API],
    ['yarn workspace jobs start', JOBS],
    ['yarn workspace @shop/api run start', API],
    ['pnpm --filter api start', API],
    ['pnpm run -F ./packages/jobs start -- --once', JOBS.replace('cwd', 'args = --once\ncwd')],
    ['npm run jobs', JOBS],
    ['exec npm run jobs', JOBS],
    ['A=1 B="2 3" exec celery worker', 'command = sh -c \'exec env A=1 B="2 3" celery worker\'\n'],
    ['cd packages/jobs && exec node src/jobs', JOBS],
    ['npm run clock', 'command = clock --hourly\n'],
    ['npm start -w web', 'program:../server.js\ncwd = %(here)s/../apps/shop/web\n'],
    [
      'npm run db -w jobs',
      'command = sh -c \'export PATH="$PWD/node_modules/.bin:$PWD/../../node_modules/.bin:$PATH"; migrate up && exec start-jobs\'\ncwd = %(here)s/../packages/jobs\n',
    ],
  ])('%s', async (line, started) => {
    const { status, config } = await create({ Procfile: `other: ${line}\n`, ...FILES });
    expect(status).toBe(0);
    expect(config).toContain(started);
  });

  test.each(['npm start -w nope', 'npm start -ws', 'npm run loop', 'npm start -w web -w jobs', 'pnpm -r start'])(
    'stays a command: %s',
    async (line) => {
      const { status, config } = await create({ Procfile: `other: ${line}\n`, ...FILES });
      expect(status).toBe(0);
      expect(config).toContain(`command = ${line}\n`);
    },
  );

  test('pnpm lists workspaces in its own file', async () => {
    const { config } = await create({
      Procfile: 'web: pnpm --filter api start\n',
      ...FILES,
      'package.json': '{}',
      'pnpm-workspace.yaml': 'packages:\n  # ours\n  - \'packages/*\'\n  - "!packages/old"\ncatalog:\n  x: 1\n',
    });
    expect(config).toContain('use = listen:../packages/api/index.js\ncwd = %(here)s/../packages/api\n');
  });
});

describe('several servers', () => {
  const TWO = {
    'ecosystem.config.js':
      'module.exports = { apps: [{ name: "api", script: "server.js" }, { name: "admin", script: "admin.js", instances: 2 }] };',
  };

  test('the first one is served, and one with several processes gets its own file', async () => {
    const { written, stdout } = await create(TWO);
    expect(stdout).toMatch(/^Next: npm install \S+ && npx paster serve etc\/develop.ini --reload$/m);
    expect(stdout).toContain(
      'In production: npx paster serve etc/config.ini\nIn production: npx paster serve etc/admin.ini',
    );
    expect(written['etc/config.ini']).toContain('use = listen:../server.js');
    expect(written['etc/config.ini']).not.toContain('admin.js');
    expect(written['etc/admin.ini']).toContain('use = listen:../admin.js');
    expect(written['etc/admin.ini']).toContain('workers = 2');
  });

  test('the port is that of the variable that the program reads, and a guess is reported', async () => {
    const two = (listens: string) =>
      create({
        'ecosystem.config.js':
          'module.exports = { apps: [{ name: "api", script: "server.js" }, { name: "admin", script: "admin.js", instances: 2, env: { ADMIN_PORT: 4400 } }] };',
        'admin.js': `require('node:http').createServer(() => {}).listen(${listens});\n`,
      });
    const read = await two('process.env.ADMIN_PORT');
    expect(read.written['etc/admin.ini']).toContain('port = 4400\n');
    expect(read.stdout).not.toContain('guess');
    const guessed = await two('require("./settings").port');
    const note = 'port: neither the file nor the text of the program names it: 8080 is a guess';
    expect(guessed.stdout).toContain(`  admin: ${note}\n`);
    expect(guessed.written['etc/admin.ini']).toContain(`# ${note}.\n`);
  });

  test('web= chooses another server, or none', async () => {
    const { config } = await create(TWO, 'web=admin');
    expect(config).toContain('use = listen:../admin.js');
    expect(config).toContain(
      '# It listens on port 4321 by itself: at a reload, the old process has to end before the new one can listen.\n[process:api]\nuse = program:../server.js\ncwd = %(here)s/..\nexclusive = true',
    );
    expect((await app('name: "a", script: "server.js"', 'web=')).config).not.toContain('[server:main]');
    expect((await create(TWO, 'web=amin')).stderr).toContain(
      'there is no Node program of this name (there are: admin)',
    );
  });
});

describe('the command', () => {
  const WEB = 'name: "web", script: "server.js"';

  test('creates var/ for pid files and logs, unless the project has one', async () => {
    expect((await app(WEB)).written['var/.gitignore']).toBe('*\n!.gitignore\n');
    const { written } = await create({
      'ecosystem.config.js': `module.exports = { apps: [{ ${WEB} }] };`,
      'var/own': '',
    });
    expect(written).not.toHaveProperty(['var/.gitignore']);
  });

  test('lists a note of several apps and keys once', async () => {
    const { stdout, config } = await create({
      'ecosystem.config.js':
        'module.exports = { apps: [{ name: "a", script: "server.js", out_file: "o", error_file: "e" }, { name: "b", script: "worker.js", out_file: "o", error_file: "e" }] };',
    });
    expect(stdout.match(/paster writes the output of all/g)).toHaveLength(1);
    expect(stdout).toContain('  a, b: out_file, error_file: paster writes');
    expect(config).toContain('# out_file, error_file: paster writes');
  });

  test('replaces nothing without --overwrite, and --simulate shows what it would do', async () => {
    const { directory, config } = await app(WEB);
    const again = (...args: string[]) =>
      runHere(['create', '--from', 'ecosystem.config.js', ...args], { cwd: directory });
    expect((await again()).stdout).toContain('same: etc/config.ini');
    const other = `${config}# mine\n`;
    writeFileSync(join(directory, 'etc/config.ini'), other);
    expect((await again('-n')).stdout).toMatch(/config\.ini +would be kept/);
    expect(await again()).toMatchObject({ status: 1, stderr: expect.stringContaining('1 file differs and was kept') });
    expect(readFileSync(join(directory, 'etc/config.ini'), 'utf8')).toBe(other);
    expect((await again('--overwrite')).status).toBe(0);
  });

  test.each([
    [['shop'], '--from writes etc/ beside the file, not "shop"'],
    [['-t', 'express'], '--template is for new projects'],
    [['port=1'], '--from has no variable "port"'],
    [['env=live'], 'no app has env_live'],
  ])('reports an error for %j', async (args, message) => {
    const { status, stderr } = await app(WEB, ...args);
    expect(status).toBe(2);
    expect(stderr).toContain(message);
  });

  test('uses the environment of env=', async () => {
    const { config, develop } = await app(`${WEB}, env_staging: { A: 1 }, env_development: { A: 2 }`, 'env=staging');
    expect(config).toContain('    A=1');
    expect(develop).toContain('    A=2');
    const plain = await app(`${WEB}, env: { NODE_ENV: "production", A: 3 }`);
    expect(plain.config).toContain('    NODE_ENV=production');
    expect(plain.develop).toContain('    A=3');
    expect(plain.develop).not.toContain('NODE_ENV');
  });

  test('refuses a file of another kind', async () => {
    expect((await create({ 'compose.toml': '' })).stderr).toContain('--from: compose.toml is neither');
  });
});

test.each(['Procfile', 'ecosystem.config.js'])('a FIFO named %s is not read', async (name) => {
  const cwd = temporaryDirectory();
  execFileSync('mkfifo', [join(cwd, name)]);
  const done = await runHere(['create', '--from', name], { cwd });
  expect(done).toMatchObject({ status: 2, stderr: expect.stringMatching(/cannot read \S+: not a regular file/) });
});
