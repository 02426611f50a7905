/** The steps of a path, as the system resolves it. */
import { mkdirSync, realpathSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { stepsTo } from '../src/files/path-steps.ts';
import { temporaryDirectory } from './helpers/directory.ts';

test('".." after a link leaves the directory that the link leads to', () => {
  const top = realpathSync(temporaryDirectory({}));
  mkdirSync(join(top, 'other/etc'), { recursive: true });
  mkdirSync(join(top, 'other/run'));
  mkdirSync(join(top, 'app'));
  symlinkSync('../other/etc', join(top, 'app/etc'));
  const steps = [...stepsTo(`${top}/app/etc/../run`)];
  expect(steps.map((step) => ('path' in step ? step.path.slice(top.length) : step.problem)).slice(-5)).toEqual([
    '/app',
    '/app/etc',
    '/other',
    '/other/etc',
    '/other/run',
  ]);
});
