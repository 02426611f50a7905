/** Declarations of settings: which values they accept, their error messages, and that the built-in ones are valid. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert, integer, property } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { testSettings } from '../../src/apps/test.ts';
import { urlmapSettings } from '../../src/apps/urlmap.ts';
import { welcomeSettings } from '../../src/apps/welcome.ts';
import { nearest } from '../../src/config/nearest.ts';
import {
  bool,
  defineSettings,
  int,
  list,
  octal,
  oneOf,
  type Setting,
  seconds,
  size,
  text,
} from '../../src/config/settings/setting.ts';
import { processSettings } from '../../src/deploy/server/server-settings.ts';
import { transloggerSettings } from '../../src/filters/logging/translogger.ts';
import { fastcgiSettings } from '../../src/servers/fastcgi/server.ts';
import { httpSettings } from '../../src/servers/http/settings.ts';
import { ROOT } from '../helpers/programs/program.ts';

const schema = defineSettings(
  {
    name: { type: text, required: true, help: 'a name' },
    count: { type: int({ min: 1, max: 9 }), default: 3, help: 'a count', aliases: ['howMany'] },
    on: { type: bool, default: false, help: 'a switch' },
    words: { type: list, help: 'words' },
  },
  { obsolete: { old: 'it is gone' } },
);

const validate = (section: Record<string, string>) => schema['~standard'].validate(section);

test('in a list of paths a backslash keeps a space in a name', () => {
  const { env_file, reload_ignore, reload_files } = processSettings.declarations;
  const text = 'my\\ app/.env  .env\n\ta\\b';
  expect(env_file.type.parse(text)).toEqual(['my app/.env', '.env', 'a\\b']);
  expect(reload_ignore.type.parse(text)).toEqual(['my app/.env', '.env', 'a\\b']);
  expect(reload_files.type.parse(text)).toEqual(['my\\ app/.env', '.env', 'a\\b']);
});

describe('a section', () => {
  test('is converted, with defaults for what is left out', () => {
    expect(validate({ name: 'x', words: ' a\n b ' })).toEqual({
      value: { name: 'x', count: 3, on: false, words: ['a', 'b'] },
    });
  });

  test('may use other names, but not two for one setting', () => {
    expect(validate({ name: 'x', howMany: '4' })).toMatchObject({ value: { count: 4 } });
    expect(validate({ name: 'x', howMany: '4', count: '4' })).toMatchObject({
      issues: [{ message: '"count" and "howMany" are two names of one setting' }],
    });
  });

  test('reports all errors at once', () => {
    expect(validate({ count: '10', onn: 'true', on: 'maybe', old: 'x' })).toMatchObject({
      issues: [
        { path: ['count'], message: 'count: 10 is out of range', hint: 'allowed: a whole number from 1 to 9' },
        { path: ['onn'], message: 'unknown setting "onn"', hint: 'did you mean "on"?' },
        { path: ['on'], message: 'on: "maybe" is not true or false' },
        { message: 'setting "name" is missing' },
      ],
    });
  });

  test('has no settings that every object inherits', () => {
    const section = Object.assign(Object.create(null), { name: 'x', constructor: '1', ['__proto__']: '2' });
    expect(validate(section)).toMatchObject({ issues: [{ path: ['constructor'] }, { path: ['__proto__'] }] });
  });
});

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

test.each([
  ['prot', ['port', 'socket'], 'port'],
  ['PORT', ['port'], 'port'],
  ['zzz', ['port', 'socket'], undefined],
  ['', ['a'], undefined],
])('nearest(%j, %j) is %j', (name, candidates, expected) => {
  expect(nearest(name, candidates)).toBe(expected);
});

describe.each(
  Object.entries({
    process: processSettings,
    http: httpSettings,
    fastcgi: fastcgiSettings,
    translogger: transloggerSettings,
    urlmap: urlmapSettings,
    welcome: welcomeSettings,
    test: testSettings,
  }),
)('the settings of %s', (_part, { declarations, obsolete }) => {
  test('have help, a type that says what is allowed, and valid examples and aliases', () => {
    const names = new Set<string>();
    for (const [name, setting] of Object.entries(declarations)) {
      expect(setting.help, name).toMatch(/^[A-Z].*\.$/s);
      expect(setting.type.allowed, name).not.toBe('');
      if (setting.example !== undefined) expect(() => setting.type.parse(setting.example ?? ''), name).not.toThrow();
      if (typeof setting.default === 'number' || typeof setting.default === 'boolean') {
        expect(setting.type.parse(String(setting.default)), name).toBe(setting.default);
      }
      for (const each of [name, ...(setting.aliases ?? [])]) {
        expect(names.has(each) || Object.hasOwn(obsolete, each), each).toBe(false);
        names.add(each);
      }
    }
  });
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
      expect(accepts(type, '1000000000000000'), name).not.toBeTypeOf('number');
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

function accepts(type: Setting['type'], text: string): unknown {
  try {
    return type.parse(text);
  } catch {
    return undefined;
  }
}
