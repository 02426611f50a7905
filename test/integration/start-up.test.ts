/** Which modules a start of paster loads: parts of Node and of paster that few servers need are loaded later. */
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../helpers/directory.ts';
import { ROOT, serve } from '../helpers/programs/program.ts';

const REPORT = `process.on('exit', () => {
  const loaded = process.moduleLoadList.flatMap((each) => /^NativeModule ([a-z_]+)$/.exec(each)?.[1] ?? []);
  process.stderr.write('loaded ' + loaded.join(' ') + '\\n');
});
`;

/** The public modules of Node that a program has loaded, or the last of its processes to end. */
function modulesOf(args: readonly string[], cwd: string): string[] {
  const report = `--import=data:text/javascript,${encodeURIComponent(REPORT)}`;
  const output = execFileSync('sh', ['-c', 'exec "$0" "$@" 2>&1', process.execPath, report, ...args], { cwd });
  return [...output.toString().matchAll(/^loaded (.*)$/gm)].at(-1)?.[1]?.split(' ') ?? [];
}

test('--help needs no server', () => {
  const modules = modulesOf([join(ROOT, 'bin/paster.js'), '--help'], ROOT);
  expect(modules).toContain('fs');
  for (const each of ['child_process', 'crypto', 'dns', 'os', 'worker_threads']) expect(modules).not.toContain(each);
});

test.each(['config', 'check'])('%s loads no server', (command) => {
  const cwd = temporaryDirectory({ 'x.ini': '[app:main]\nuse = npm:paster#test\n' });
  const modules = modulesOf([join(ROOT, 'bin/paster.js'), command, 'x.ini'], cwd);
  expect(modules).toContain('fs');
  for (const each of ['crypto', 'http', 'perf_hooks']) expect(modules).not.toContain(each);
});

test('loadApp needs no processes, threads or cryptography', () => {
  const cwd = temporaryDirectory({
    'package.json': '{"type": "module"}',
    'app.js': 'export const make = () => (req, res) => res.end();\n',
    'x.ini': '[app:main]\nuse = call:./app.js:make\n',
    'load.js': `const { loadApp } = await import(${JSON.stringify(join(ROOT, 'dist/index.js'))});
await loadApp('config:x.ini', { relativeTo: import.meta.dirname });\n`,
  });
  const modules = modulesOf(['load.js'], cwd);
  expect(modules).toContain('net');
  const unneeded = ['child_process', 'cluster', 'crypto', 'dgram', 'vm', 'worker_threads'];
  for (const each of unneeded) expect(modules).not.toContain(each);
});

/** Responds with the scripts of its process, including Node's own. */
const SCRIPTS_APP = `import { Session } from 'node:inspector';
const session = new Session();
session.connect();
const scripts = [];
session.on('Debugger.scriptParsed', ({ params }) => scripts.push(params.url));
session.post('Debugger.enable');
export default (req, res) => res.end(JSON.stringify(scripts));\n`;

test.each([
  ['one process', [], ['serve', 'load'], ['serve-worker']],
  ['a worker', ['-w', '1'], ['serve-worker', 'load'], ['serve']],
])('%s of a plain server loads only what it needs', async (_name, options, needed, others) => {
  const cwd = temporaryDirectory({
    'package.json': '{"type": "module"}',
    'app.js': SCRIPTS_APP,
    'x.ini': '[app:main]\nuse = module:./app.js\n\n[server:main]\nuse = npm:paster#http\nport = 0\n',
  });
  const { url } = await serve(['x.ini', ...options], { cwd });
  const scripts = (await (await fetch(url)).json()) as string[];
  const ours = scripts.flatMap((each) => /\/dist\/([\w-]+)\.js$/.exec(each)?.[1] ?? []);
  expect(ours).toEqual(expect.arrayContaining(needed));
  const unneeded = [...others, 'supervisor', 'start-process', 'logging', 'certificates', 'proxy-protocol'];
  // A file that has got another name would never be loaded.
  expect(readdirSync(join(ROOT, 'dist'))).toEqual(expect.arrayContaining(unneeded.map((each) => `${each}.js`)));
  for (const each of unneeded) expect(ours).not.toContain(each);
  for (const each of ['node:crypto', 'node:dns/promises']) expect(scripts).not.toContain(each);
});

test.each([
  ['one process', []],
  ['a worker', ['-w', '1']],
])(
  '%s: Node does not track promises while an application loads, which would slow down its import',
  async (_name, options) => {
    const cwd = temporaryDirectory({
      'package.json': '{"type": "module"}',
      // Promises have IDs only while Node tracks them.
      'app.js': `import { executionAsyncId } from 'node:async_hooks';
await undefined;
const loading = executionAsyncId();
export default (req, res) => res.end(String(loading));\n`,
      'x.ini': '[app:main]\nuse = module:./app.js\n\n[server:main]\nuse = npm:paster#http\nport = 0\n',
    });
    const { url } = await serve(['x.ini', ...options], { cwd });
    expect(await (await fetch(url)).text()).toBe('0');
  },
);
