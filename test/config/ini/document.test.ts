/** The places of values: in documents that are assembled from known pieces, each character is found where it was written. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type IniEntry, parseIni } from '../../../src/config/ini/ini.ts';
import { pythonStrip } from '../../../src/config/whitespace.ts';
import { handmadeTexts } from './corpus.ts';
import { errorsOf, textAt } from './reading.ts';

const FILE = '/srv/app/etc/config.ini';

function entryOf(text: string, key: string): IniEntry {
  const entry = parseIni(text, FILE).sections.get('a')?.entries.get(key);
  if (entry === undefined) throw new Error(`[a] ${key} is missing`);
  return entry;
}

/** `line:column` of an entry's characters from first to last. */
function places(entry: IniEntry): string[] {
  return Array.from(entry.value, (_, offset) => {
    const { line, column } = entry.locate(offset);
    return `${line}:${column}`;
  });
}

describe('the place', () => {
  test('of a key, a section and a value', () => {
    const ini = parseIni('# c\n\n  [a] x\n\t key  =  value \n', FILE);
    const section = ini.sections.get('a');
    expect(section?.location).toEqual({ file: FILE, line: 3, column: 3 });
    expect(section?.entries.get('key')?.location).toEqual({ file: FILE, line: 4, column: 3 });
    expect(section?.entries.get('key')?.locate(0)).toEqual({ file: FILE, line: 4, column: 11 });
  });

  test('of [DEFAULT]: its first header, or the start of the file', () => {
    expect(parseIni('[a]\n[DEFAULT]\n[DEFAULT]\n', FILE).defaults.location.line).toBe(2);
    expect(parseIni('[a]\n', FILE).defaults.location).toEqual({ file: FILE, line: 1, column: 1 });
  });

  test('of a value over several lines, with blank and comment lines between', () => {
    const entry = entryOf('[a]\nx = 12\n  # c\n\n   34 \n  ; c\n 5\n', 'x');
    expect(entry.value).toBe('12\n\n34\n5');
    expect(places(entry)).toEqual(['2:5', '2:6', '2:7', '4:1', '5:4', '5:5', '5:6', '7:2']);
  });

  test('of a value that begins on the next line', () => {
    const entry = entryOf('[a]\r\nx =\r\n\t1\r\n', 'x');
    expect(entry.value).toBe('\n1');
    expect(places(entry)).toEqual(['2:4', '3:2']);
  });

  test('of a hash sign that is text of the first line', () => {
    expect(places(entryOf('[a]\nx = #1\n', 'x'))).toEqual(['2:5', '2:6']);
  });

  test('of an offset outside the value is its nearer end', () => {
    const entry = entryOf('[a]\nx = 12\n  3\n\n', 'x');
    expect(entry.locate(-1)).toMatchObject({ line: 2, column: 5 });
    expect(entry.locate(4)).toMatchObject({ line: 3, column: 4 });
    expect(entry.locate(1000)).toMatchObject({ line: 3, column: 4 });
  });

  test('of an empty value is behind the separator', () => {
    expect(entryOf('[a]\nx =\n', 'x').locate(0)).toMatchObject({ line: 2, column: 4 });
  });

  test('counts a lone CR as a line end, and a line separator as a character', () => {
    expect(entryOf('[a]\ry = \u2028z\u20281\rx = 1\r', 'x').location).toMatchObject({ line: 3, column: 1 });
    expect(places(entryOf('[a]\ny = 1\u20282\n', 'y'))).toEqual(['2:5', '2:6', '2:7']);
  });
});

const lineEnd = fc.constantFrom('\n', '\r\n', '\r');
const space = fc.constantFrom('', ' ', '  ', '\t', '\u2003', '\x0c', '\x1f');
const indent = fc.constantFrom(' ', '    ', '\t', '\u3000 ');
const row = fc.constantFrom('v', 'two words', 'a = b', 'x: y', '%(k)s', '😀', 'a # b', '[x]', '\ufeff', 'é\u2028é');
const between = fc.array(fc.constantFrom('', '  ', '# c', '  ; c', '\u2003#'), { maxLength: 2 });
const writtenEntry = fc.record({
  separator: fc.constantFrom('=', ':'),
  spaces: fc.tuple(space, space, space),
  first: fc.option(row, { nil: '' }),
  rows: fc.array(fc.record({ between, indent, row, space }), { maxLength: 4 }),
  after: between,
});
type WrittenEntry = typeof writtenEntry extends fc.Arbitrary<infer T> ? T : never;

/** The lines of an entry. */
function lines(key: string, { separator, spaces, first, rows, after }: WrittenEntry): string[] {
  return [
    `${key}${spaces[0]}${separator}${spaces[1]}${first}${spaces[2]}`,
    ...rows.flatMap((each) => [...each.between, `${each.indent}${each.row}${each.space}`]),
    ...after,
  ];
}

/** The value that the reader must find: the rows joined by line feeds, with blank lines between them and without comments. */
function expectedValue({ first, rows }: WrittenEntry): string {
  const blank = (line: string) => pythonStrip(line) === '';
  return [first, ...rows.flatMap((each) => [...each.between.filter(blank).map(() => ''), each.row])].join('\n');
}

const writtenDocument = fc.record({ lineEnd, entries: fc.array(writtenEntry, { maxLength: 5 }), last: fc.boolean() });
type WrittenDocument = typeof writtenDocument extends fc.Arbitrary<infer T> ? T : never;

function textOf({ lineEnd, entries, last }: WrittenDocument): string {
  const all = ['[a]', ...entries.flatMap((entry, index) => lines(`k${index}`, entry))];
  return all.join(lineEnd) + (last ? lineEnd : '');
}

describe('for any document', () => {
  test('the values are those that were written, and locate finds each of their characters', () => {
    fc.assert(
      fc.property(writtenDocument, (written) => {
        const text = textOf(written);
        const entries = [...(parseIni(text, FILE).sections.get('a')?.entries.values() ?? [])];
        expect(entries.map(({ value }) => value)).toEqual(written.entries.map(expectedValue));
        for (const entry of entries) {
          expect(textAt(text, entry.location).startsWith(entry.key)).toBe(true);
          expectInPlace(text, entry);
        }
      }),
      { numRuns: 500 },
    );
  });

  test('what is read and written again is read the same', () => {
    fc.assert(
      fc.property(writtenDocument, (written) => {
        const once = itemsOf(textOf(written));
        const again = once.map(([key, value]) => `${key} = ${value.replaceAll('\n', '\n\t')}`);
        expect(itemsOf(['[a]', ...again, ''].join('\n'))).toEqual(once);
      }),
    );
  });

  test('the kind of line end makes no difference', () => {
    fc.assert(
      fc.property(writtenDocument, lineEnd, (written, other) => {
        expect(itemsOf(textOf({ ...written, lineEnd: other }))).toEqual(itemsOf(textOf(written)));
      }),
    );
  });

  test('any text is either read, with all values in their places, or refused', () => {
    const piece = fc.constantFrom(
      '[',
      ']',
      'a',
      'b',
      '=',
      ':',
      '#',
      ';',
      '%',
      ' ',
      '\t',
      '\n',
      '\n',
      '\r',
      '\x85',
      '\ufeff',
      '😀',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), fc.boolean(), (pieces, headed) => {
        const text = (headed ? '[s]\n' : '') + pieces.join('');
        const errors = errorsOf(() => {
          const ini = parseIni(text, FILE);
          for (const section of [ini.defaults, ...ini.sections.values()]) {
            for (const entry of section.entries.values()) expectInPlace(text, entry);
          }
        });
        for (const { location, code } of errors) expect(location, code).toBeDefined();
      }),
      { numRuns: 2000 },
    );
  });
});

test('locate finds each character of the handwritten texts', () => {
  for (const text of handmadeTexts().values()) {
    errorsOf(() => {
      const ini = parseIni(text, FILE);
      for (const section of [ini.defaults, ...ini.sections.values()]) {
        for (const entry of section.entries.values()) expectInPlace(text, entry);
      }
    });
  }
});

function itemsOf(text: string): [string, string][] {
  return [...(parseIni(text, FILE).sections.get('a')?.entries ?? [])].map(([key, { value }]) => [key, value]);
}

function expectInPlace(text: string, entry: IniEntry): void {
  for (let offset = 0; offset < entry.value.length; offset++) {
    const character = entry.value[offset];
    if (character !== '\n') expect(textAt(text, entry.locate(offset))[0]).toBe(character);
  }
}
