/**
 * The npm package `fastcgi-parser` as a second opinion, on what it supports: ASCII, pairs within one record, each name once,
 * and padding only after records that are not empty.
 */
import { createRequire } from 'node:module';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as records from '../../../src/servers/fastcgi/records.ts';

interface Header {
  readonly type: number;
  readonly recordId: number;
  readonly contentLength: number;
  readonly paddingLength: number;
}

interface Theirs {
  readonly parser: new () => {
    encoding: string;
    onRecord: (record: { readonly header: Header; readonly body: unknown }) => void;
    onParam: (name: string, value: string) => void;
    execute(bytes: Buffer): void;
  };
  readonly writer: new () => {
    writeHeader(header: Header & { readonly version: number }): void;
    writeParams(pairs: readonly (readonly [string, string])[]): void;
    tobuffer(): Buffer;
  };
  getParamLength(pairs: readonly (readonly [string, string])[]): number;
}

const theirs: Theirs = createRequire(import.meta.url)('fastcgi-parser');

/** Texts near the length at which lengths take four bytes. */
const ascii = fc.string({ unit: fc.constantFrom(...'aZ09 =&/%_-'), maxLength: 300, size: 'max' });
const pair = fc.tuple(
  ascii.map((text) => `N${text}`),
  ascii,
);
const pairs = fc.uniqueArray(pair, { selector: ([name]) => name, minLength: 1, maxLength: 20 });
const requestId = fc.integer({ min: 0, max: 65_535 });
const padding = fc.integer({ min: 0, max: 255 });

/** The result of their parser for the bytes, which arrive in two pieces. */
function theyRead(bytes: Buffer, cut: number): unknown[] {
  const parser = new theirs.parser();
  parser.encoding = 'ascii';
  const seen: unknown[] = [];
  parser.onParam = (...each) => seen.push(each);
  parser.onRecord = ({ header: { type, recordId }, body }) =>
    seen.push([type, recordId, typeof body === 'string' ? body : '']);
  for (const piece of [bytes.subarray(0, cut), bytes.subarray(cut)]) parser.execute(piece);
  return seen;
}

/** The result of our parser, in the same form. */
function weRead(bytes: Buffer, cut: number): unknown[] {
  const seen: unknown[] = [];
  let parts: Buffer[] = [];
  let missing = -1;
  const lengths = lengthsOf(bytes);
  const decoder = new records.RecordDecoder((type, id, content) => {
    // A record of a stream arrives in pieces; the length in its header is that of the whole record.
    if (missing < 0) missing = lengths.shift() ?? 0;
    parts.push(Buffer.from(content));
    missing -= content.length;
    if (missing > 0) return;
    const whole = Buffer.concat(parts);
    [parts, missing] = [[], -1];
    const isPairs = type === records.PARAMS || type === records.GET_VALUES;
    if (isPairs) {
      const flat = records.decodePairs(whole);
      for (let i = 0; i < flat.length; i += 2) seen.push([flat[i], flat[i + 1]]);
    }
    seen.push([type, id, isPairs || type === records.BEGIN_REQUEST ? '' : whole.toString('latin1')]);
  });
  for (const piece of [bytes.subarray(0, cut), bytes.subarray(cut)]) decoder.push(piece);
  return seen;
}

function lengthsOf(bytes: Buffer): number[] {
  const lengths: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt16BE(at + 4);
    lengths.push(length);
    at += records.HEADER_LENGTH + length + bytes.readUInt8(at + 6);
  }
  return lengths;
}

const request = fc
  .record({ requestId, pairs, body: ascii.filter((text) => text !== ''), padding, role: fc.constantFrom(1, 2, 3) })
  .map(({ requestId: id, pairs: given, body, padding: pad, role }) =>
    Buffer.concat([
      records.encodeBeginRequest(id, role, pad % 2 === 1),
      records.encodeRecord(records.PARAMS, id, records.encodePairs(given.flat()), pad),
      records.encodeRecord(records.PARAMS, id),
      records.encodeRecord(records.STDIN, id, Buffer.from(body), pad),
      records.encodeRecord(records.STDIN, id),
      records.encodeRecord(records.GET_VALUES, 0, records.encodePairs(given.flat())),
    ]),
  );

test('paster and fastcgi-parser read the same records', () => {
  fc.assert(
    fc.property(request, fc.nat(), (bytes, at) => {
      const cut = at % bytes.length;
      expect(weRead(bytes, cut)).toEqual(theyRead(bytes, cut));
    }),
    { numRuns: 500 },
  );
});

test('paster and fastcgi-parser write the same records', () => {
  fc.assert(
    fc.property(requestId, pairs, (id, given) => {
      const writer = new theirs.writer();
      const contentLength = theirs.getParamLength(given);
      writer.writeHeader({ version: 1, type: records.PARAMS, recordId: id, contentLength, paddingLength: 0 });
      writer.writeParams(given);
      const ours = records.encodeRecord(records.PARAMS, id, records.encodePairs(given.flat()));
      // As text: toEqual looks at each byte of a Buffer by itself.
      expect(ours.toString('latin1')).toBe(writer.tobuffer().toString('latin1'));
    }),
    { numRuns: 500 },
  );
});
