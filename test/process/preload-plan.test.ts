/** Whether a spare worker that has imported packages ahead may serve what is on disk. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { silentLogger } from '../../src/log.ts';
import { PreloadPlan } from '../../src/process/preload/preload-plan.ts';
import { temporaryDirectory } from '../helpers/directory.ts';

/** The plan for an application that imports `a` and `b`. */
async function planned() {
  const directory = temporaryDirectory({ 'package.json': '{"type": "module"}', 'app.js': 'import "a"; import "b";\n' });
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
  plan.configure({ leaveOut: [], environment: {} }, '');
  plan.loaded(
    [app, ...files.slice(0, 2)].map((file) => pathToFileURL(file).href),
    true,
  );
  return { plan, app };
}

test('a package that was begun after the order to load the application is judged when that is loaded', async () => {
  const { plan, app } = await planned();
  const prepared = plan.prepare();
  if (!prepared) throw new Error('nothing to import ahead');
  prepared.current = 0;
  writeFileSync(app, 'import "a"; import "c"; import "b";\n');
  expect(plan.unfit(prepared)).toBeUndefined();
  expect(plan.unfitAfterLoading(prepared, [])).toBeUndefined();
  prepared.current = 1;
  expect(plan.unfitAfterLoading(prepared, [])).toBe('the application no longer imports b in the same order');
});

test('a package whose variable the configuration may refer to is left out, unless that has just changed', async () => {
  const { plan } = await planned();
  const first = plan.prepare();
  if (!first) throw new Error('nothing to import ahead');
  const name = first.units[1]?.file ?? '';
  plan.learnConflict({ ...first, isConfigurationSame: false }, { kind: 'package', name });
  expect(plan.prepare()?.units).toHaveLength(2);
  plan.learnConflict(first, { kind: 'package', name });
  expect(plan.prepare()?.units).toHaveLength(1);
});
