import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeBeginRequest,
  decodePairs,
  encodeBeginRequest,
  encodeEndRequest,
  encodePairs,
  encodeRecord,
  encodeStream,
  encodeUnknownType,
  PARAMS,
  ProtocolError,
  RecordDecoder,
  STDIN,
  STDOUT,
} from '../../../src/servers/fastcgi/records.ts';
import * as client from './client.ts';

/** The output of a decoder for bytes in these pieces; pieces of one stream record are joined. */
function decode(...pieces: Buffer[]): [number, number, string][] {
  const seen: [number, number, string][] = [];
  const decoder = new RecordDecoder((type, id, content) => {
    const last = seen.at(-1);
    if (content.length > 0 && last?.[0] === type && last[1] === id && last[2] !== '')
      last[2] += content.toString('latin1');
    else seen.push([type, id, content.toString('latin1')]);
  });
  for (const piece of pieces) decoder.push(piece);
  return seen;
}

interface Made {
  readonly type: number;
  readonly id: number;
  readonly content: Uint8Array;
  readonly padding: number;
}

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

describe('pairs (section 3.4)', () => {
  test.each([
    ['an empty name and value', '00 00', ['', '']],
    ['short lengths', '01 02 61 6263', ['a', 'bc']],
    ['a value of 127 bytes', `01 7f 61 ${'62'.repeat(127)}`, ['a', 'b'.repeat(127)]],
    ['a value of 128 bytes', `01 80000080 61 ${'62'.repeat(128)}`, ['a', 'b'.repeat(128)]],
    ['a name of 128 bytes', `80000080 00 ${'61'.repeat(128)}`, ['a'.repeat(128), '']],
    ['a short value with a four-byte length', '01 80000001 61 62', ['a', 'b']],
    ['bytes above 127', '01 01 e9 ff', ['\xe9', '\xff']],
    ['two', '01 01 61 62 01 00 63', ['a', 'b', 'c', '']],
  ])('%s is decoded', (_name, bytes, expected) => {
    expect(decodePairs(hex(bytes))).toEqual(expected);
  });

  test.each(['01', '01 02 61 62', '80', '8000', '01 80 00', '01 ffffffff 61', 'ffffffff ffffffff 61', '00 01'])(
    'are an error if cut off: %s',
    (bytes) => {
      expect(() => decodePairs(hex(bytes))).toThrow(ProtocolError);
    },
  );

  test('are encoded by the table of the specification', () => {
    expect(
      encodePairs(['a', 'b'.repeat(127)])
        .subarray(0, 3)
        .toString('hex'),
    ).toBe('017f61');
    expect(
      encodePairs(['a', 'b'.repeat(128)])
        .subarray(0, 6)
        .toString('hex'),
    ).toBe('018000008061');
  });

  test('are limited in number', () => {
    expect(() => decodePairs(Buffer.alloc(200), 99)).toThrow('more than 99');
    expect(decodePairs(Buffer.alloc(200), 100)).toHaveLength(200);
  });

  test('are decoded as they were encoded', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((n) => String.fromCharCode(n)), maxLength: 300 }),
        ),
        (texts) => {
          const list = texts.length % 2 === 0 ? texts : [...texts, ''];
          expect(decodePairs(encodePairs(list))).toEqual(list);
        },
      ),
    );
  });
});

describe('records', () => {
  test('are encoded as specified', () => {
    expect(encodeRecord(STDOUT, 0x0102, Buffer.from('abc'), 5).toString('hex')).toBe(
      '0106010200030500' + '616263' + '0000000000',
    );
    expect(encodeEndRequest(1, 2, 0xdeadbeef).toString('hex')).toBe('0103000100080000' + 'deadbeef02000000');
    expect(encodeUnknownType(77).toString('hex')).toBe('010b000000080000' + '4d00000000000000');
    expect(encodeBeginRequest(1, 1, true).toString('hex')).toBe('0101000100080000' + '0001010000000000');
    expect(() => encodeRecord(STDOUT, 1, Buffer.alloc(65_536))).toThrow(RangeError);
  });

  test('BEGIN_REQUEST is decoded', () => {
    expect(decodeBeginRequest(hex('0003 01 0000000000'))).toEqual({ role: 3, keepConnection: true });
    expect(decodeBeginRequest(hex('0001 fe 0000000000'))).toEqual({ role: 1, keepConnection: false });
    expect(() => decodeBeginRequest(hex('000101'))).toThrow(ProtocolError);
  });

  test('66,000 bytes take two records', () => {
    const seen: [number, number][] = [];
    new RecordDecoder((type, _id, content) => seen.push([type, content.length])).push(
      encodeStream(STDIN, 1, Buffer.alloc(66_000)),
    );
    expect(seen).toEqual([
      [STDIN, 65_535],
      [STDIN, 465],
    ]);
  });

  test('padding is skipped after every record, even an empty one', () => {
    const bytes = Buffer.concat([
      client.record(4, 1, 'ab', 255),
      client.record(4, 1, '', 7),
      client.record(5, 1, '', 1),
      client.record(1, 2, '12345678', 3),
    ]);
    const expected = [
      [4, 1, 'ab'],
      [4, 1, ''],
      [5, 1, ''],
      [1, 2, '12345678'],
    ];
    expect(decode(bytes)).toEqual(expected);
    for (let at = 0; at <= bytes.length; at++)
      expect(decode(bytes.subarray(0, at), bytes.subarray(at))).toEqual(expected);
    expect(decode(...Array.from(bytes, (byte) => Buffer.of(byte)))).toEqual(expected);
  });

  test.each(['00', '02', '47', 'ff'])('are an error with the version byte %s', (byte) => {
    const decoder = new RecordDecoder(() => {});
    expect(() => decoder.push(hex(byte))).toThrow(ProtocolError);
  });

  test('are an error with a wrong version after a valid record', () => {
    const seen: number[] = [];
    const decoder = new RecordDecoder((type) => seen.push(type));
    expect(() => decoder.push(Buffer.concat([client.record(5, 1), Buffer.from('GET / HTTP/1.1\r\n')]))).toThrow(
      'FastCGI',
    );
    expect(seen).toEqual([STDIN]);
  });

  test('the decoder is idle only between records', () => {
    const decoder = new RecordDecoder(() => {});
    const bytes = client.record(PARAMS, 1, 'abc', 2);
    for (let at = 0; at < bytes.length; at++) {
      expect(decoder.idle).toBe(at === 0);
      decoder.push(bytes.subarray(at, at + 1));
    }
    expect(decoder.idle).toBe(true);
  });

  const aRecord = fc.record({
    type: fc.integer({ min: 1, max: 255 }),
    id: fc.integer({ min: 0, max: 65_535 }),
    content: fc.uint8Array({ maxLength: 40 }),
    padding: fc.integer({ min: 0, max: 255 }),
  });
  const bytesOf = ({ type, id, content, padding }: Made): Buffer =>
    client.record(type, id, Buffer.from(content), padding);

  test('any records are decoded, split anywhere', () => {
    fc.assert(
      fc.property(fc.array(aRecord, { maxLength: 8 }), fc.array(fc.integer({ min: 0, max: 3000 })), (records, cuts) => {
        const bytes = Buffer.concat(records.map(bytesOf));
        const places = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length];
        const pieces = places.slice(1).map((end, i) => bytes.subarray(places[i], end));
        expect(decode(...pieces)).toEqual(decode(...records.map(bytesOf)));
        // Next to each other, records of one stream are joined.
        const whole = records.flatMap((each) => decode(bytesOf(each)));
        expect(whole).toEqual(
          records.map(({ type, id, content }) => [type, id, Buffer.from(content).toString('latin1')]),
        );
      }),
    );
  });

  test('any bytes are decoded or cause a ProtocolError', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.uint8Array({ maxLength: 50 }), aRecord.map(bytesOf))), (pieces) => {
        try {
          decode(...pieces.map((piece) => Buffer.from(piece)));
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError);
        }
      }),
    );
  });
});
