/** Connections without sockets, with sockets that are created later, and with sockets from the start: they behave the same. */
import { channel } from 'node:diagnostics_channel';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { acceptConnections } from '../../src/net/direct/accept.ts';
import { type Connection, type ConnectionUser, direct, type OpenConnection } from '../../src/net/direct/connection.ts';
import { openListener } from '../../src/net/listener.ts';
import { temporaryDirectory } from '../helpers/directory.ts';
import { signal } from '../helpers/programs/signal.ts';
import { received } from '../helpers/requests/received.ts';

test('this Node has the internals that direct connections need', () => {
  expect(direct).toEqual({ reads: true, writes: true, accepts: true });
});

/** Records the events of a connection. */
class User implements ConnectionUser {
  text = '';
  readonly errors: string[] = [];
  readonly hasEnded = signal();
  readonly hasDrained = signal();
  readonly hasClosed = signal();
  readonly #waiting: (() => void)[] = [];
  onData: ((length: number) => void) | undefined;

  data(bytes: Buffer, length: number): void {
    this.text += bytes.toString('latin1', 0, length);
    this.onData?.(length);
    for (const wake of this.#waiting.splice(0)) wake();
  }

  drained(): void {
    this.hasDrained.fire();
  }

  ended(): void {
    this.hasEnded.fire();
  }

  silent(): void {}

  failed(error: Error): void {
    this.errors.push(error.message);
  }

  closed(): void {
    this.hasClosed.fire();
  }

  async has(length: number): Promise<void> {
    while (this.text.length < length) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
}

/** `own`: whether the listener is one of paster's; `asks`: whether the application asks for the socket. */
const WAYS = {
  'without a socket': { own: true, asks: false },
  'with a socket that was created later': { own: true, asks: true },
  'with a socket from the start': { own: false, asks: false },
};

describe.each(Object.entries(WAYS))('%s', (_name, { own, asks }) => {
  let server: Server;
  let client: Socket;
  let connection: Connection;
  let user: User;

  beforeEach(async () => {
    const path = join(temporaryDirectory(), 'socket');
    server = own ? (await openListener({ kind: 'unix', path })).server : createServer({ allowHalfOpen: true });
    user = new User();
    const accepted = new Promise<Connection>((resolve) => {
      acceptConnections(server, (each) => {
        each.begin(user);
        if (asks) each.socket.setTimeout(0);
        resolve(each);
      });
    });
    if (!own) await new Promise<void>((resolve) => server.listen(path, resolve));
    client = createConnection({ path, allowHalfOpen: true });
    client.on('error', () => {});
    connection = await accepted;
  });

  afterEach(async () => {
    client.destroy();
    connection.destroy();
    await user.hasClosed.fired;
    await new Promise((resolve) => server.close(resolve));
  });

  const written = (data: string | Buffer) =>
    new Promise<Error | undefined>((resolve) => {
      expect(connection.write(data, (_of: undefined, error?: Error) => resolve(error), undefined)).toBe(true);
    });

  test('reading: delivers the data and the end', async () => {
    client.write('abc');
    await user.has(3);
    client.write('def');
    client.end();
    await user.hasEnded.fired;
    expect(user.text).toBe('abcdef');
    expect(connection.bytesRead).toBe(6);
    expect(connection.destroyed).toBe(false);
  });

  test('reading: delivers nothing while it is paused', async () => {
    const size = 4 * 1024 * 1024;
    const paused = new Promise<void>((resolve) => {
      user.onData = () => {
        user.onData = undefined;
        connection.pause();
        resolve();
      };
    });
    client.write(Buffer.alloc(size));
    await paused;
    await sleep(50);
    // One read may have been in progress.
    expect(user.text.length).toBeLessThan(size / 2);
    connection.resume();
    await user.has(size);
  });

  test('reading: a socket that is created within the call gets the data that follows', async () => {
    user.onData = () => void connection.socket;
    client.write('abc');
    await user.has(3);
    client.end('def');
    await user.hasEnded.fired;
    expect(user.text).toBe('abcdef');
  });

  test('a socket that is created after the end sees the end too', async () => {
    client.end();
    await user.hasEnded.fired;
    const all = received(client, 3);
    // It closes when both sides have ended.
    connection.socket.end('abc');
    connection.socket.resume();
    expect(await all).toBe('abc');
    await user.hasClosed.fired;
  });

  test('writing: texts and bytes are sent in order with what the socket writes itself', async () => {
    const text = received(client, 9);
    const done = [written('ab\xff'), written(Buffer.from('def'))];
    connection.socket.write('ghi');
    expect(await text).toBe('ab\xffdefghi');
    expect(await Promise.all(done)).toEqual([undefined, undefined]);
    expect(connection.bytesWritten).toBe(9);
    expect(connection.hasUnsent).toBe(false);
  });

  test('writing: waits for a peer that does not read, and leaves further writes to the socket', async () => {
    const piece = 'x'.repeat(16 * 1024);
    let pieces = 0;
    while (!connection.hasUnsent) {
      expect(connection.write(piece, () => {}, undefined)).toBe(true);
      pieces++;
    }
    expect(connection.write(piece, () => {}, undefined)).toBe(false);
    connection.socket.end('the end');
    const text = await received(client, pieces * piece.length + 'the end'.length);
    expect(text.length).toBe(pieces * piece.length + 'the end'.length);
    expect(text.endsWith('xthe end')).toBe(true);
    expect(connection.hasUnsent).toBe(false);
  });

  test('writing: what has not been sent is lost when it is destroyed', async () => {
    const outcomes: (Error | undefined)[] = [];
    const piece = Buffer.alloc(16 * 1024);
    while (!connection.hasUnsent)
      connection.write(piece, (_of: undefined, error?: Error) => outcomes.push(error), undefined);
    const lost = new Promise<Error | undefined>((resolve) => connection.once('close', () => resolve(outcomes.at(-1))));
    connection.destroy();
    expect(await lost).toMatchObject({ code: 'ECANCELED', syscall: 'write' });
  });

  test('writing: a peer that has gone is an error of the write and of the connection', async () => {
    const gone = new Promise((resolve) => client.once('close', resolve));
    connection.pause();
    client.destroy();
    await gone;
    expect(await written('x')).toMatchObject({ code: 'EPIPE', syscall: 'write' });
    await user.hasClosed.fired;
    expect(user.errors).toEqual(['write EPIPE']);
  });

  test('writing: declines long chunks, and chunks after the end', async () => {
    expect(connection.write('x'.repeat(16 * 1024 + 1), () => {}, undefined)).toBe(false);
    connection.destroy();
    expect(connection.write('x', () => {}, undefined)).toBe(false);
    const error = await new Promise((resolve) => connection.socket.write('x', resolve));
    expect(error).toBeInstanceOf(Error);
    await user.hasClosed.fired;
    expect(user.errors).toEqual([]);
  });

  test('closing: emits close once, in a later tick, with the bytes that it has read and written', async () => {
    const counts: number[][] = [];
    connection.once('close', () => counts.push([connection.bytesRead, connection.bytesWritten]));
    client.write('abc');
    await user.has(3);
    await written('x');
    connection.destroy();
    connection.destroy();
    expect(counts).toEqual([]);
    await user.hasClosed.fired;
    expect(counts).toEqual([[3, 1]]);
  });
});

describe('accepting', () => {
  /** A connection over TCP, as one of paster's listeners passes it on. */
  async function accept(
    begun: () => void = () => {},
  ): Promise<{ connection: Connection; client: Socket; observed: OpenConnection[] }> {
    const listener = await openListener({ kind: 'tcp', host: '127.0.0.1', port: 0 });
    const observed: OpenConnection[] = [];
    listener.observe((each) => observed.push(each));
    const accepted = new Promise<Connection>((resolve) => acceptConnections(listener.server, resolve));
    begun();
    const client = createConnection({ port: 'port' in listener.address ? listener.address.port : 0 });
    client.on('error', () => {});
    const connection = await accepted;
    onTestFinished(async () => {
      client.destroy();
      connection.destroy();
      await listener.close();
    });
    return { connection, client, observed };
  }

  test('the peer’s address is known, and observers are told first', async () => {
    const { connection, observed } = await accept();
    expect(connection.remoteAddress).toBe('127.0.0.1');
    expect(observed).toHaveLength(1);
    expect(observed[0]).toBe(connection);
  });

  test('a reset is an error', async () => {
    const { connection, client } = await accept();
    const user = new User();
    connection.begin(user);
    client.resetAndDestroy();
    await user.hasClosed.fired;
    expect(user.errors).toEqual(['read ECONNRESET']);
  });

  test('connections have sockets while Node’s diagnostics channel for sockets has a subscriber', async () => {
    const sockets: unknown[] = [];
    const subscribe = (message: unknown): void => void sockets.push((message as { socket: unknown }).socket);
    onTestFinished(() => void channel('net.server.socket').unsubscribe(subscribe));
    const { connection } = await accept(() => channel('net.server.socket').subscribe(subscribe));
    // Node publishes it after it has emitted 'connection'.
    await new Promise((resolve) => setImmediate(resolve));
    expect(sockets).toHaveLength(1);
    expect(sockets[0]).toBe(connection.socket);
  });
});
