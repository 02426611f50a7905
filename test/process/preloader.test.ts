/** What a spare worker does when it has to load the application while it still imports packages. */
import { getPriority } from 'node:os';
import { afterEach, expect, test } from 'vitest';
import type { Unit } from '../../src/process/preload/loaded-module.ts';
import { Preloader } from '../../src/process/preload/preloader.ts';
import { eventually } from '../helpers/program.ts';

const unit = (name: string): Unit => ({
  file: `/project/node_modules/${name}/index.js`,
  kind: 'import',
  byTsx: false,
  from: '/project/app.js',
  requests: [],
  isFirst: true,
  isKnown: true,
  isConditional: false,
  deferredBy: undefined,
});

afterEach(() => {
  delete process.env['PRELOADER_TEST'];
});

/** A preloader in the middle of its first unit, and the function that ends that import. */
async function importing(effect: () => void = () => {}) {
  const imported: string[] = [];
  let finish = () => {};
  const preloader = new Preloader({
    units: [unit('slow'), unit('next')],
    writtenVariables: [],
    onImport: () => {},
    onImported: () => {},
  });
  void preloader.run(async ({ file }) => {
    imported.push(file);
    await new Promise<void>((resolve) => {
      finish = resolve;
    });
    effect();
  });
  await eventually(() => imported.length === 1);
  return { preloader, imported, finish: () => finish() };
}

test('it finishes the package that it has begun, at the priority of a server', async () => {
  const before = getPriority();
  const { preloader, imported, finish } = await importing();
  const stopped = preloader.stop();
  expect(getPriority()).toBe(before);
  finish();
  await stopped;
  expect(imported).toEqual([unit('slow').file]);
  expect(getPriority()).toBe(before);
});

test('a package that sets a variable is noted for a configuration that is read after it', async () => {
  const { preloader, finish } = await importing(() => {
    process.env['PRELOADER_TEST'] = 'set';
  });
  expect(preloader.variableSetter).toBeUndefined();
  const stopped = preloader.stop();
  finish();
  await stopped;
  expect(preloader.variableSetter?.name).toBe(unit('slow').file);
});

test('what may be imported ahead all the same does not make it useless', async () => {
  const { preloader, finish } = await importing(() => {
    process.env['PRELOADER_TEST'] = 'set';
  });
  const stopped = preloader.stop();
  finish();
  await stopped;
  expect(preloader.late).toBeUndefined();
});

test('what may not be imported ahead does', async () => {
  const { preloader, finish } = await importing(() => {
    const timer = setTimeout(() => {}, 60_000);
    timer.unref();
  });
  const stopped = preloader.stop();
  finish();
  await stopped;
  expect(preloader.late?.name).toBe(unit('slow').file);
});
