import { expect, test } from 'vitest';
import { StallTable } from '../../../src/process/worker/stall-table.ts';

const named = (table: StallTable) => new StallTable(table.buffer).read().requests.map(({ what }) => what);

test('another thread reads the requests that have started and not ended', () => {
  const table = new StallTable();
  const done = table.add('GET /one');
  table.add('GET /two');
  expect(named(table).sort()).toEqual(['GET /one', 'GET /two']);
  done();
  expect(named(table)).toEqual(['GET /two']);
});

test('a long text is cut between characters', () => {
  // A slot has 240 bytes: 6 of ASCII, and 117 characters of 2 bytes.
  const table = new StallTable();
  table.add(`GET /${'é'.repeat(300)}`);
  expect(named(table)[0]).toMatch(/^GET \/é{117}$/);
});

test('requests without a free slot of the 64 are counted, and slots are reused', () => {
  const table = new StallTable();
  const all = Array.from({ length: 70 }, (_, index) => table.add(`request ${index}`));
  expect(new StallTable(table.buffer).read()).toMatchObject({ more: 6, requests: { length: 64 } });
  for (const done of all) done();
  expect(new StallTable(table.buffer).read()).toEqual({ more: 0, requests: [] });
  table.add('again');
  expect(named(table)).toEqual(['again']);
});

test('the record goes to standard error by default', () => {
  const table = new StallTable();
  expect(new StallTable(table.buffer).output).toBe(2);
  table.output = 17;
  expect(new StallTable(table.buffer).output).toBe(17);
});
