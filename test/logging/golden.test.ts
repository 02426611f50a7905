/** The same formatting as CPython's own logging (see test/oracle/README.md). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { parseIni } from '../../src/config/ini/ini.ts';
import { configureLogging } from '../../src/deploy/load.ts';
import { TimedRotation } from '../../src/logging/output/rotation.ts';
import { TextFormatter } from '../../src/logging/python/formatter.ts';
import type { Style } from '../../src/logging/python/line-format.ts';
import { getLogger, hierarchy } from '../../src/logging/python/logger.ts';
import { type PythonNode, parsePython } from '../../src/logging/python/python-literal.ts';
import { LogRecord, WARNING } from '../../src/logging/python/record.ts';
import { strftime } from '../../src/logging/python/strftime.ts';
import { temporaryDirectory } from '../helpers/directory.ts';

function golden<T>(name: string): T[] {
  return JSON.parse(readFileSync(new URL(`${name}.json.golden`, import.meta.url), 'utf8')) as T[];
}

const { TZ } = process.env;
afterEach(() => {
  if (TZ === undefined) delete process.env['TZ'];
  else process.env['TZ'] = TZ;
});

function record(): LogRecord {
  const caller = { functionName: 'pay', file: '/srv/app/cart.py', line: 42 };
  const made = new LogRecord('shop.cart', WARNING, 'héllo %s', ['wörld'], undefined, caller);
  return Object.assign(made, { created: 1_700_000_000_250 });
}

type FormatRow = readonly [style: Style, format: string, dateFormat: string | null, { line?: string; error?: string }];

test.each(golden<FormatRow>('formats'))('%s %j, %j', (style, format, dateFormat, expected) => {
  process.env['TZ'] = 'UTC';
  const line = () => new TextFormatter(format, dateFormat ?? undefined, style).format(record());
  if (expected.line === undefined) expect(line).toThrow();
  else expect(line()).toBe(expected.line);
});

/** A value in the notation of write_logging_golden.py. */
function shown({ value }: PythonNode): unknown {
  switch (value.type) {
    case 'text':
    case 'bytes':
      return { [value.type]: value.text };
    case 'number':
      return { number: value.number };
    case 'constant':
      return value.constant;
    case 'tuple':
    case 'list':
      return { [value.type]: value.items.map(shown) };
    case 'dict':
      return { dict: value.entries.map((pair) => pair.map(shown)) };
    case 'name':
      return NUMBERS[value.name.name] ?? 'object';
  }
}

const NUMBERS: Readonly<Record<string, unknown>> = {
  'handlers.SysLogHandler.LOG_USER': { number: 1 },
  'handlers.SYSLOG_UDP_PORT': { number: 514 },
  DEBUG: { number: 10 },
};

test.each(golden<readonly [string, { value?: unknown; error?: true }]>('literals'))('%j', (text, expected) => {
  if (expected.error) expect(() => parsePython(text)).toThrow();
  else expect(shown(parsePython(text))).toEqual(expected.value);
});

interface Propagated {
  readonly enabled: Readonly<Record<string, readonly number[]>>;
  readonly a: string;
  readonly b: string;
}

test.each(golden<readonly [string, Propagated]>('propagation'))('%j', async (text, expected) => {
  const here = temporaryDirectory();
  await configureLogging(parseIni(text, join(here, 'x.ini')));
  for (const [name, levels] of Object.entries(expected.enabled)) {
    const logger = getLogger(name);
    const all = [10, 20, 30, 40, 50, 15];
    expect([name, all.filter((level) => logger.isEnabledFor(level))]).toEqual([name, levels]);
    for (const level of all) logger.log(level, 'said');
  }
  hierarchy().flush();
  for (const file of ['a', 'b'] as const) expect(readFileSync(join(here, `${file}.log`), 'utf8')).toBe(expected[file]);
});

describe('dates', () => {
  const rows = golden<readonly [zone: string, seconds: number, text: string, expected: string]>('dates');
  test.each([...new Set(rows.map(([zone]) => zone))])('in %s', (zone) => {
    process.env['TZ'] = zone;
    for (const [, seconds, text, expected] of rows.filter((row) => row[0] === zone)) {
      expect([seconds, text, strftime(text, new Date(seconds * 1000))]).toEqual([seconds, text, expected]);
    }
  });
});

test('the time at which a file ends is Python’s', () => {
  type Row = readonly [zone: string, when: string, interval: number, utc: boolean, seconds: number, expected: number];
  for (const [zone, when, interval, utc, seconds, expected] of golden<Row>('rotations')) {
    process.env['TZ'] = zone;
    const rotation = new TimedRotation(when, interval, 0, utc, seconds);
    const found = rotation.next(seconds);
    // On the day when the clocks change, Python is off midnight by an hour.
    const isHourOff = zone === 'Europe/Berlin' && !utc && Math.abs(found - expected) === 3600;
    if (!isHourOff)
      expect([zone, when, interval, utc, seconds, found]).toEqual([zone, when, interval, utc, seconds, expected]);
    else expect(new Date(found * 1000).getHours()).toBe(0);
  }
});
