/** Types of settings: which texts they convert to what, which they refuse, and that every number of a built-in part has a maximum. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert, integer, property } from 'fast-check';
import { expect, test } from 'vitest';
import type { Setting } from '../../../src/config/settings/setting.ts';
import { bool, int, octal, oneOf, seconds, size } from '../../../src/config/settings/setting-types.ts';
import { processSettings } from '../../../src/deploy/server/server-settings.ts';
import { ROOT } from '../../helpers/programs/program.ts';

test.each([
  [octal, '0660', 0o660],
  [octal, '000', 0],
  [octal, '0o17', 0o17],
  [seconds, '1.5', 1.5],
  [seconds, '.5', 0.5],
  [int({ min: -9, max: 9 }), ' -7 ', -7],
  [oneOf('a', 'b'), ' b ', 'b'],
  [bool, 'Yes', true],
])('%j reads %j', (type, value, expected) => {
  expect(type.parse(value)).toBe(expected);
});

test.each([
  [octal, '8'],
  [octal, '1000'],
  [octal, ''],
  [seconds, '-1'],
  [seconds, '1e3'],
  [int({ min: 0, max: 9 }), '1.0'],
  [int({ min: 0, max: 9 }), '10'],
  [seconds, '3000000'],
  [seconds, '9'.repeat(400)],
  [size, '1025G'],
  [oneOf('a', 'b'), 'c'],
  [bool, ''],
])('%j refuses %j', (type, value) => {
  expect(() => type.parse(value)).toThrow();
});

test('in a list of paths a backslash keeps a space in a name', () => {
  const { env_file, reload_ignore, reload_files } = processSettings.declarations;
  const text = 'my\\ app/.env  .env\n\ta\\b';
  expect(env_file.type.parse(text)).toEqual(['my app/.env', '.env', 'a\\b']);
  expect(reload_ignore.type.parse(text)).toEqual(['my app/.env', '.env', 'a\\b']);
  expect(reload_files.type.parse(text)).toEqual(['my\\ app/.env', '.env', 'a\\b']);
});

/** Every setting of every built-in part, as `part name`. */
async function builtInSettings(): Promise<[name: string, setting: Setting][]> {
  const groups: Record<string, Record<string, string>> = JSON.parse(
    readFileSync(join(ROOT, 'package.json'), 'utf8'),
  ).paster;
  const targets = Object.values(groups)
    .flatMap((group) => Object.entries(group))
    .filter(([, target]) => target.includes(':'));
  const all = Object.entries(processSettings.declarations).map(([name, setting]): [string, Setting] => [name, setting]);
  for (const [part, target] of targets) {
    const [module = '', name = ''] = target.split(':');
    const { settings } = (await import(join(ROOT, module)))[name];
    for (const [key, setting] of Object.entries<Setting>(settings?.declarations ?? {}))
      all.push([`${part} ${key}`, setting]);
  }
  return all;
}

test('every number has a maximum, which is allowed, and nothing above it is', async () => {
  const settings = await builtInSettings();
  expect(settings.length).toBeGreaterThan(100);
  for (const [name, { type, default: preset }] of settings) {
    if (type.max === undefined) {
      expect(typeof preset, name).not.toBe('number');
      expect(parsed(type, '1000000000000000'), name).not.toBeTypeOf('number');
      continue;
    }
    const { max } = type;
    expect(type.parse(String(max)), name).toBe(max);
    const above = property(integer({ min: max + 1, max: Number.MAX_SAFE_INTEGER }), (number) => {
      expect(() => type.parse(String(number)), `${name} = ${number}`).toThrow();
    });
    assert(above, { numRuns: 20 });
  }
});

/** @returns undefined for a text that is refused */
function parsed(type: Setting['type'], text: string): unknown {
  try {
    return type.parse(text);
  } catch {
    return undefined;
  }
}
