/** `preload`: modules that every process of the application imports before its code, and calls at its end. */
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findUser } from '../../../src/files/passwd.ts';
import { temporaryDirectory, writeFiles } from '../../helpers/directory.ts';
import { eventually, paster, requireRoot, serve } from '../../helpers/programs/program.ts';
import { ask } from '../../helpers/requests/ask.ts';

/** An ES module whose hook changes the application's text, and which writes to a file when it would send its last data. */
const TRACE = `import { appendFileSync } from 'node:fs';
import { register } from 'node:module';
globalThis.traced = (globalThis.application ?? '') + 'traced';
register('./hooks.js', import.meta.url);
const note = (what) => new Promise((resolve) => setTimeout(resolve, 100)).then(() => appendFileSync('ends', what + ' ' + process.pid + '\\n'));
`;
const ENDINGS = {
  'an export shutdown': `export const shutdown = () => note('ended');\nprocess.on('SIGTERM', () => note('never'));`,
  'a handler of SIGTERM that returns a promise': `process.on('SIGTERM', () => note('ended'));\nprocess.once('beforeExit', () => note('never'));`,
  'a handler of SIGTERM that calls process.exit()': `process.on('SIGTERM', () => { note('ended').finally(() => process.exit(0)); });`,
  'a handler of beforeExit': `process.once('beforeExit', () => note('ended'));`,
};
const HOOKS = `export async function load(url, context, next) {
  const loaded = await next(url, context);
  return url.endsWith('/app.js') ? { ...loaded, source: String(loaded.source).replace('UNHOOKED', 'hooked') } : loaded;
}
`;
const APP = `globalThis.application = 'application before ';
const seen = globalThis.traced + ' UNHOOKED';
export default (req, res) => {
  if (req.url === '/crash') setImmediate(() => { throw new Error('crashed'); });
  else if (req.url === '/variable') res.end(process.env.OTEL_RESOURCE_ATTRIBUTES);
  else res.end(seen);
};
`;

function project(settings = '', trace = TRACE + ENDINGS['an export shutdown'], preload = './trace.js') {
  return temporaryDirectory({
    'package.json': '{"name": "shop", "version": "1.2.3", "type": "module"}',
    'app.js': APP,
    'trace.js': trace,
    'hooks.js': HOOKS,
    'x.ini': `[app:main]\nuse = module:./app.js\n[server:main]\nuse = npm:paster#http\nport = 0\npreload = ${preload}\n${settings}\n`,
  });
}

const bodyOf = async (url: string, path = '/') => String((await ask(url, path)).body);
const endsIn = (cwd: string) => readFileSync(join(cwd, 'ends'), { encoding: 'utf8', flag: 'a+' });

describe('preload runs before all code of the application', () => {
  test.each([
    ['one process', ''],
    ['workers', 'workers = 1'],
    ['spare workers', 'workers = 1\nspare_workers = 1'],
  ])('in serve: %s', async (_what, settings) => {
    const cwd = project(settings);
    const program = await serve(['x.ini'], { cwd });
    expect(await bodyOf(program.url)).toBe('traced hooked');
    if (settings === '') return;
    process.kill(program.pid, 'SIGHUP');
    await program.says(/reloaded/);
    expect(await bodyOf(program.url)).toBe('traced hooked');
  });

  test.skipIf(!requireRoot()).each([
    ['one process', ''],
    ['workers', 'workers = 1\nspare_workers = 1'],
  ])('as the user of --user: %s', async (_what, settings) => {
    const cwd = project(settings, 'globalThis.traced = process.getuid();');
    chmodSync(cwd, 0o755);
    const program = await serve(['x.ini', '--user', 'nobody'], { cwd });
    expect(await bodyOf(program.url)).toBe(`${findUser('nobody')?.uid} UNHOOKED`);
    if (settings === '') return;
    process.kill(program.pid, 'SIGHUP');
    await program.says(/reloaded/);
    expect(await bodyOf(program.url)).toBe(`${findUser('nobody')?.uid} UNHOOKED`);
  });

  test('in a spare worker, while it waits', async () => {
    const note = "import { appendFileSync } from 'node:fs';\nappendFileSync('imports', process.pid + '\\n');";
    const cwd = project('workers = 1\nspare_workers = 1', note);
    await serve(['x.ini'], { cwd });
    await eventually(() => readFileSync(join(cwd, 'imports'), 'utf8').split('\n').length === 3);
  });

  test('in request and shell, which also call shutdown', async () => {
    const cwd = project();
    expect(await paster(['request', 'x.ini', '/'], { cwd }).finished()).toMatchObject({
      status: 0,
      stdout: 'traced hooked',
    });
    const input = "(await request('/')).text\n";
    expect((await paster(['shell', '-q', 'x.ini'], { cwd, input }).finished()).stdout).toContain('traced hooked');
    expect(endsIn(cwd)).toMatch(/^ended \d+\nended \d+\n$/);
  });

  test('in check, which reports its error', async () => {
    const check = (cwd: string) => paster(['check', 'x.ini'], { cwd }).finished();
    expect(await check(project())).toMatchObject({ status: 0 });
    const failed = await check(project('', 'throw new Error("no licence");'));
    expect(failed.status).toBe(2);
    expect(failed.stdout + failed.stderr).toMatch(/trace\.js:1:7: (\[server:main\] preload: )?Error: no licence/);
  });

  test('in serve --reload, which imports no packages before it, and reloads when its modules change', async () => {
    const cwd = project('workers = 1', `import './name.js';\n${TRACE.replace("'traced'", 'globalThis.name')}`);
    writeFiles(cwd, {
      'name.js': "globalThis.name = 'traced';",
      'app.js': `import library from 'library';\n${APP.replace('const seen = ', "const seen = library + ' ' + ")}`,
      'node_modules/library/package.json': '{"name": "library", "type": "module", "exports": "./index.js"}',
      'node_modules/library/index.js':
        "export default globalThis.traced + (globalThis.application ? ' late' : ' early');",
    });
    const program = await serve(['x.ini', '--reload'], { cwd });
    expect(await bodyOf(program.url)).toBe('traced early traced hooked');
    writeFileSync(
      join(cwd, 'app.js'),
      readFileSync(join(cwd, 'app.js'), 'utf8').replace("library + ' '", "library + ' 2 '"),
    );
    await eventually(async () => (await bodyOf(program.url)) === 'traced early 2 traced hooked');
    writeFileSync(join(cwd, 'name.js'), "globalThis.name = 'retraced';");
    await eventually(async () => (await bodyOf(program.url)) === 'retraced early 2 retraced hooked');
    expect((await paster(['check', 'x.ini', '-v'], { cwd }).finished()).stdout).toContain(
      'no packages are imported ahead: preload names modules that come first',
    );
  });
});

describe('shutdown is called at the end', () => {
  test.each(Object.entries(ENDINGS))('%s', async (_what, ending) => {
    const cwd = project('workers = 1', TRACE + ending);
    const program = await serve(['x.ini'], { cwd });
    process.kill(program.pid, 'SIGHUP');
    await program.says(/reloaded/);
    await eventually(() => endsIn(cwd).split('\n').length === 2);
    await program.kill('SIGTERM');
    expect(endsIn(cwd)).toMatch(/^(ended \d+\n){2}$/);
  });

  test('after a program that listens by itself and calls process.exit()', async () => {
    const cwd = project('workers = 1', TRACE + ENDINGS['a handler of SIGTERM that calls process.exit()']);
    writeFileSync(
      join(cwd, 'x.ini'),
      readFileSync(join(cwd, 'x.ini'), 'utf8').replace('module:./app.js', 'listen:./server.js'),
    );
    writeFileSync(
      join(cwd, 'server.js'),
      `import { appendFileSync } from 'node:fs';
      import { createServer } from 'node:http';
      const server = createServer((req, res) => res.end(globalThis.traced)).listen(3000);
      process.on('SIGTERM', () => {
        appendFileSync('ends', 'closed ' + process.pid + '\\n');
        server.close(() => process.exit(0));
      });`,
    );
    const program = await serve(['x.ini'], { cwd });
    expect(await bodyOf(program.url)).toBe('traced');
    process.kill(program.pid, 'SIGHUP');
    await eventually(() => endsIn(cwd).includes('ended'));
    await program.kill('SIGTERM');
    expect(endsIn(cwd)).toMatch(/^(closed (\d+)\nended \2\n){2}$/);
  });

  test.each([
    ['TERM', 'SIGTERM', ''],
    ['INT', 'SIGINT', ''],
    ['TERM', 'SIGTERM', 'workers = 1'],
    ['INT', 'SIGINT', 'workers = 1'],
  ] as const)('of %s: %s %s', async (_what, signal, settings) => {
    const cwd = project(settings);
    const program = await serve(['x.ini'], { cwd });
    await program.kill(signal);
    expect(endsIn(cwd)).toMatch(/^ended \d+\n$/);
  });

  test('after the last request, even if TERM is sent to every process, as systemd does', async () => {
    const cwd = project('workers = 1', TRACE + ENDINGS['a handler of SIGTERM that returns a promise']);
    writeFileSync(
      join(cwd, 'app.js'),
      `import { existsSync } from 'node:fs';
      export default (req, res) => {
        res.write('begun ');
        const timer = setInterval(() => {
          if (!existsSync('go')) return;
          clearInterval(timer);
          res.end(existsSync('ends') ? 'after' : 'before');
        }, 10);
      };`,
    );
    const program = await serve(['x.ini'], { cwd, ownGroup: true });
    const response = await fetch(program.url);
    program.signalGroup('SIGTERM');
    await eventually(() =>
      fetch(program.url).then(
        () => false,
        () => true,
      ),
    );
    writeFileSync(join(cwd, 'go'), '');
    expect(await response.text()).toBe('begun before');
    await program.finished();
    expect(endsIn(cwd)).toMatch(/^ended \d+\n$/);
  });

  test.each([
    ['one process', ''],
    ['workers', 'workers = 1'],
  ])('of a process with an uncaught error: %s', async (_what, settings) => {
    const cwd = project(settings);
    const program = await serve(['x.ini'], { cwd });
    await expect(ask(program.url, '/crash')).rejects.toThrow();
    await eventually(() => /^ended \d+\n$/.test(endsIn(cwd)));
  });

  test('and is abandoned after a timeout, with a message', async () => {
    const cwd = project('graceful_timeout = 0.1\nworkers = 1', 'export const shutdown = () => new Promise(() => {});');
    const program = await serve(['x.ini'], { cwd });
    await program.kill('SIGTERM');
    expect(program.stderr).toMatch(/preload: .*trace\.js did not finish within 1 s/);
    const failing = await serve(['x.ini'], {
      cwd: project('', 'export const shutdown = () => { throw new Error("no network"); };'),
    });
    await failing.kill('SIGTERM');
    expect(failing.stderr).toMatch(/preload: .*trace\.js failed at shutdown: no network/);
  });
});

describe('OTEL_RESOURCE_ATTRIBUTES', () => {
  test('has the worker, version and release, besides what the user sets', async () => {
    const cwd = project('workers = 1\nenvironment = OTEL_RESOURCE_ATTRIBUTES=service.version=9,team=a%%20b');
    const program = await serve(['x.ini'], { cwd });
    expect(await bodyOf(program.url, '/variable')).toMatch(
      /^service\.version=9,team=a%20b,service\.name=shop,service\.instance\.id=[\w-]{36},paster\.worker=1,paster\.release=[\w%.-]+$/,
    );
    process.kill(program.pid, 'SIGHUP');
    await program.says(/reloaded/);
    expect(await bodyOf(program.url, '/variable')).toContain(',paster.worker=2,');
  });
});

describe('errors in preload', () => {
  const failure = async (preload: string, settings: string, trace?: string) => {
    const { status, stderr } = await paster(['serve', 'x.ini'], { cwd: project(settings, trace, preload) }).finished();
    return { status, stderr };
  };

  test.each(['', 'workers = 1'])('a module that is not found is reported: %s', async (settings) => {
    const known = await failure('./trace.js, @opentelemetry/auto-instrumentations-node/register', settings);
    expect(known.status).toBe(2);
    expect(known.stderr).toMatch(
      /x\.ini:6:23: \[server:main\] preload: there is no package "@opentelemetry\/auto-instrumentations-node\/register" that can be found from .* \(npm install @opentelemetry\/auto-instrumentations-node\)\n/,
    );
    const unknown = await failure('own-tracing', settings);
    expect(unknown.stderr).toMatch(
      /x\.ini:6:11: \[server:main\] preload: there is no package "own-tracing" that can be found .*\(a path begins with \.\/ or \.\.\/; a package has to be installed\)/,
    );
    const misspelt = await failure('./trase.js', settings);
    expect(misspelt.stderr).toMatch(
      /x\.ini:6:11: \[server:main\] preload: there is no module .*trase\.js \(did you mean ".*trace\.js"\?\)/,
    );
  });

  test.each(['', 'workers = 1'])('a module that throws is reported: %s', async (settings) => {
    const { status, stderr } = await failure('./trace.js', settings, '\nthrow new TypeError("no licence");');
    expect(status).toBe(1);
    expect(stderr).toMatch(/trace\.js:2:7: TypeError: no licence/);
  });
});

describe('background processes and tasks', () => {
  const SECTIONS = `[process:jobs]
use = call:./jobs.js:run
preload = ./trace.js
[task:tick]
schedule = 0 0 1 1 *
use = call:./jobs.js:tick
preload = ./trace.js
`;
  const JOBS = `globalThis.application = 'process before ';
export const run = (globalConf, localConf, signal) => new Promise((resolve) => {
  console.log(globalThis.traced, process.env.OTEL_RESOURCE_ATTRIBUTES ?? '');
  const timer = setInterval(() => {}, 1000);
  signal.addEventListener('abort', () => { clearInterval(timer); resolve(); });
});
export const tick = () => console.log('tick', globalThis.traced);
`;
  const background = (sections = SECTIONS) => {
    const cwd = project();
    writeFiles(cwd, { 'jobs.js': JOBS, 'x.ini': sections });
    return cwd;
  };

  test('a process imports preload before its own code, and calls shutdown', async () => {
    const cwd = background();
    const program = paster(['serve', '--only', 'jobs', 'x.ini'], { cwd });
    await program.says(/^traced .*service\.name=shop/m);
    expect((await program.kill('SIGTERM')).status).toBe(0);
    expect(endsIn(cwd)).toMatch(/^ended \d+\n$/);
  });

  test('a run of a task does the same', async () => {
    const cwd = background();
    expect(await paster(['run', 'x.ini', 'tick'], { cwd }).finished()).toMatchObject({
      status: 0,
      stdout: 'tick traced\n',
    });
    expect(endsIn(cwd)).toMatch(/^ended \d+\n$/);
    const tasks = background(SECTIONS.replace('0 0 1 1 *', '* * * * * *'));
    await paster(['serve', '--only', 'tick', 'x.ini'], { cwd: tasks }).says(/^tick traced$/m);
    await eventually(() => endsIn(tasks) !== '');
  });

  test('a command cannot have preload', async () => {
    const cwd = background('[process:jobs]\ncommand = sleep 1000\npreload = ./trace.js\n');
    const { status, stdout } = await paster(['check', 'x.ini'], { cwd }).finished();
    expect({ status, stdout }).toEqual({
      status: 2,
      stdout: expect.stringMatching(/^x\.ini:3:1: \[process:jobs\] preload and command are mutually exclusive/),
    });
  });
});
