/** Lines end where Python's universal newlines end them, and an offset is located on its line. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LineCursor, Source } from '../../../src/config/ini/source.ts';

const text = fc.string({
  unit: fc.constantFrom('a', 'b', '\n', '\r', '\r\n', '\x0b', '\x0c', '\x1c', '\x85', '\u2028'),
  maxLength: 30,
});

function linesOf(text: string): string[] {
  const lines: string[] = [];
  for (const line = new LineCursor(text); line.advance(); ) lines.push(text.slice(line.start, line.end));
  return lines;
}

/** A last line without a line end counts; an empty one after a line end does not. */
function split(text: string): string[] {
  const lines = text.split(/\r\n|\r|\n/);
  return lines.at(-1) === '' ? lines.slice(0, -1) : lines;
}

test('LF, CR LF and CR end a line, nothing else does', () => {
  fc.assert(
    fc.property(text, (text) => {
      expect(linesOf(text)).toEqual(split(text));
    }),
  );
  expect(linesOf('')).toEqual([]);
  expect(linesOf('\n\r')).toEqual(['', '']);
});

test('the column of an offset is the number of characters before it on its line', () => {
  fc.assert(
    fc.property(text, fc.nat(60), (text, offset) => {
      fc.pre(offset < text.length);
      // A line feed belongs to the line end that its CR starts.
      fc.pre(!(text[offset] === '\n' && text[offset - 1] === '\r'));
      const before = text.slice(0, offset).split(/\r\n|\r|\n/);
      const expected = { file: '/x.ini', line: before.length, column: (before.at(-1) ?? '').length + 1 };
      expect(new Source(text, '/x.ini').at(offset)).toEqual(expected);
    }),
  );
  expect(new Source('', '/x.ini').at(0)).toEqual({ file: '/x.ini', line: 1, column: 1 });
});
