/** The npm package `ini` as a second opinion, on the plain subset of the dialect where both must agree. */
import { createRequire } from 'node:module';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseIni } from '../../../src/config/ini/ini.ts';

const npmIni = createRequire(import.meta.url)('ini') as {
  parse(text: string): Record<string, Record<string, unknown>>;
};

/** Names that both read alike: `ini` nests names with dots and drops `__proto__`, and only paster inherits [DEFAULT]. */
const name = fc
  .stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_@$/ -]{0,12}$/)
  .map((text) => text.trim())
  .filter((text) => text !== '__proto__' && text !== 'DEFAULT');

/** Values without quotes, comment signs and escapes; `ini` converts three words to other types. */
const value = fc
  .string({ unit: fc.constantFrom(...'aZ09 \t.,:=[]{}()%$&/-_+*?!~|<>@^`éß日😀'), maxLength: 24 })
  .map((text) => text.trim())
  .filter((text) => !['true', 'false', 'null'].includes(text));

const blank = fc.constantFrom('', ' ', '\t', '  ');

const line = fc
  .tuple(name, blank, blank, value, blank)
  .map(([key, before, after, text, trailing]) => ({ key, row: `${key}${before}=${after}${text}${trailing}` }));

const filling = fc.constantFrom('', '; a comment', '# another = one', ' ');

const section = fc.record({
  name,
  lines: fc.uniqueArray(line, { selector: ({ key }) => key, maxLength: 6 }),
  filling: fc.array(filling, { maxLength: 3 }),
});

const file = fc
  .record({
    sections: fc.uniqueArray(section, { selector: (each) => each.name, minLength: 1, maxLength: 6 }),
    lineEnd: fc.constantFrom('\n', '\r\n'),
  })
  .map(({ sections, lineEnd }) =>
    sections
      .flatMap((each) => [`[${each.name}]`, ...each.filling, ...each.lines.map(({ row }) => row), ''])
      .join(lineEnd),
  );

/** The content of a file, as plain objects. */
function sectionsOf(text: string): Record<string, Record<string, string>> {
  const { sections } = parseIni(text, '/x.ini');
  return Object.fromEntries(
    [...sections].map(([sectionName, { entries }]) => [
      sectionName,
      Object.fromEntries([...entries].map(([key, entry]) => [key, entry.value])),
    ]),
  );
}

/** The result of `ini`; its objects have no prototype, which a comparison would report as a difference. */
function theirs(text: string): unknown {
  return JSON.parse(JSON.stringify(npmIni.parse(text)));
}

test('parseIni reads what npm ini reads', () => {
  fc.assert(
    fc.property(file, (text) => {
      expect(sectionsOf(text)).toEqual(theirs(text));
    }),
    { numRuns: 1000 },
  );
});

test.each([
  ['a comment after a value', '[a]\nb = 1 ; c\n', '1 ; c'],
  ['a quoted value', '[a]\nb = "1"\n', '"1"'],
  ['a word that means a value', '[a]\nb = true\n', 'true'],
  ['a continuation', '[a]\nb = 1\n  2\n', '1\n2'],
])('outside the subset they differ, and paster agrees with Python: %s', (_what, text, expected) => {
  expect(sectionsOf(text)).toEqual({ a: { b: expected } });
  expect(theirs(text)).not.toEqual({ a: { b: expected } });
});
