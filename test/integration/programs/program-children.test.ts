/** Worker threads and child processes of a program: their ports would bypass the filters of the INI file. */
import { dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { freePort, paster, serve } from '../../helpers/programs/program.ts';

const COMMONJS = `const { Worker, isMainThread } = require('node:worker_threads');
const { createServer } = require('node:http');
if (isMainThread) {
  new Worker(__filename);
  createServer((req, res) => res.end('main')).listen(3000);
} else {
  createServer((req, res) => res.end('thread')).listen(LISTEN, () => console.log('the thread listens'));
}
`;
const MODULE = COMMONJS.replace(/const (\{.*\}) = require\((.*)\);/g, 'import $1 from $2;').replace(
  '__filename',
  'new URL(import.meta.url)',
);
const TEXT = `new (require('node:worker_threads').Worker)(
  "require('node:http').createServer().listen(LISTEN)", { eval: true });
require('node:http').createServer((req, res) => res.end('main')).listen(3000);
`;
const NESTED = COMMONJS.replace('isMainThread)', 'isMainThread || !require("node:worker_threads").workerData)')
  .replace('new Worker(__filename)', 'new Worker(__filename, { workerData: !isMainThread })')
  .replace(
    "createServer((req, res) => res.end('main'))",
    "if (isMainThread) createServer((req, res) => res.end('main'))",
  );

function project(name: string, source: string, settings = ''): string {
  const ini = `[app:main]\nuse = listen:./${name}\n${settings}\n[server:main]\nuse = npm:paster#http\nport = 0\n`;
  return temporaryDirectory({ [name]: source, 'x.ini': ini });
}

describe('a thread that calls listen()', () => {
  test.each([
    [
      'of a CommonJS module',
      'server.cjs',
      COMMONJS,
      /server\.cjs:7:\d+: calls listen\(\) on port \d+ in a worker thread/,
    ],
    ['of an ES module', 'server.mjs', MODULE, /server\.mjs:7:\d+: calls listen\(\) on port \d+ in a worker thread/],
    ['with its code as text', 'server.cjs', TEXT, /calls listen\(\) on port \d+ in a worker thread/],
    ['that another thread starts', 'server.cjs', NESTED, /server\.cjs:7:\d+: calls listen\(\) on port \d+/],
  ])('is refused with its place: %s', async (_how, name, source, message) => {
    const port = await freePort();
    const cwd = project(name, source.replace('LISTEN', String(port)));
    const { status, stdout, stderr } = await paster(['serve', 'x.ini'], { cwd }).finished();
    expect(status).toBe(1);
    expect(stderr).toMatch(message);
    expect(stdout).not.toContain('the thread listens');
  });

  test('listens with listen_others', async () => {
    const port = await freePort();
    const cwd = project('server.cjs', COMMONJS.replace('LISTEN', String(port)), 'listen_others = true');
    const program = await serve(['x.ini'], { cwd });
    await program.says(/the thread listens/);
    expect(await (await fetch(`http://127.0.0.1:${port}`)).text()).toBe('thread');
    expect(await (await fetch(program.url)).text()).toBe('main');
  });

  test.each([
    "'\\0' + process.pid + 'thread'",
    "require('node:path').join(require('node:os').tmpdir(), process.pid + '.sock')",
  ])('may listen on a Unix socket for its own program: %s', async (path) => {
    const program = await serve(['x.ini'], { cwd: project('server.cjs', COMMONJS.replace('LISTEN', path)) });
    await program.says(/the thread listens/);
    expect(await (await fetch(program.url)).text()).toBe('main');
  });
});

/** A program that starts itself again as a child process. */
const parent = (start: string): string => `const childProcess = require('node:child_process');
const { createServer } = require('node:http');
if (process.argv[2] !== 'child') {
  const child = ${start};
  child.on('exit', (status) => console.log('the child ended with', status));
  createServer((req, res) => res.end('main')).listen(3000);
} else {
  createServer((req, res) => res.end('child')).listen(LISTEN, () => console.log('the child listens'));
  // No child outlives the test.
  process.on('disconnect', () => process.exit());
}
`;
const FORK = "childProcess.fork(__filename, ['child'])";
const INHERIT = "{ stdio: 'inherit' }";

describe('a child process that calls listen()', () => {
  test.each([
    ['fork', FORK],
    ['fork with its own options', "childProcess.fork(__filename, ['child'], { execArgv: [], env: {} })"],
    [
      'fork with null for options that are not set',
      "childProcess.fork(__filename, ['child'], { execArgv: null, env: null })",
    ],
    ['spawn with the path of Node', `childProcess.spawn(process.execPath, [__filename, 'child'], ${INHERIT})`],
    ['spawn with the name of Node', `childProcess.spawn('node', [__filename, 'child'], ${INHERIT})`],
    [
      'spawn with null for options that are not set',
      `childProcess.spawn('node', [__filename, 'child'], { env: null, stdio: 'inherit' })`,
    ],
  ])('is refused with its place: %s', async (_how, start) => {
    const port = await freePort();
    const source = parent(start).replace('LISTEN', String(port));
    const program = await serve(['x.ini'], {
      cwd: project('server.cjs', source),
      env: { PATH: `${dirname(process.execPath)}:${process.env['PATH']}` },
    });
    await program.says(/the child ended with 1/);
    expect(program.output).toMatch(
      /calls listen\(\) on port \d+ in a child process \(listen_others = true opens it, past the filters\)\n.*server\.cjs:8:/,
    );
    expect(program.output).not.toContain('the child listens');
    expect(await (await fetch(program.url)).text()).toBe('main');
  });

  test('is refused in the child of a child, whatever options it has', async () => {
    const port = await freePort();
    const nested = `if (process.argv[2] === 'between') require('node:child_process').fork(__filename, ['child'], { execArgv: [] });
else {
${parent(FORK.replace("['child']", "['between']")).replace('LISTEN', String(port))}}
`;
    const program = await serve(['x.ini'], { cwd: project('server.cjs', nested) });
    await program.says(/calls listen\(\) on port \d+ in a child process/);
    expect(program.output).not.toContain('the child listens');
  });

  test('listens with listen_others', async () => {
    const port = await freePort();
    const source = parent(FORK).replace('LISTEN', String(port));
    const program = await serve(['x.ini'], { cwd: project('server.cjs', source, 'listen_others = true') });
    await program.says(/the child listens/);
    expect(await (await fetch(`http://127.0.0.1:${port}`)).text()).toBe('child');
  });

  test('may listen on a Unix socket for its own program', async () => {
    const path = "require('node:path').join(require('node:os').tmpdir(), process.pid + '.sock')";
    const program = await serve(['x.ini'], { cwd: project('server.cjs', parent(FORK).replace('LISTEN', path)) });
    await program.says(/the child listens/);
  });
});
