import { mkdirSync, renameSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { appAnswering, ask, load, removeTree, saveByBackup, saveByRename, until } from '../program.ts';
import { Supervised } from '../supervisor/supervised.ts';

const site = new Supervised({ reload: {} });
const start = (options?: Record<string, unknown>) => site.start(options);
const logOf = () => site.log;

const reloads = () => site.program?.log.match(/^reloaded in/gm)?.length ?? 0;

async function reloaded(times: number): Promise<void> {
  await until(() => reloads() >= times, logOf);
}

/** The watcher checks new files for 2 s without an event. This waits longer: after it, a change is noticed only by its event. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 2500));

test.each([
  { name: 'rename', save: saveByRename },
  { name: 'backup', save: saveByBackup },
  { name: 'truncate and write', save: (file: string, text: string) => writeFileSync(file, text) },
])('a save by $name brings the new version, repeatedly', async ({ save }) => {
  const port = await start();
  for (let round = 1; round <= 3; round++) {
    save(site.app, appAnswering(`round ${round}`));
    await reloaded(round);
    expect(await ask(port)).toBe(`round ${round}`);
  }
});

test('modules that the application imports or requires are watched, packages are not', async () => {
  mkdirSync(join(site.directory, 'node_modules/dep'), { recursive: true });
  writeFileSync(join(site.directory, 'node_modules/dep/index.js'), 'module.exports = "dep"');
  writeFileSync(join(site.directory, 'deep.cjs'), 'module.exports = "deep one"');
  writeFileSync(join(site.directory, 'part.cjs'), 'require("dep"); exports.text = require("./deep.cjs")');
  writeFileSync(site.app, 'import part from "./part.cjs"; export default (req, res) => res.end(part.text);');
  const port = await start();
  expect(await ask(port)).toBe('deep one');
  writeFileSync(join(site.directory, 'node_modules/dep/index.js'), 'module.exports = "changed"');
  saveByRename(join(site.directory, 'deep.cjs'), 'module.exports = "deep two"');
  await reloaded(1);
  expect(await ask(port)).toBe('deep two');
  expect(logOf()).not.toMatch(/node_modules/);
});

test('a save without a change of the content causes no reload', async () => {
  const port = await start();
  const before = await ask(port, '/pid');
  saveByRename(site.app, appAnswering('one'));
  // Not written in place: a busy machine could see the file while it is empty.
  utimesSync(site.app, new Date(), new Date());
  // No event shows that nothing happens, so this waits far longer than a reload takes.
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(await ask(port, '/pid')).toBe(before);
  saveByRename(site.app, appAnswering('two'));
  await reloaded(1);
  expect(await ask(port)).toBe('two');
  expect(reloads()).toBe(1);
});

test('a file that matches a pattern causes a reload when it is created, changed or removed', async () => {
  const data = join(site.directory, 'data');
  mkdirSync(data);
  writeFileSync(join(data, 'a.yaml'), '1');
  await start({ boot: { app: site.app, patterns: [`${site.directory}/**/*.yaml`] } });
  saveByRename(join(data, 'a.yaml'), '2');
  await reloaded(1);
  mkdirSync(join(data, 'sub'));
  writeFileSync(join(data, 'sub/b.yaml'), '1');
  await reloaded(2);
  removeTree(join(data, 'a.yaml'));
  await reloaded(3);
});

test.each([{ workers: 1 }, { workers: 2 }])(
  'edits under load, one with a syntax error, fail no request: %o',
  async ({ workers }) => {
    const port = await start({ workers });
    // With a pause, because the edits need the processors too.
    const traffic = load(port, 4, false, 2);
    let good = 0;
    for (let round = 1; round <= 5; round++) {
      if (round === 3) {
        saveByRename(site.app, 'export default (;\n');
        await until(async () => (await ask(port)).startsWith('FAILED'), logOf);
      } else {
        saveByRename(site.app, appAnswering(`round ${round}`));
        await reloaded(++good);
        expect(await ask(port)).toBe(`round ${round}`);
      }
    }
    await traffic.stop();
    expect(traffic.failures).toEqual([]);
    expect(traffic.total).toBeGreaterThan(100);
  },
  180_000,
);

test('a version that is broken from the start serves its error, and the next correct save recovers', async () => {
  writeFileSync(site.app, 'throw new Error("broken from the start");\n');
  const port = await start();
  expect(await ask(port)).toBe('FAILED broken from the start');
  saveByRename(site.app, appAnswering('good'));
  await reloaded(1);
  expect(await ask(port)).toBe('good');
});

test('the version loads when a missing module is created', async () => {
  writeFileSync(site.app, 'import text from "./missing.mjs"; export default (req, res) => res.end(text);\n');
  const port = await start();
  expect(await ask(port)).toMatch(/^FAILED Cannot find module/);
  writeFileSync(join(site.directory, 'missing.mjs'), 'export default "found";\n');
  await reloaded(1);
  expect(await ask(port)).toBe('found');
});

test.each([{}, { polling: 100 }])(
  'a change that keeps the size and the time of the file is detected: %o',
  async (reload) => {
    const port = await start({ reload });
    await settled();
    const { mtime } = statSync(site.app);
    writeFileSync(site.app, appAnswering('two'));
    utimesSync(site.app, new Date(), mtime);
    await reloaded(1);
    expect(await ask(port)).toBe('two');
  },
);

test('the version loads when a module in a missing directory is created', async () => {
  writeFileSync(site.app, 'import text from "./sub/deep/missing.mjs"; export default (req, res) => res.end(text);\n');
  const port = await start();
  expect(await ask(port)).toMatch(/^FAILED Cannot find module/);
  await settled();
  mkdirSync(join(site.directory, 'sub'));
  mkdirSync(join(site.directory, 'sub/deep'));
  writeFileSync(join(site.directory, 'sub/deep/missing.mjs'), 'export default "found";\n');
  await reloaded(1);
  expect(await ask(port)).toBe('found');
});

test('patterns match in a directory that is created later', async () => {
  await start({ boot: { app: site.app, patterns: [`${site.directory}/data/*.yaml`] } });
  await settled();
  mkdirSync(join(site.directory, 'data'));
  writeFileSync(join(site.directory, 'data/a.yaml'), '1');
  await reloaded(1);
  writeFileSync(join(site.directory, 'data/a.yaml'), '2');
  await reloaded(2);
});

test.each([
  ['import', 'import text from "dep"; export default (req, res) => res.end(text);\n', 'app.mjs'],
  ['require', 'const text = require("@scope/dep/text"); module.exports = (req, res) => res.end(text);\n', 'app.cjs'],
])('the version loads when a missing package is installed: %s', async (_how, source, name) => {
  const app = join(site.directory, name);
  writeFileSync(app, source);
  writeFileSync(join(site.directory, 'package.json'), '{}');
  const port = await start({ boot: { app } });
  expect(await ask(port)).toMatch(/^FAILED Cannot find (?:package|module)/);
  const packages = join(site.directory, 'node_modules');
  for (const directory of ['dep', '@scope/dep']) {
    mkdirSync(join(packages, directory), { recursive: true });
    writeFileSync(join(packages, directory, 'package.json'), '{"main": "./text.js"}');
    writeFileSync(join(packages, directory, 'text.js'), 'module.exports = "installed";\n');
  }
  writeFileSync(join(packages, '.package-lock.json'), '{}');
  await until(async () => (await ask(port)) === 'installed', logOf);
});

test('a link to a directory may change its target', async () => {
  for (const release of ['1', '2']) {
    mkdirSync(join(site.directory, release, 'etc'), { recursive: true });
    writeFileSync(join(site.directory, release, 'etc/x.ini'), 'the same');
    writeFileSync(join(site.directory, release, 'app.mjs'), appAnswering(`release ${release}`));
  }
  const current = join(site.directory, 'current');
  symlinkSync('1', current);
  const port = await start({
    boot: { app: join(current, 'app.mjs') },
    reload: { files: [join(current, 'etc/x.ini')] },
  });
  expect(await ask(port)).toBe('release 1');
  symlinkSync('2', `${current}.new`);
  renameSync(`${current}.new`, current);
  await reloaded(1);
  expect(await ask(port)).toBe('release 2');
  writeFileSync(join(current, 'etc/x.ini'), 'another');
  await reloaded(2);
});

test('while an error is shown, a save without a change retries', async () => {
  const source = `import { existsSync } from 'node:fs';
if (!existsSync(${JSON.stringify(join(site.directory, 'flag'))})) throw new Error('no flag');
${appAnswering('good')}`;
  writeFileSync(site.app, source);
  const port = await start();
  expect(await ask(port)).toBe('FAILED no flag');
  writeFileSync(join(site.directory, 'flag'), '');
  writeFileSync(site.app, source);
  await reloaded(1);
  expect(await ask(port)).toBe('good');
});

test('a save during a reload is not lost', async () => {
  const slowly = (text: string) =>
    `console.error('loading ${text}');\nawait new Promise((resolve) => setTimeout(resolve, 300));\n${appAnswering(text)}`;
  const port = await start();
  saveByRename(site.app, slowly('slow'));
  await site.program?.logged(/^loading slow$/m);
  saveByRename(site.app, slowly('last'));
  await until(async () => (await ask(port)) === 'last', logOf);
});

test('a burst of saves causes one reload', async () => {
  await start({ reload: { debounce: 200 } });
  for (let round = 1; round <= 20; round++) saveByRename(site.app, appAnswering(`round ${round}`));
  await reloaded(1);
  saveByRename(site.app, appAnswering('after'));
  await reloaded(2);
  expect(reloads()).toBe(2);
});

test('an open event stream does not delay a reload', async () => {
  writeFileSync(site.app, 'export default (req, res) => { res.write("open"); };\n');
  const port = await start();
  const stream = ask(port).catch(() => 'cut');
  saveByRename(site.app, appAnswering('two'));
  await reloaded(1);
  expect(await ask(port)).toBe('two');
  expect(await stream).toBe('cut');
});

test('a module that is saved while the first version loads causes a reload', async () => {
  const text = join(site.directory, 'text.mjs');
  writeFileSync(text, 'export default "one";');
  writeFileSync(
    site.app,
    `import { writeFileSync } from 'node:fs';
    import text from './text.mjs';
    if (text === 'one') writeFileSync(${JSON.stringify(text)}, 'export default "two";');
    export default (req, res) => res.end(text);`,
  );
  const port = await start();
  await reloaded(1);
  expect(await ask(port)).toBe('two');
});
