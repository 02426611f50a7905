/** The converters compared with Paste's own (see test/oracle/README.md), and with values that are not text. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { asBool, asInt, asList } from '../../src/index.ts';

type Row = readonly [converter: string, args: readonly (string | boolean | null)[], result?: unknown];

const GOLDEN = JSON.parse(readFileSync(new URL('converters.json.golden', import.meta.url), 'utf8')) as Row[];

function convert(converter: string, [text, separator, strip]: Row[1]): unknown {
  if (converter === 'asbool') return asBool(String(text));
  if (converter === 'asint') return asInt(String(text));
  return asList(String(text), typeof separator === 'string' ? separator : undefined, strip !== false);
}

test.each(['asbool', 'asint', 'aslist'])('%s converts like Paste', (converter) => {
  const rows = GOLDEN.filter(([each]) => each === converter);
  expect(rows.length).toBeGreaterThan(50);
  for (const row of rows) {
    const [, args] = row;
    const label = `${converter}(${args.map((each) => JSON.stringify(each)).join(', ')})`;
    if (row.length === 2) expect(() => convert(converter, args), label).toThrow();
    else expect(convert(converter, args), label).toEqual(row[2]);
  }
});

test('values that are not text are converted or refused', () => {
  expect([true, false, 1, 0, null, undefined].map(asBool)).toEqual([true, false, true, false, false, false]);
  expect([3, -3.7, 0].map(asInt)).toEqual([3, -3, 0]);
  expect(asList(['a ', 'b'])).toEqual(['a ', 'b']);
  expect([asList(undefined), asList(null)]).toEqual([[], []]);
  for (const value of [undefined, null, Number.NaN, Number.POSITIVE_INFINITY]) expect(() => asInt(value)).toThrow();
});

test('a number that a double cannot hold is an error, not another number', () => {
  expect(() => asInt('9007199254740993')).toThrow('"9007199254740993" is not a whole number');
});
