/** Each text of the corpus is read as CPython and Paste Deploy read it: values, order, interpolation, and the lines of errors. */
import { describe, expect, test } from 'vitest';
import { type IniDocument, type IniEntry, type IniSection, parseIni } from '../../../src/config/ini/ini.ts';
import { interpolate } from '../../../src/config/ini/interpolate.ts';
import type { PasterError } from '../../../src/errors.ts';
import { BUILT_IN, type Case, corpus, FILE, type GoldenItem, handmadeTexts } from './corpus.ts';
import { errorsOf, scopeOf, textAt } from './reading.ts';

const CODES: Readonly<Record<string, string>> = {
  InterpolationMissingOptionError: 'PASTER_INTERPOLATION_UNDEFINED',
  InterpolationSyntaxError: 'PASTER_INTERPOLATION_SYNTAX',
  InterpolationDepthError: 'PASTER_INTERPOLATION_DEPTH',
};

const cases = corpus();
const names = cases.map(({ name }) => name);

test('the corpus has its expected size, and the oracle has read each handwritten text', () => {
  expect(handmadeTexts().size).toBeGreaterThanOrEqual(150);
  expect(cases.length - handmadeTexts().size).toBeGreaterThanOrEqual(1000);
  expect(names).toEqual(expect.arrayContaining([...handmadeTexts().keys()]));
});

describe('read like CPython', () => {
  // One test for all generated texts: their names mean nothing, and the message contains the text.
  const handwritten = cases.filter(({ name }) => !name.startsWith('generated'));
  test.each(handwritten.map((each) => [each.name, each] as const))('%s', (_name, each) => agree(each));
  test('the generated texts', () => {
    for (const each of cases) if (each.name.startsWith('generated')) agree(each);
  });
});

function agree({ name, text, golden }: Case): void {
  const label = `${name}: ${JSON.stringify(text)}`;
  if (golden.error !== undefined) {
    const errors = errorsOf(() => parseIni(text, FILE));
    const linesOf = (some: readonly PasterError[]) => some.map(({ location }) => location?.line);
    const lines = linesOf(errors);
    // CPython stops at the first duplicate and at the first line without a section; paster goes on and finds the others as well.
    if (golden.error === 'ParsingError') {
      expect(lines, label).toEqual(golden.lines);
    } else if (golden.error === 'MissingSectionHeaderError') {
      expect(lines[0], label).toBe(golden.lines[0]);
      if (errors[0]?.code === 'PASTER_INI_BOM') return;
      const others = errors.slice(1).filter(({ code }) => !code.startsWith('PASTER_INI_DUPLICATE'));
      expect(linesOf(others), label).toEqual(golden.syntax);
    } else {
      expect(lines, label).toContain(golden.lines[0]);
      const syntax = errors.filter(({ code }) => code === 'PASTER_INI_SYNTAX');
      expect(linesOf(syntax), label).toEqual(golden.syntax ?? golden.lines);
    }
    return;
  }
  const ini = parseIni(text, FILE);
  expect([...ini.sections.keys()], label).toEqual(golden.sections.map((section) => section.name));
  for (const { name, items, inherited } of golden.sections) {
    const section = ini.sections.get(name);
    if (section === undefined) throw new Error('compared above');
    expect(rawItems(section), label).toEqual(items.map(([key, raw]) => [key, raw]));
    for (const item of items) agreeOnItem(ini, section, section.entries.get(item[0]), item, text);
    for (const item of inherited ?? []) agreeOnItem(ini, section, ini.defaults.entries.get(item[0]), item, text);
  }
  const defaults = golden.defaults ?? [];
  expect(rawItems(ini.defaults), label).toEqual(defaults.map(([key, raw]) => [key, raw]));
  for (const item of defaults) agreeOnItem(ini, ini.defaults, ini.defaults.entries.get(item[0]), item, text);
}

function rawItems(section: IniSection): [string, string][] {
  return [...section.entries].map(([key, entry]) => [key, entry.value]);
}

function agreeOnItem(
  ini: IniDocument,
  section: IniSection,
  entry: IniEntry | undefined,
  [key, raw, value = raw, error, detail = '']: GoldenItem,
  text: string,
): void {
  const label = `[${section.name}] ${key} in ${JSON.stringify(text)}`;
  if (entry === undefined) throw new Error(`${label} is missing`);
  const interpolated = () =>
    interpolate(
      { section: section.name, key, text: entry.value, locate: (offset) => entry.locate(offset) },
      scopeOf(ini, section, BUILT_IN),
      {},
    );
  if (value !== null) {
    expect(interpolated(), label).toBe(value);
    return;
  }
  const [reported] = errorsOf(interpolated);
  expect(reported?.code, label).toBe(CODES[error ?? '']);
  if (reported?.location === undefined) throw new Error(`${label} has no place`);
  const fault = textAt(text, reported.location);
  expect(fault[0], label).toBe('%');
  // The oracle reports the rest of the value with its lines joined; the file does not have it that way.
  const [firstRow = ''] = detail.split('\n');
  if (error === 'InterpolationSyntaxError') expect(fault.slice(0, firstRow.length), label).toBe(firstRow);
  if (error === 'InterpolationMissingOptionError' && !detail.includes('\n')) {
    expect(fault.startsWith(`%(${detail})s`), label).toBe(true);
    expect(reported.message, label).toContain(`%(${detail})s is not defined`);
  }
}
