/** The netstring and its variables, byte by byte and in any split. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BadHead, decodeVariables, ScgiHeadReader } from '../../../src/servers/scgi/head.ts';
import { head, netstring } from './client.ts';

const MAX = 4096;

function read(bytes: Buffer, cuts: readonly number[] = []): { pairs: string[]; rest: string } | undefined {
  const reader = new ScgiHeadReader(MAX);
  const edges = [0, ...[...cuts].map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  for (let i = 1; i < edges.length; i++) {
    const found = reader.push(bytes.subarray(edges[i - 1], edges[i]));
    if (found) return { pairs: found.pairs, rest: found.rest.toString() + bytes.subarray(edges[i]).toString() };
  }
  return undefined;
}

function failure(bytes: Buffer): BadHead | undefined {
  try {
    read(bytes);
  } catch (error) {
    if (error instanceof BadHead) return error;
    throw error;
  }
  return undefined;
}

test('the example of the specification is decoded', () => {
  const bytes = Buffer.from(
    '70:CONTENT_LENGTH\x0027\0SCGI\x001\0REQUEST_METHOD\0POST\0REQUEST_URI\0/deepthought\0,What is the answer to life?',
    'latin1',
  );
  expect(read(bytes)).toEqual({
    pairs: ['CONTENT_LENGTH', '27', 'SCGI', '1', 'REQUEST_METHOD', 'POST', 'REQUEST_URI', '/deepthought'],
    rest: 'What is the answer to life?',
  });
});

const value = fc.string({
  unit: fc.integer({ min: 1, max: 255 }).map((code) => String.fromCharCode(code)),
  maxLength: 40,
});
const variables = fc.array(
  fc.tuple(
    value.filter((name) => name !== '' && name !== 'CONTENT_LENGTH' && name !== 'SCGI'),
    value,
  ),
  { maxLength: 12 },
);

test('any variables are decoded, split at any bytes', () => {
  fc.assert(
    fc.property(variables, fc.nat(10 ** 9), fc.string(), fc.array(fc.nat(2000)), (list, length, body, cuts) => {
      const all: [string, string][] = [['CONTENT_LENGTH', String(length)], ...list, ['SCGI', '1']];
      expect(read(Buffer.concat([head(all), Buffer.from(body)]), cuts)).toEqual({ pairs: all.flat(), rest: body });
    }),
  );
});

test('any bytes, split anywhere, always give the same result: a head, a BadHead, or incomplete', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 80 }).map((each) => Buffer.from(each)),
    fc.string({ maxLength: 60 }).map((text) => netstring(text)),
    fc
      .array(fc.constantFrom('CONTENT_LENGTH', 'SCGI', '\0', '0', '1', 'x'), { maxLength: 12 })
      .map((words) => netstring(words.join(''))),
  );
  const outcome = (input: Buffer, cuts: readonly number[]): unknown => {
    try {
      return read(input, cuts)?.pairs;
    } catch (error) {
      if (error instanceof BadHead) return error.message;
      throw error;
    }
  };
  fc.assert(
    fc.property(bytes, fc.array(fc.nat(200)), (input, cuts) => {
      expect(outcome(input, cuts)).toEqual(outcome(input, []));
    }),
    { numRuns: 500 },
  );
});

test('a head is incomplete until its last byte', () => {
  const whole = head({ CONTENT_LENGTH: '0', SCGI: '1' });
  for (let end = 0; end < whole.length; end++) expect(read(whole.subarray(0, end))).toBeUndefined();
  expect(read(whole)?.rest).toBe('');
});

describe('an invalid request is refused', () => {
  const good = 'CONTENT_LENGTH\x000\0SCGI\x001\0';
  test.each<[string, Buffer, number | undefined]>([
    ['HTTP', Buffer.from('G'), undefined],
    ['without a length', Buffer.from(':'), undefined],
    ['a leading zero', Buffer.from('01'), undefined],
    ['a negative length', Buffer.from('-'), undefined],
    ['without a comma', Buffer.from(`${good.length}:${good};`), undefined],
    ['a length that is too short', Buffer.from(`5:${good},`), undefined],
    ['a length above the limit, at its last digit', Buffer.from('4097'), 431],
    ['digits without end', Buffer.from('9'.repeat(400)), 431],
    ['an empty netstring', netstring(''), 400],
    ['without a final NUL', netstring(`${good}A\0b`), 400],
    ['a name without a value', netstring(`${good}A\0`), 400],
    ['an empty name', netstring(`${good}\0b\0`), 400],
    ['CONTENT_LENGTH second', netstring('SCGI\x001\0CONTENT_LENGTH\x000\0'), 400],
    ['CONTENT_LENGTH twice', netstring(`${good}CONTENT_LENGTH\x005\0`), 400],
    ['an empty CONTENT_LENGTH', netstring('CONTENT_LENGTH\0\0SCGI\x001\0'), 400],
    ['CONTENT_LENGTH in hexadecimal', netstring('CONTENT_LENGTH\x000x5\0SCGI\x001\0'), 400],
    ['without SCGI', netstring('CONTENT_LENGTH\x000\0'), 400],
    ['SCGI = 2', netstring('CONTENT_LENGTH\x000\0SCGI\x002\0'), 400],
  ])('%s', (_name, bytes, status) => {
    const error = failure(bytes);
    expect([error?.constructor, error?.status]).toEqual([BadHead, status]);
  });

  test('more than 4096 variables', () => {
    const block = Buffer.from(`${good}${'a\0\0'.repeat(4095)}`, 'latin1');
    expect(() => decodeVariables(block)).toThrow('more than 4096 headers');
    expect(decodeVariables(Buffer.from(`${good}${'a\0\0'.repeat(4094)}`))).toHaveLength(2 * 4096);
  });
});

test('nginx’s second, empty CONTENT_LENGTH does not count', () => {
  const list: [string, string][] = [
    ['CONTENT_LENGTH', '3'],
    ['SCGI', '1'],
    ['CONTENT_LENGTH', ''],
  ];
  expect(read(head(list))?.pairs).toEqual(['CONTENT_LENGTH', '3', 'SCGI', '1', 'CONTENT_LENGTH', '3']);
});
