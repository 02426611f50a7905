/** Worker threads of a program: their ports would be past the filters of the INI file. */
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../helpers/directory.ts';
import { freePort, paster, serve } from '../helpers/program.ts';

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
    ['with a text as its code', 'server.cjs', TEXT, /calls listen\(\) on port \d+ in a worker thread/],
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
