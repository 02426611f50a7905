/** Declarations of settings: the values and the messages for a section, and that the built-in ones are valid. */
import { describe, expect, test } from 'vitest';
import { testSettings } from '../../../src/apps/test.ts';
import { urlmapSettings } from '../../../src/apps/urlmap.ts';
import { welcomeSettings } from '../../../src/apps/welcome.ts';
import { defineSettings } from '../../../src/config/settings/setting.ts';
import { bool, int, list, text } from '../../../src/config/settings/setting-types.ts';
import { processSettings } from '../../../src/deploy/server/server-settings.ts';
import { transloggerSettings } from '../../../src/filters/logging/translogger.ts';
import { fastcgiSettings } from '../../../src/servers/fastcgi/server.ts';
import { httpSettings } from '../../../src/servers/http/settings.ts';

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
