import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { silentLogger } from '../../src/log.ts';
import { Reload } from '../../src/process/reload/reload.ts';
import { Watcher } from '../../src/process/reload/watch.ts';
import { removeTree, temporaryDirectory, until } from './program.ts';

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

test('a pattern matches nothing in node_modules, not even while a package is missing there', async () => {
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

test('a package that is installed after a worker has looked for it, and before it is watched, is tried again', async () => {
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
