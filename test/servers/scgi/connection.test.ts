/** Connections of web servers that are correct, broken, slow, or gone. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import type { App } from '../../../src/protocol/types.ts';
import { signal } from '../../helpers/programs/signal.ts';
import { head, netstring, request, type ScgiClient } from './client.ts';
import { type Served, serveScgi } from './serve.ts';

let served: Served;
afterEach(() => served?.close());

async function connectTo(
  app: App,
  settings?: Record<string, string>,
  options?: { unix: boolean },
): Promise<ScgiClient> {
  served = await serveScgi(app, settings, options);
  return await served.client();
}

const echo: App = async (req, res) => {
  req.on('error', () => {});
  let body = '';
  for await (const part of req) body += part;
  res.end(`${req.method} ${req.url} ${body}`);
};

/** The log lines about refusals. */
function warnings(): string[] {
  return served.log.filter((line) => line.startsWith('warn')).map((line) => line.slice('warn: '.length));
}

describe.each([{ unix: false }, { unix: true }])('one request, %j', (options) => {
  test('gets a response with the specified bytes, and then the connection closes', async () => {
    const client = await connectTo((_req, res) => void res.end('hello'), {}, options);
    client.write(request());
    expect((await client.answer()).bytes.toString()).toBe('Status: 200 OK\r\nContent-Length: 5\r\n\r\nhello');
  });

  test('may arrive byte by byte', async () => {
    const client = await connectTo(echo, {}, options);
    for (const byte of request({ REQUEST_METHOD: 'POST', REQUEST_URI: '/x' }, 'abc')) {
      client.write(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await client.answer()).body.toString()).toBe('POST /x abc');
  });

  test('may get a response before its body is read, even if the peer is still writing', async () => {
    const client = await connectTo((_req, res) => void res.end('early'), {}, options);
    client.write(request({ REQUEST_METHOD: 'POST', CONTENT_LENGTH: '4000000' }));
    for (let i = 0; i < 40; i++) client.write(Buffer.alloc(100_000));
    expect((await client.answer()).body.toString()).toBe('early');
  });

  test('gets the whole response even if the peer reads slowly', async () => {
    const client = await connectTo((_req, res) => void res.end(Buffer.alloc(5_000_000, 'x')), {}, options);
    client.socket.pause();
    client.write(request());
    // Longer than a connection lingers after its response has been sent.
    await sleep(2500);
    client.socket.resume();
    const answer = await client.answer();
    expect([answer.body.length, answer.complete]).toEqual([5_000_000, true]);
  });
});

test('the server reads nothing after a request, so writing more fails', async () => {
  served = await serveScgi((_req, res) => void res.end('x'), {}, { unix: true });
  const socket = connect({ path: served.path, allowHalfOpen: true });
  socket.on('error', () => {});
  socket.write(request());
  socket.resume();
  await once(socket, 'end');
  const error = await new Promise((resolve) => socket.write('x', resolve));
  socket.destroy();
  expect(error).toMatchObject({ code: 'EPIPE' });
});

describe('the environment', () => {
  test('is that of the request', async () => {
    const client = await connectTo((req, res) => {
      const { environ } = req as unknown as { environ: Record<string, string> };
      res.end(JSON.stringify([req.url, req.headers.host, req.socket.remoteAddress, environ['SCGI']]));
    });
    const answer = await client.ask({ REQUEST_URI: '/m/a%20b?c', SCRIPT_NAME: '/m', PATH_INFO: '/a b' });
    expect(JSON.parse(answer.body.toString())).toEqual(['/a%20b?c', 'example.test', '192.0.2.7', '1']);
  });

  test('a length of 0 that only SCGI requires is no header, but one that the client has sent is', async () => {
    const app: App = (req, res) => void res.end(String(req.headers['content-length']));
    const client = await connectTo(app);
    expect((await client.ask()).body.toString()).toBe('undefined');
    const other = await served.client();
    expect((await other.ask({ HTTP_CONTENT_LENGTH: '0' })).body.toString()).toBe('0');
  });
});

describe('wrong lengths', () => {
  test('a body beyond CONTENT_LENGTH is cut', async () => {
    const client = await connectTo(echo);
    expect((await client.ask({ CONTENT_LENGTH: '3' }, 'abcdef')).body.toString()).toBe('GET / abc');
  });

  test('a body short of CONTENT_LENGTH is incomplete and gets a 400', async () => {
    const seen: unknown[] = [];
    const client = await connectTo((req) => {
      req.on('error', (error: NodeJS.ErrnoException) => seen.push(error.code, req.complete));
      req.resume();
    });
    client.write(request({ CONTENT_LENGTH: '9' }, 'abc'));
    client.socket.end();
    expect((await client.answer()).status).toBe(400);
    expect(seen).toEqual(['ECONNRESET', false]);
    expect(warnings()).toEqual(['SCGI from 127.0.0.1: the body is shorter than CONTENT_LENGTH']);
  });

  test('a body short of CONTENT_LENGTH aborts a response that has begun', async () => {
    const client = await connectTo((req, res) => {
      req.on('error', () => {});
      req.resume();
      res.write('begun');
    });
    client.write(request({ CONTENT_LENGTH: '9' }, 'abc'));
    await expect.poll(() => client.received.toString()).toContain('begun');
    client.socket.end();
    expect((await client.answer()).complete).toBe(false);
  });
});

describe('refused and logged once', () => {
  test.each<[string, Buffer, number, string, Record<string, string>?]>([
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 0, 'does not begin with a netstring'],
    ['a netstring without its comma', Buffer.from('3:abcd'), 0, 'comma'],
    ['headers that are too large', Buffer.from('2000:'), 431, 'more than 1024 bytes', { max_params_size: '1024' }],
    ['headers without SCGI', netstring('CONTENT_LENGTH\x000\0'), 400, 'SCGI = 1'],
    ['a line break in a header', request({ HTTP_X: 'a\r\nb' }), 400, 'line break'],
    ['a method that is not a token', request({ REQUEST_METHOD: 'GET /' }), 400, 'token'],
  ])('%s', async (_name, bytes, status, reason, settings) => {
    const client = await connectTo(echo, settings);
    client.write(bytes);
    expect((await client.answer()).status).toBe(status);
    const again = await served.client();
    again.write(bytes);
    expect((await again.answer()).status).toBe(status);
    expect(warnings()).toEqual([expect.stringMatching(/^SCGI from 127\.0\.0\.1: /)]);
    expect(warnings()[0]).toContain(reason);
    expect((await (await served.client()).ask()).status).toBe(200);
  });

  test('half a request', async () => {
    const client = await connectTo(echo);
    client.write(request().subarray(0, 40));
    client.socket.end();
    await client.closed;
    expect(warnings()).toEqual(['SCGI from 127.0.0.1: it closed the connection within its headers']);
  });

  test('headers that stall', async () => {
    const client = await connectTo(echo, { headers_timeout: '0.1' });
    client.write(request().subarray(0, 40));
    // Single bytes do not extend the time.
    const drip = setInterval(() => client.write(Buffer.from('x')), 10);
    expect((await client.answer()).status).toBe(408);
    clearInterval(drip);
    expect(warnings()).toEqual(['SCGI from 127.0.0.1: its headers did not arrive within 0.1 seconds']);
  });

  test('too many connections', async () => {
    const [arrived, go] = [signal(), signal()];
    const client = await connectTo(
      async (_req, res) => {
        arrived.fire();
        await go.fired;
        res.end();
      },
      { max_connections: '1' },
    );
    client.write(request());
    await arrived.fired;
    const other = await served.client();
    expect((await other.ask()).status).toBe(503);
    go.fire();
    expect((await client.answer()).status).toBe(200);
    expect(warnings()).toEqual(['SCGI from 127.0.0.1: more than 1 connections']);
  });

  test('a peer that never reads its response', async () => {
    const events: string[] = [];
    const client = await connectTo(
      (_req, res) => {
        res.on('close', () => events.push(`close ${res.writableFinished}`));
        res.write(Buffer.alloc(20_000_000));
      },
      { send_timeout: '0.2' },
    );
    client.socket.pause();
    client.write(request());
    await expect.poll(() => events, { timeout: 10_000 }).toEqual(['close false']);
    expect(warnings()).toEqual(['SCGI from 127.0.0.1: it has read nothing of its response for 0.2 seconds']);
  });
});

describe('not refused', () => {
  test('a peer that only checks whether the server listens, which is not logged', async () => {
    const client = await connectTo(echo);
    client.socket.end();
    await client.closed;
    expect(served.log).toEqual([]);
  });

  test('an application that does not respond for a long time is not aborted', async () => {
    const client = await connectTo(
      async (_req, res) => {
        res.write('a');
        await sleep(400);
        res.end('b');
      },
      { send_timeout: '0.1', headers_timeout: '0.1' },
    );
    expect((await client.ask()).body.toString()).toBe('ab');
    expect(warnings()).toEqual([]);
  });
});

describe('stopping', () => {
  test('finishes requests in flight', async () => {
    const [arrived, go] = [signal(), signal()];
    const client = await connectTo(async (_req, res) => {
      arrived.fire();
      await go.fired;
      res.end('done');
    });
    client.write(request());
    await arrived.fired;
    const closing = served.running.close();
    go.fire();
    expect((await client.answer()).body.toString()).toBe('done');
    await closing;
  });

  test('waits for the first byte of a connection that was just accepted', async () => {
    const client = await connectTo(echo);
    await sleep(10);
    const closing = served.running.close();
    // Less than the second that a connection has for its first byte.
    await sleep(150);
    expect((await client.ask()).status).toBe(200);
    await closing;
  });

  test('does not wait for a connection on which nothing arrives', async () => {
    const client = await connectTo(echo);
    await sleep(10);
    await served.running.close();
    await client.closed;
  });

  test('aborts the remaining requests after the timeout', async () => {
    const arrived = signal();
    const client = await connectTo(arrived.fire);
    client.write(request());
    await arrived.fired;
    await served.running.close({ timeout: 0.1 });
    expect((await client.answer()).status).toBe(0);
  });

  test('may be immediate', async () => {
    const arrived = signal();
    const client = await connectTo(arrived.fire);
    client.write(request());
    await arrived.fired;
    await served.running.close({ graceful: false });
    await client.closed;
  });
});

test('after bytes in any order and split, valid or not, the next valid request gets its response', async () => {
  served = await serveScgi(echo);
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc.string({ maxLength: 40 }).map((text) => netstring(text)),
    fc
      .constantFrom('CONTENT_LENGTH\x005\0SCGI\x001\0', 'CONTENT_LENGTH\x000\0SCGI\x001\0')
      .map((text) => netstring(text)),
    fc.constant(request({ REQUEST_URI: '/whole', CONTENT_LENGTH: '99' }, 'half')),
    fc.constant(head({ CONTENT_LENGTH: '0', SCGI: '1', REQUEST_METHOD: '\r\n' })),
    fc.constant(Buffer.from('70:CONTENT')),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(piece, { maxLength: 5 }),
      fc.integer({ min: 1, max: 60 }),
      fc.constantFrom('end', 'destroy', 'stay'),
      async (pieces, size, ending) => {
        const fuzzed = await served.client();
        const bytes = Buffer.concat(pieces);
        for (let at = 0; at < bytes.length; at += size) {
          fuzzed.write(bytes.subarray(at, at + size));
          await new Promise((resolve) => setImmediate(resolve));
        }
        if (ending === 'end') fuzzed.socket.end();
        else if (ending === 'destroy') fuzzed.close();
        const honest = await served.client();
        expect((await honest.ask({ REQUEST_URI: '/honest' })).body.toString()).toBe('GET /honest ');
        if (ending === 'end') await fuzzed.closed;
        fuzzed.close();
      },
    ),
    { numRuns: 150 },
  );
});
