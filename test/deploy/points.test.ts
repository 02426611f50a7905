/** The descriptions of the entry points in paster's own package.json. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { listPoints, settingsOfPoint, withDeclaration } from '../../src/deploy/inspect/points.ts';
import { PASTE_NAMES } from '../../src/deploy/modules/paste-names.ts';
import { FACTORY_KINDS } from '../../src/deploy/part-kinds.ts';
import { ROOT } from '../helpers/programs/program.ts';

const factories = new Set<string>(FACTORY_KINDS);
const points = (await listPoints(ROOT, () => {})).filter(
  ({ package: owner, group }) => owner === 'paster' && factories.has(group),
);

test('every factory in package.json is listed as a point', () => {
  const { paster } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const declared = Object.entries<object>(paster)
    .filter(([group]) => factories.has(group))
    .flatMap(([group, names]) => Object.keys(names).map((name) => `${group} ${name}`));
  expect(points.map(({ group, name }) => `${group} ${name}`).sort()).toEqual(declared.sort());
});

describe.each(points)('$group $name', (point) => {
  test('has a description of one line', async () => {
    const { declared } = await withDeclaration(point);
    expect(declared?.meaning).toMatch(/^\S[^\n]{9,70}[^.\s]$/);
  });

  test('explains each setting', async () => {
    for (const { name, help, allowed } of settingsOfPoint(await withDeclaration(point)) ?? []) {
      expect(help, name).toMatch(/^[A-Z].*[.)]$/);
      expect(allowed, name).not.toBe('');
    }
  });
});

test('each of Paste’s names leads to an existing part', () => {
  const names = new Set(points.map(({ name }) => name));
  const missing = Object.values(PASTE_NAMES)
    .flatMap((parts) => Object.values(parts))
    .filter(({ builtin }) => !names.has(builtin));
  expect(missing).toEqual([]);
});
