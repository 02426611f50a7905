import { mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { silentLogger } from '../../../src/log.ts';
import { Reload } from '../../../src/process/reload/reload.ts';
import { Watcher } from '../../../src/process/reload/watch.ts';
import { removeTree, temporaryDirectory, until } from '../program.ts';

let directory: string;
let watcher: Watcher;
let changed: string[];

beforeEach(() => {
  directory = temporaryDirectory();
  changed = [];
  watcher = new Watcher({
    onChange: (files) => void changed.push(...files),
    onError: (error) => {
      throw error;
    },
  });
});

afterEach(async () => {
  await watcher.close();
  removeTree(directory);
});

test('a pattern matches nothing in node_modules, even while a package is missing there', async () => {
  const packages = join(directory, 'node_modules');
  mkdirSync(packages);
  watcher.setPatterns([`${directory}/**/*.js`]);
  watcher.add([join(packages, 'dep/package.json')]);
  await watcher.start();
  writeFileSync(join(packages, 'stray.js'), '1');
  writeFileSync(join(directory, 'app.js'), '1');
  await until(
    () => changed.includes(join(directory, 'app.js')),
    () => changed.join('\n'),
  );
  expect(changed).toEqual([join(directory, 'app.js')]);
});

test('a package that is installed after a worker has looked for it, but before it is watched, is tried again', async () => {
  const manifest = join(directory, 'node_modules/p/package.json');
  mkdirSync(dirname(manifest), { recursive: true });
  writeFileSync(manifest, '{}');
  utimesSync(manifest, 0, 1_000_000);
  const tried: string[] = [];
  const reload = new Reload(
    {},
    silentLogger,
    async (files) => {
      tried.push(...files);
      return { ok: false };
    },
    () => {},
  );
  reload.serves(new Error(`Cannot find package 'p' imported from ${directory}/app.js`));
  await reload.start();
  await until(
    () => tried.includes(manifest),
    () => tried.join(),
  );
  await reload.close();
});

/** What is tried again if `edit` runs after a worker has started to load, and before files are watched. */
async function triedAfter(edit: () => void, load: (reload: Reload, loaded: number) => void): Promise<string[]> {
  const tried: string[] = [];
  const replace = async (files: readonly string[]) => {
    tried.push(...files);
    return { ok: true };
  };
  const reload = new Reload({ onReload: () => {} }, silentLogger, replace, () => {});
  const loaded = Date.now();
  // A file gets the time of the last tick of the kernel's clock, which may be 10 ms ago.
  while (Date.now() < loaded + 20);
  load(reload, loaded);
  edit();
  await reload.start();
  await until(
    () => tried.length > 0,
    () => 'nothing is tried',
  );
  await reload.close();
  return tried;
}

test.each<[kind: string, load: (reload: Reload, loaded: number) => void]>([
  ['a module', (reload, loaded) => reload.watch([`file://${directory}/a.js`], loaded)],
  ['a file in reload_files', (reload, loaded) => reload.watchNamed([join(directory, 'a.js')], loaded)],
  ['a file that matches a pattern', (reload, loaded) => reload.watchPatterns([`${directory}/*.js`], loaded)],
  ['a pattern without wildcards', (reload, loaded) => reload.watchPatterns([`${directory}/a.js`], loaded)],
])('%s that is saved before files are watched causes a reload', async (_kind, load) => {
  const file = join(directory, 'a.js');
  writeFileSync(file, 'one');
  expect(await triedAfter(() => writeFileSync(file, 'two'), load)).toEqual([file]);
  // Created long ago, and moved there now.
  writeFileSync(join(directory, 'old'), 'three');
  utimesSync(join(directory, 'old'), 0, 1_000_000);
  expect(await triedAfter(() => renameSync(join(directory, 'old'), file), load)).toEqual([file]);
});

test('a link in the path that is switched before files are watched causes a reload', async () => {
  for (const release of ['1', '2']) {
    mkdirSync(join(directory, release));
    writeFileSync(join(directory, release, 'a.ini'), release);
  }
  const link = join(directory, 'current');
  symlinkSync('1', link);
  const switched = () => {
    rmSync(link);
    symlinkSync('2', link);
  };
  expect(await triedAfter(switched, (reload, loaded) => reload.watchNamed([join(link, 'a.ini')], loaded))).toContain(
    link,
  );
});

test('a path that is a directory, or becomes one, means the files below it', async () => {
  const [views, templates] = ['views', 'templates'].map((name) => join(directory, name));
  mkdirSync(join(directory, 'views/pages'), { recursive: true });
  watcher.setPatterns([`${directory}/views`, `${directory}/templates`]);
  await watcher.start();
  const files = [
    `${views}/pages/index.html`,
    `${views}/new/a.html`,
    `${templates}/index.html`,
    `${templates}/mail/b.html`,
  ];
  const expectChange = async (file: string, text: string) => {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    await until(
      () => changed.includes(file),
      () => `${file}: ${changed.join('\n')}`,
    );
    changed = [];
  };
  for (const file of files) await expectChange(file, '1');
  for (const file of files) await expectChange(file, '2');
  rmSync(join(directory, 'templates'), { recursive: true });
  for (const file of files.slice(2)) await expectChange(file, '3');
});
