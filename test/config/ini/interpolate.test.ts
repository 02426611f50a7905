/** Interpolation beyond what the oracle covers: environment variables, literal values, and error messages. */
import { describe, expect, test } from 'vitest';
import { parseIni } from '../../../src/config/ini/ini.ts';
import { interpolate, type ScopeValue } from '../../../src/config/ini/interpolate.ts';
import { ConfigError, formatError } from '../../../src/errors.ts';
import { errorsOf, scopeOf } from './reading.ts';

const FILE = '/srv/app/etc/config.ini';
const NOTHING: ReadonlyMap<string, string> = new Map();

/** `[a] x` of a text, interpolated. */
function valueOfX(text: string, env: NodeJS.ProcessEnv = {}): string {
  const ini = parseIni(text, FILE);
  const section = ini.sections.get('a');
  const entry = section?.entries.get('x');
  if (section === undefined || entry === undefined) throw new Error('the text has no [a] x');
  return interpolate(
    { section: 'a', key: 'x', text: entry.value, locate: (offset) => entry.locate(offset) },
    scopeOf(ini, section, NOTHING),
    env,
    () => [...section.entries.keys(), ...ini.defaults.entries.keys()],
  );
}

/** The error in `[a] x`, as the command prints it, without the directory. */
function messageOf(text: string, env: NodeJS.ProcessEnv = {}): string {
  const [error] = errorsOf(() => valueOfX(text, env));
  if (error === undefined) throw new Error('no error');
  return formatError(error, '/srv/app/etc');
}

function inline(text: string, values: Readonly<Record<string, ScopeValue>>): string {
  const locate = (offset: number) => ({ file: FILE, line: 7, column: offset + 1 });
  return interpolate(
    { section: 'a', key: 'x', text, locate },
    (name) => (Object.hasOwn(values, name) ? values[name] : undefined),
    {},
  );
}

describe('environment variables', () => {
  test('are read by ENV_ and not interpolated themselves', () => {
    expect(valueOfX('[a]\nx = <%(ENV_NAME)s>\n', { NAME: '100% %(x)s' })).toBe('<100% %(x)s>');
    expect(valueOfX('[a]\nx = <%(ENV_NAME)s>\n', { NAME: '' })).toBe('<>');
    expect(valueOfX('[a]\nx = %(ENV_ENV_X)s\n', { ENV_X: '1' })).toBe('1');
  });

  test('are overridden by the file', () => {
    expect(valueOfX('[DEFAULT]\nENV_NAME = file\n[a]\nx = %(ENV_NAME)s\n', { NAME: 'env' })).toBe('file');
  });

  test('come from the process if none are given', () => {
    process.env['PASTER_TEST_VARIABLE'] = 'set';
    const entry = {
      section: 'a',
      key: 'x',
      text: '%(ENV_PASTER_TEST_VARIABLE)s',
      locate: () => ({ file: FILE, line: 1, column: 1 }),
    };
    try {
      expect(interpolate(entry, () => undefined)).toBe('set');
    } finally {
      delete process.env['PASTER_TEST_VARIABLE'];
    }
    expect(() => interpolate(entry, () => undefined)).toThrow('PASTER_TEST_VARIABLE is not set');
  });

  test('are an error if unset', () => {
    expect(messageOf('[a]\nx = 1 %(ENV_PROT)s\n', { PORT: '1' })).toBe(
      'config.ini:2:7: [a] x: the environment variable PROT is not set (did you mean "ENV_PORT"?)',
    );
    expect(messageOf('[a]\nx = %(ENV_)s\n')).toContain('2:5: [a] x: the environment variable  is not set');
    expect(messageOf('[a]\nx = %(ENV_toString)s%(ENV___proto__)s\n')).toContain('toString is not set');
    expect(messageOf('[a]\nx = %(ENV___proto__)s\n')).toContain('__proto__ is not set');
    expect(messageOf('[a]\nx = %(env_HOME)s\n', { HOME: '/' })).toContain('%(env_HOME)s is not defined');
  });
});

describe('values of the scope', () => {
  test('are not interpolated if literal', () => {
    expect(inline('a%(v)sb', { v: { value: '50% %(y)s', literal: true } })).toBe('a50% %(y)sb');
  });

  test('without a place have their errors at the reference', () => {
    const [error] = errorsOf(() => inline('ab%(v)s', { v: { value: 'text 50%' } }));
    expect(error?.location).toEqual({ file: FILE, line: 7, column: 3 });
  });
});

describe('the message', () => {
  test.each<[string, string, string]>([
    [
      'an undefined name',
      '[a]\nx = a %(prot)s\nport = 1\n',
      '2:7: [a] x: %(prot)s is not defined (did you mean "port"?)',
    ],
    ['an undefined name without a similar one', '[a]\nx = %(nothing)s\n', '2:5: [a] x: %(nothing)s is not defined'],
    [
      'a stray percent sign',
      '[a]\nx = 100% sure\n',
      '2:8: [a] x: a "%" must be followed by "%" or "(name)s" (write "%%" for a percent sign)',
    ],
    [
      'a continuation line',
      '[a]\nx =\n  # c\n\n  100%\n',
      '5:6: [a] x: a "%" must be followed by "%" or "(name)s" (write "%%" for a percent sign)',
    ],
    [
      'a reference without its final s',
      '[a]\nx = %(y)\n',
      '2:5: [a] x: "%(y)" lacks the "s" that ends a reference (write %(name)s, or "%%" for a percent sign)',
    ],
    [
      'an unclosed reference',
      '[a]\nx = %(y\n',
      '2:5: [a] x: "%(" lacks its closing ")s" (write %(name)s, or "%%" for a percent sign)',
    ],
    [
      'an empty reference',
      '[a]\nx = %()s\n',
      '2:5: [a] x: there is no name between "%(" and ")" (write %(name)s, or "%%" for a percent sign)',
    ],
    [
      'an error in another entry',
      '[DEFAULT]\ny = ab%(prt)s\nport = 1\n[a]\nx = %(z)s\nz = %(y)s\n',
      '2:7: [a] x: %(prt)s is not defined (by way of z -> y) (did you mean "port"?)',
    ],
    ['a reference to itself', '[a]\nx = 1 %(x)s\n', '2:7: [a] x: the references form a cycle: x -> x'],
    ['a cycle', '[a]\nx = %(y)s\ny = %(z)s\nz = %(y)s\n', '4:5: [a] x: the references form a cycle: y -> z -> y'],
  ])('for %s', (_, text, message) => {
    expect(messageOf(text)).toBe(`config.ini:${message}`);
  });

  test('for too deep a nesting names the chain', () => {
    const chain = Array.from({ length: 10 }, (_, index) => `k${index} = %(k${index + 1})s\n`).join('');
    expect(messageOf(`[a]\nx = %(k0)s\n${chain}k10 = %%\n`)).toBe(
      'config.ini:11:6: [a] x: the references are nested more than 10 deep: x -> k0 -> k1 -> k2 -> k3 -> k4 -> k5 -> k6 -> k7 -> k8 -> k9',
    );
  });

  test('shows a name with several lines on one line, and shortens a long one', () => {
    expect(messageOf('[a]\nx = %(one\n  two)s\n')).toBe('config.ini:2:5: [a] x: %(one\\ntwo)s is not defined');
    expect(messageOf(`[a]\nx = %(${'y'.repeat(100_000)})s\n`).length).toBeLessThan(200);
  });

  test('for a plain environment variable names the ENV_ form', () => {
    expect(messageOf('[a]\nx = %(HOME)s\n', { HOME: '/' })).toContain('(the environment variable is %(ENV_HOME)s)');
  });

  test('has a stable code', () => {
    const code = (text: string) => errorsOf(() => valueOfX(text))[0]?.code;
    expect(code('[a]\nx = %(y)s\n')).toBe('PASTER_INTERPOLATION_UNDEFINED');
    expect(code('[a]\nx = %(ENV_y)s\n')).toBe('PASTER_INTERPOLATION_ENV');
    expect(code('[a]\nx = %\n')).toBe('PASTER_INTERPOLATION_SYNTAX');
    expect(code('[a]\nx = %(x)s\n')).toBe('PASTER_INTERPOLATION_DEPTH');
  });
});

describe('references that multiply', () => {
  /** A value whose every level refers to the next level `width` times. */
  function tower(width: number, leaf: string): string {
    const levels = Array.from({ length: 8 }, (_, index) => `k${index} = ${`%(k${index + 1})s`.repeat(width)}\n`);
    return `[a]\nx = %(k0)s\n${levels.join('')}k8 = ${leaf}\n`;
  }

  test('are an error, and do not exhaust the memory', () => {
    for (const text of [tower(100, '%%'), tower(100, ''), tower(8, 'text '.repeat(1000))]) {
      expect(() => valueOfX(text)).toThrow(ConfigError);
      expect(errorsOf(() => valueOfX(text))[0]?.code).toBe('PASTER_INTERPOLATION_SIZE');
    }
  });

  test('work up to a limit', () => {
    expect(valueOfX(tower(3, 'ab'))).toHaveLength(2 * 3 ** 8);
  });
});
