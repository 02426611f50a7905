import { createConnection, createServer, type Server, Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DirectWriter, directIo, takeBytes } from '../../src/net/direct-io.ts';
import { temporaryDirectory } from '../helpers/directory.ts';
import { received } from '../helpers/received.ts';

let server: Server;
let client: Socket;
let accepted: Socket;

beforeEach(async () => {
  const path = join(temporaryDirectory(), 'socket');
  server = createServer({ allowHalfOpen: true });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const connection = new Promise<Socket>((resolve) => server.once('connection', resolve));
  client = createConnection({ path, allowHalfOpen: true });
  client.on('error', () => {});
  accepted = await connection;
  accepted.on('error', () => {});
});

afterEach(async () => {
  client.destroy();
  accepted.destroy();
  await new Promise((resolve) => server.close(resolve));
});

const written = (writer: DirectWriter, data: string | Buffer) =>
  new Promise<Error | undefined>((resolve) => {
    const taken = writer.write(data, (_of: undefined, error?: Error) => resolve(error), undefined);
    expect(taken).toBe(true);
  });

test('Node 20 and 22 have what it is built on', () => {
  const major = Number(process.versions.node.split('.')[0]);
  expect(directIo.reads).toBe(true);
  // Since 24.22 Node makes the object of a write itself, and none that could be used again.
  if (major <= 22) expect(directIo.writes).toBe(true);
});

describe('reading', () => {
  test('what comes is in a buffer that others use too, the end is the socket’s own event', async () => {
    const pieces: string[] = [];
    const came = new Promise<void>((resolve) => {
      const taken = takeBytes(accepted, (bytes, length) => {
        pieces.push(bytes.toString('latin1', 0, length));
        if (pieces.join('').length === 6) resolve();
      });
      expect(taken).toBe(true);
    });
    client.write('abc');
    client.write('def');
    await came;
    const ended = new Promise((resolve) => accepted.once('end', resolve));
    client.end();
    await ended;
    expect(pieces.join('')).toBe('abcdef');
  });

  test('a paused socket reads nothing until it is resumed', async () => {
    let length = 0;
    const size = 4 * 1024 * 1024;
    const all = new Promise<void>((resolve) => {
      takeBytes(accepted, (_bytes, count) => {
        if (length === 0) {
          accepted.pause();
          setTimeout(() => {
            // One read may have been under way.
            expect(length).toBeLessThan(size / 2);
            accepted.resume();
          }, 50);
        }
        length += count;
        if (length === size) resolve();
      });
    });
    client.write(Buffer.alloc(size));
    await all;
  });

  test('declines a socket that has read already', async () => {
    client.write('early');
    await new Promise((resolve) => accepted.once('readable', resolve));
    expect(takeBytes(accepted, () => {})).toBe(false);
    expect(accepted.read().toString()).toBe('early');
  });

  test('declines a socket without a handle', () => {
    expect(takeBytes(new Socket(), () => {})).toBe(false);
  });
});

describe.runIf(directIo.writes)('writing', () => {
  test('texts and bytes leave in order with what the socket writes itself', async () => {
    const writer = new DirectWriter(accepted);
    const text = received(client, 9);
    const done = [written(writer, 'ab\xff'), written(writer, Buffer.from('def'))];
    accepted.write('ghi');
    expect(await text).toBe('ab\xffdefghi');
    expect(await Promise.all(done)).toEqual([undefined, undefined]);
  });

  test('waits for a peer that does not read, and leaves what follows to the socket', async () => {
    const writer = new DirectWriter(accepted);
    const piece = 'x'.repeat(16 * 1024);
    let pieces = 0;
    while (!writer.waiting) {
      expect(writer.write(piece, () => {}, undefined)).toBe(true);
      pieces++;
    }
    expect(writer.write(piece, () => {}, undefined)).toBe(false);
    accepted.end('the end');
    const text = await received(client, pieces * piece.length + 'the end'.length);
    expect(text.length).toBe(pieces * piece.length + 'the end'.length);
    expect(text.endsWith('xthe end')).toBe(true);
    expect(writer.waiting).toBe(false);
  });

  test('says that what waited is lost when the socket is destroyed', async () => {
    const writer = new DirectWriter(accepted);
    const outcomes: (Error | undefined)[] = [];
    while (!writer.waiting) {
      writer.write('x'.repeat(16 * 1024), (_of: undefined, error?: Error) => outcomes.push(error), undefined);
    }
    const closed = new Promise((resolve) => accepted.once('close', resolve));
    accepted.destroy();
    await closed;
    expect(outcomes.at(-1)).toMatchObject({ code: 'ECANCELED', syscall: 'write' });
  });

  test('a peer that has gone is an error of the socket, and of the write', async () => {
    const writer = new DirectWriter(accepted);
    const failed = new Promise<Error>((resolve) => accepted.once('error', resolve));
    const gone = new Promise((resolve) => client.once('close', resolve));
    client.destroy();
    await gone;
    expect(await written(writer, 'x')).toMatchObject({ code: 'EPIPE', syscall: 'write' });
    expect(await failed).toMatchObject({ code: 'EPIPE' });
  });

  test('declines long pieces, and a socket that was ended or has something to write', () => {
    const writer = new DirectWriter(accepted);
    expect(writer.write('x'.repeat(16 * 1024 + 1), () => {}, undefined)).toBe(false);
    accepted.cork();
    accepted.write('first');
    expect(writer.write('x', () => {}, undefined)).toBe(false);
    accepted.uncork();
    accepted.end();
    expect(writer.write('x', () => {}, undefined)).toBe(false);
  });
});
