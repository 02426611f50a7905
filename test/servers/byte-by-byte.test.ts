/** Peers that send one byte at a time: buffering their bytes costs about as much memory as they have sent. */
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { BodySpool } from '../../src/apps/cascade/replayed-request.ts';
import { findHeadEnd, HEAD_END_PART } from '../../src/apps/cgi/script-head.ts';
import { GrowingBuffer } from '../../src/growing-buffer.ts';
import { GET_VALUES, RecordDecoder } from '../../src/servers/fastcgi/records.ts';
import { ScgiHeadReader } from '../../src/servers/scgi/head.ts';
import { collectGarbage } from '../helpers/heap.ts';

const SIZE = 60_000;
/**
 * The limit of the memory, as a multiple of the bytes: a buffer that doubles is at most twice too large, and is copied from one
 * that has not been collected yet.
 */
const MAX_RATIO = 8;

interface Receiver {
  push(byte: Buffer): unknown;
}

function inUse(): number {
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Each byte in its own memory, as it comes from a socket. */
function byteOf(bytes: Buffer, at: number): Buffer {
  const byte = Buffer.allocUnsafeSlow(1);
  byte[0] = bytes[at] as number;
  return byte;
}

const whole = Buffer.concat([Buffer.from('100000:'), Buffer.alloc(SIZE, 'x')]);
const record = Buffer.concat([Buffer.of(1, GET_VALUES, 0, 0, 0xff, 0xff, 0, 0), Buffer.alloc(SIZE, 'x')]);

test.each<[string, Buffer, () => Receiver]>([
  ['the head of an SCGI request', whole, () => new ScgiHeadReader(128 * 1024)],
  ['a FastCGI record that is read as a whole', record, () => new RecordDecoder(() => {})],
  ['the head of a CGI script, and buffered output', record, () => new GrowingBuffer()],
])('%s takes memory in proportion to its bytes', (_name, bytes, make) => {
  const receivers = Array.from({ length: 5 }, make);
  const before = inUse();
  for (const receiver of receivers) for (let at = 0; at < bytes.length; at++) receiver.push(byteOf(bytes, at));
  expect(inUse() - before).toBeLessThan(MAX_RATIO * receivers.length * bytes.length);
  // Uses the receivers after the measurement, so that they are not collected before it.
  expect(receivers).toHaveLength(5);
});

test('a body that is kept for the next application takes memory in proportion to its bytes', async () => {
  const before = inUse();
  const request = new IncomingMessage(new Socket());
  const spool = new BodySpool(request, SIZE);
  for (let at = 0; at < SIZE; at++) {
    request.push(byteOf(whole, at));
    await spool.read(at);
    // Each chunk leaves work of the stream behind until promises have settled.
    if (at % 100 === 0) await setImmediate();
  }
  await setImmediate();
  expect(inUse() - before).toBeLessThan(MAX_RATIO * SIZE);
  expect(await spool.read(0)).toEqual(whole.subarray(0, SIZE));
  await spool.close();
});

test('the end of a script’s head is found wherever its output is split', () => {
  for (const head of ['A: 1\n\nbody', 'A: 1\r\n\r\nbody', 'A: 1\nB: 2\r\n\nbody']) {
    const bytes = Buffer.from(head);
    const received = new GrowingBuffer();
    let end: ReturnType<typeof findHeadEnd>;
    for (let at = 0; at < bytes.length && end === undefined; at++) {
      const searched = Math.max(0, received.length - HEAD_END_PART);
      received.push(bytes.subarray(at, at + 1));
      end = findHeadEnd(received.view(), searched);
    }
    expect(end).toBeDefined();
    expect(end).toEqual(findHeadEnd(bytes));
  }
});
