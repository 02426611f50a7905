/** The messages about errors in an INI file: the place, what is wrong, and what was probably meant. */
import { describe, expect, test } from 'vitest';
import { parseIni } from '../../../src/config/ini/ini.ts';
import { ConfigError, ErrorList, formatError } from '../../../src/errors.ts';
import { errorsOf } from './reading.ts';

const FILE = '/srv/app/etc/config.ini';

/** The errors as the command prints them, without the directory. */
function messagesOf(text: string): string[] {
  return errorsOf(() => parseIni(text, FILE)).map((error) => formatError(error, '/srv/app/etc'));
}

function codes(text: string): string[] {
  return errorsOf(() => parseIni(text, FILE)).map(({ code }) => code);
}

describe('the message', () => {
  test.each<[string, string, string]>([
    [
      'a key and a value without separator',
      '[a]\nport 8080\n',
      '2:1: "port 8080" is neither "key = value" nor "[section]" (did you mean "port = 8080"?)',
    ],
    [
      'an unexpected indentation',
      '[a]\n\tport 8080\n',
      '2:2: "port 8080" is neither "key = value" nor "[section]" (did you mean "port = 8080"?)',
    ],
    [
      'a line that should be indented',
      '[a]\npipeline =\none\n',
      '3:1: "one" is neither "key = value" nor "[section]" (to continue the value of "pipeline", indent the line)',
    ],
    ['a word', '[a]\none\n', '2:1: "one" is neither "key = value" nor "[section]" (did you mean "one = ..."?)'],
    [
      'a comment of another language',
      '[a]\n// one\n',
      '2:1: "// one" is neither "key = value" nor "[section]" (a comment begins with "#" or ";")',
    ],
    [
      'a merge conflict',
      '[a]\n<<<<<<< HEAD\n',
      '2:1: "<<<<<<< HEAD" is neither "key = value" nor "[section]" (resolve the merge conflict)',
    ],
    [
      'the middle of a merge conflict',
      '[a]\n=======\n',
      '2:1: "=======" has no key before the "=" (resolve the merge conflict)',
    ],
    [
      'a value without key',
      '[a]\n: 1\n',
      '2:1: ": 1" has no key before the ":" (write "key = value"; to continue the value above, indent the line)',
    ],
    ['an unclosed header', '[a]\n[app b\n', '2:1: the header "[app b" lacks its closing "]" (did you mean "[app b]"?)'],
    [
      'an unclosed header at the start',
      '[app:main\nx = 1\n',
      '1:1: the header "[app:main" lacks its closing "]" (did you mean "[app:main]"?)',
    ],
    [
      'an empty header',
      '[a]\n[]\n',
      '2:1: the section has no name between "[" and "]" (write a name, as in [app:main])',
    ],
    [
      'a key before any section',
      '\nport = 80\n',
      '2:1: "port = 80" is before the first section (put it under a header such as [app:main], or under [DEFAULT] for all sections)',
    ],
    ['a duplicate section', '[a]\n\n [a]\n', '3:2: [a] is already defined on line 1 (merge the two, or rename one)'],
    ['a duplicate key', '[a]\nx = 1\n\nx = 2\n', '4:1: [a] x is already set on line 2 (remove one of the two lines)'],
    [
      'a duplicate in DEFAULT',
      '[DEFAULT]\nx = 1\n[DEFAULT]\nx = 2\n',
      '4:1: [DEFAULT] x is already set on line 2 (all [DEFAULT] sections of a file are one; remove one of the two lines)',
    ],
    [
      'a duplicate below an unclosed header',
      '[app:a]\nuse = a\n[app:b\nuse = b\n',
      '4:1: [app:a] use is already set on line 2 (the header on line 3 lacks its closing "]")',
    ],
    [
      'a byte order mark',
      '\ufeff[a]\n',
      `1:1: the file begins with a byte order mark (U+FEFF) (save it as "UTF-8 without BOM", or remove the first three bytes: sed -i '1s/^\\xEF\\xBB\\xBF//' FILE)`,
    ],
    [
      'JSON',
      '{"port": 80}',
      '1:1: not an INI file: "{"port": 80}" looks like JSON (an INI file begins with a section such as [app:main])',
    ],
  ])('for %s', (_, text, message) => {
    expect(messagesOf(text)).toEqual([`config.ini:${message}`]);
  });

  test.each([
    ['JSON', '{\n  "a": 1\n}'],
    ['JSON', '[\n  {"a": 1}\n'],
    ['YAML', '---\na: 1\n'],
    ['YAML', 'server:\n  port: 80\n'],
    ['XML or HTML', '<!DOCTYPE html>\n'],
    ['JavaScript', "import http from 'node:http'\n"],
    ['Python', 'from paste import deploy\n'],
    ['a binary file', '\x00\x01\x02\n'],
  ])('recognizes %s', (format, text) => {
    expect(messagesOf(text)[0]).toContain(`looks like ${format}`);
    expect(codes(text)[0]).toBe('PASTER_INI_NOT_INI');
  });

  test('shortens long texts and escapes control characters', () => {
    const [message = ''] = messagesOf(`[a]\n${'😀'.repeat(10_000)}\n`);
    expect(message.length).toBeLessThan(500);
    expect(message).toContain('😀..."');
    expect(messagesOf('[a]\nx\x1b[31m\n')[0]).toContain('x\\x1b[31m');
  });
});

test('the codes are stable', () => {
  expect(codes('\ufeff')).toEqual(['PASTER_INI_BOM']);
  expect(codes('x = 1')).toEqual(['PASTER_INI_NO_SECTION']);
  expect(codes('[a]\nx\n=\n[a]\n[b]\nx=\nx=')).toEqual([
    'PASTER_INI_SYNTAX',
    'PASTER_INI_SYNTAX',
    'PASTER_INI_DUPLICATE_SECTION',
    'PASTER_INI_DUPLICATE_KEY',
  ]);
});

test('one error is thrown by itself, several as a list in the order of the file', () => {
  expect(() => parseIni('[a]\nx\n', FILE)).toThrow(ConfigError);
  expect(() => parseIni('[a]\nx\ny\n', FILE)).toThrow(ErrorList);
  // The duplicate section ends after the error within it.
  const lines = errorsOf(() => parseIni('x\n[a]\nx = 1\nx = 2\nnothing\n  more\n[a]\n', FILE));
  expect(lines.map(({ location }) => location?.line)).toEqual([1, 4, 5, 7]);
  expect(lines.every(({ exitStatus }) => exitStatus === 2)).toBe(true);
});

test('a duplicate section is reported once, and not again for each of its keys', () => {
  expect(codes('[a]\nx = 1\n[a]\nx = 2\ny = 3\n[a]\nx = 4\n')).toEqual([
    'PASTER_INI_DUPLICATE_SECTION',
    'PASTER_INI_DUPLICATE_SECTION',
  ]);
});

test('the lines before the first section are one error', () => {
  expect(codes('x = 1\ny = 2\nnothing\n[a]\nz = 1\n')).toEqual(['PASTER_INI_NO_SECTION']);
});

test('at most a hundred errors are listed', () => {
  const errors = messagesOf(`[a]\n${'nothing\n'.repeat(5000)}`);
  expect(errors).toHaveLength(101);
  expect(errors.at(-1)).toBe(`and 4900 more errors in ${FILE} (is this an INI file?)`);
});
