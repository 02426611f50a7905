/** Whether a spare worker that has imported packages ahead may serve what is on disk. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { silentLogger } from '../../../src/log.ts';
import { PreloadPlan } from '../../../src/process/preload/preload-plan.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';

/** The plan for an application that imports `a` and `b`. */
async function planned(text = 'import "a"; import "b";\n') {
  const directory = temporaryDirectory({ 'package.json': '{"type": "module"}', 'app.js': text });
  const files = ['a', 'b', 'c'].map((name) => {
    const home = join(directory, 'node_modules', name);
    mkdirSync(home, { recursive: true });
    writeFileSync(join(home, 'package.json'), `{"name": "${name}", "type": "module", "exports": "./index.js"}`);
    writeFileSync(join(home, 'index.js'), '');
    return join(home, 'index.js');
  });
  const app = join(directory, 'app.js');
  const plan = new PreloadPlan(silentLogger);
  await plan.load();
  plan.configure({ leaveOut: [], environment: {}, isReload: true }, '');
  const reports = (loads: readonly string[], late: readonly string[] = []) => ({
    modules: [...loads, ...late].map((file) => pathToFileURL(file).href),
    evaluated: loads.length,
  });
  plan.loaded(reports([app, ...files.slice(0, 2)]), undefined);
  return { directory, plan, app, files, reports };
}

/** What the plan has a spare worker import ahead. */
function preparation(plan: PreloadPlan) {
  const prepared = plan.prepare();
  if (!prepared) throw new Error('nothing to import ahead');
  return prepared;
}

test('a package that was being imported when the application should load is checked after the load', async () => {
  const { plan, app, reports } = await planned();
  const prepared = preparation(plan);
  prepared.current = 0;
  writeFileSync(app, 'import "a"; import "c"; import "b";\n');
  expect(plan.rejectionByFiles(prepared)).toBeUndefined();
  expect(plan.rejectionByReports(prepared, reports([app]))).toBeUndefined();
  prepared.current = 1;
  expect(plan.rejectionByReports(prepared, reports([app]))).toBe(
    'the application no longer imports b in the same order',
  );
});

test('a package that sets a variable of the configuration is left out, unless the configuration has just changed', async () => {
  const { plan, reports } = await planned();
  const first = preparation(plan);
  const name = first.units[1]?.file ?? '';
  plan.learnConflict(
    { ...first, isConfigurationSame: false },
    { kind: 'package', name, reason: 'sets it' },
    reports([]),
  );
  expect(plan.prepare()?.units).toHaveLength(2);
  plan.learnConflict(first, { kind: 'package', name, reason: 'sets it' }, reports([]));
  expect(plan.prepare()?.units).toHaveLength(1);
});

test('a package that was left out is tried again when it has changed', async () => {
  const { plan, app, files, reports } = await planned();
  const [a = '', b = ''] = files;
  const first = preparation(plan);
  plan.learn(first, 0, [{ index: 0, reason: 'leaves something running', isTolerable: false }]);
  expect(plan.prepare()).toBeUndefined();
  const loaded = () => plan.loaded(reports([app, a, b]), undefined);
  loaded();
  expect(plan.prepare()).toBeUndefined();
  writeFileSync(a, '// mended\n');
  loaded();
  expect(plan.prepare()?.units).toHaveLength(2);
});

test('a package that reads settings and cannot be imported ahead does not affect those after it', async () => {
  const { directory, plan, app, files, reports } = await planned('import "dotenv"; import "a";\n');
  const home = join(directory, 'node_modules/dotenv');
  mkdirSync(home);
  writeFileSync(join(home, 'package.json'), '{"name": "dotenv", "type": "module", "exports": "./index.js"}');
  writeFileSync(join(home, 'index.js'), '');
  plan.loaded(reports([app, join(home, 'index.js'), ...files]), undefined);
  const first = preparation(plan);
  expect(first.units).toHaveLength(2);
  plan.learn(first, 0, [{ index: 0, reason: 'reads a directory', isTolerable: false }]);
  expect(plan.prepare()?.units).toHaveLength(1);
});

describe('a global that has changed', () => {
  const conflict = { kind: 'global', name: 'fetch.name' } as const;
  /** The packages come after code of the application, which changes the global. */
  async function changing() {
    const { directory, plan, app, files, reports } = await planned('import "./own.js"; import "a"; import "b";\n');
    const own = join(directory, 'own.js');
    const load = (text: string) => {
      writeFileSync(own, text);
      plan.loaded(reports([own, ...files.slice(0, 2), app]), undefined);
    };
    const learn = (loads: readonly string[]) => {
      plan.learnConflict(preparation(plan), conflict, reports([own, app, ...loads]));
    };
    load('fetch.name = 1;\n');
    return { plan, files, load, learn };
  }

  test('is left to the application until none of its modules mentions the name', async () => {
    const { plan, load, learn } = await changing();
    learn([]);
    expect(plan.prepare()).toBeUndefined();
    load('fetch.name = 2;\n');
    expect(plan.prepare()).toBeUndefined();
    load('fetch.nameless;\n');
    expect(plan.prepare()?.units).toHaveLength(2);
  });

  test('may have been changed by a package, if some were not imported ahead', async () => {
    const { plan, files, load, learn } = await changing();
    learn(files.slice(2));
    expect(plan.prepare()?.units).toHaveLength(2);
    learn(files.slice(2));
    expect(plan.prepare()).toBeUndefined();
    plan.forget();
    load('fetch.name = 3;\n');
    expect(plan.prepare()?.units).toHaveLength(2);
  });
});

test('what packages leave running is checked once, as long as the same packages come before them', async () => {
  const { plan, app, files, reports } = await planned();
  const [a = '', b = ''] = files;
  const observed = () => plan.prepare()?.observed;
  const first = preparation(plan);
  expect(first.observed).toBe(0);
  plan.learn(first, 0, []);
  expect(observed()).toBe(1);
  plan.learn(first, 1, []);
  expect(observed()).toBe(2);
  plan.configure({ leaveOut: [], environment: {}, isReload: true }, '');
  expect(observed()).toBe(2);
  writeFileSync(app, 'import "b"; import "a";\n');
  plan.loaded(reports([app, b, a]), undefined);
  expect(observed()).toBe(0);
  plan.learn(first, 0, []);
  plan.configure({ leaveOut: [], environment: { A: '1' }, isReload: true }, '');
  expect(observed()).toBe(0);
});

test('deferred imports are imported ahead, unless workers disagree about them', async () => {
  const { plan, app, files, reports } = await planned();
  const [a = '', b = '', entry = ''] = files;
  const part = entry.replace('index.js', 'part.js');
  writeFileSync(entry, 'import "./part.js";');
  writeFileSync(part, '');
  const prepared = () => plan.prepare() ?? { units: [] };
  const loaded = () => plan.loaded(reports([app, a, b], [entry, part]), undefined);
  loaded();
  const first = preparation(plan);
  expect(first.units.map(({ file }) => file)).toEqual([a, b, part]);
  Object.assign(first, { current: 2, isComplete: true });
  expect(plan.rejectionByFiles(first)).toBeUndefined();
  // Node's report shows whether the entry is still imported.
  expect(plan.isDecidedByFiles(first)).toBe(false);
  expect(plan.rejectionByReports(first, reports([app], [entry]))).toBeUndefined();
  expect(plan.rejectionByReports(first, reports([app, entry]))).toMatch(/no longer imports c in the same order/);
  loaded();
  expect(prepared().units).toHaveLength(2);
  plan.forget();
  loaded();
  expect(prepared().units).toHaveLength(3);
});

test.each([
  ['an own module is deferred too', 'import "a"; import "b";', true, 2],
  ['the application imports a package conditionally', 'import "a"; setup(); if (x) await import("b");', false, 1],
])('no deferred imports are imported ahead if %s', async (_why, text, isOwnLate, count) => {
  const { plan, app, files, reports } = await planned();
  const [a = '', b = '', entry = ''] = files;
  const part = entry.replace('index.js', 'part.js');
  writeFileSync(entry, 'import "./part.js";');
  writeFileSync(part, '');
  writeFileSync(app, text);
  const own = app.replace('app.js', 'own.js');
  writeFileSync(own, '');
  plan.loaded(reports([app, a, b], [entry, part, ...(isOwnLate ? [own] : [])]), undefined);
  expect(plan.prepare()?.units.map(({ file }) => file)).toEqual([a, b].slice(0, count));
});
