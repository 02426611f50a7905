import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import type { App } from '../../../src/protocol/types.ts';
import { eventually } from '../../helpers/programs/program.ts';
import { signal } from '../../helpers/programs/signal.ts';
import { begin, type FastcgiClient, pair, pairs, record, request, stream, TYPE } from './client.ts';
import { type Served, serveFastcgi } from './serve.ts';

let served: Served;
afterEach(() => served?.close());

async function connectTo(app: App, settings?: Record<string, string>): Promise<FastcgiClient> {
  served = await serveFastcgi(app, settings);
  return await served.client();
}

const echo: App = async (req, res) => {
  let body = '';
  for await (const part of req) body += part;
  res.end(`${req.method} ${req.url} ${body}`);
};

describe('one request', () => {
  test('has a response with the specified bytes', async () => {
    const client = await connectTo((_req, res) => {
      res.end('hello');
    });
    client.write(request(0x0102));
    await client.record(TYPE.end);
    expect(client.records.map((each) => [each.type, each.id, each.content.toString('latin1')])).toEqual([
      [TYPE.stdout, 0x0102, 'Status: 200 OK\r\nContent-Length: 5\r\n\r\nhello'],
      [TYPE.stdout, 0x0102, ''],
      [TYPE.end, 0x0102, '\0\0\0\0\0\0\0\0'],
    ]);
  });

  test('gets a response without connection headers and the application’s Status', async () => {
    const client = await connectTo((_req, res) => {
      res.writeHead(200, {
        Status: '404 Not Found',
        Connection: 'close',
        'keep-ALIVE': 'x',
        'Transfer-Encoding': 'chunked',
        Upgrade: 'h2c',
        Trailer: 'X',
        TE: 'x',
        'X-Kept': '1',
      });
      res.end('x');
    });
    expect((await client.ask(1)).stdout.toString()).toBe('Status: 200 OK\r\nX-Kept: 1\r\n\r\nx');
  });

  test('gets a 500 if the application sends an interim status', async () => {
    const client = await connectTo((_req, res) => {
      res.writeHead(101);
    });
    expect((await client.ask(1)).status).toBe(500);
  });

  test('may arrive byte by byte', async () => {
    const client = await connectTo(echo);
    client.socket.setNoDelay(true);
    for (const byte of request(1, { REQUEST_METHOD: 'POST', REQUEST_URI: '/x' }, { body: 'abc' }))
      client.write(Buffer.of(byte));
    expect((await client.answer(1)).body.toString()).toBe('POST /x abc');
  });

  test('may have pairs that are split over records', async () => {
    const client = await connectTo((req, res) => {
      res.end(req.headers['x-long']);
    });
    const params = Buffer.concat([
      pairs({ REQUEST_METHOD: 'GET', REQUEST_URI: '/' }),
      pair('HTTP_X_LONG', 'v'.repeat(300)),
    ]);
    client.write(begin(1), stream(TYPE.params, 1, params, 7), record(TYPE.params, 1, '', 9), record(TYPE.stdin, 1));
    expect((await client.answer(1)).body.toString()).toBe('v'.repeat(300));
  });

  test('may follow others on a keep-alive connection', async () => {
    const client = await connectTo(echo);
    for (let i = 0; i < 20; i++)
      expect((await client.ask(1, { REQUEST_URI: `/${i}` })).body.toString()).toBe(`GET /${i} `);
  });

  test('without KEEP_CONN closes the connection', async () => {
    const client = await connectTo(echo);
    expect((await client.ask(1, {}, { keep: false })).end).toEqual({ appStatus: 0, protocolStatus: 0 });
    await client.closed;
  });

  test('without KEEP_CONN is the last that is read', async () => {
    served = await serveFastcgi((_req, res) => void res.end('x'), {});
    const socket = connect({ path: served.path, allowHalfOpen: true });
    socket.on('error', () => {});
    socket.write(request(1, {}, { keep: false }));
    socket.resume();
    await once(socket, 'end');
    const error = await new Promise((resolve) => socket.write('x', resolve));
    socket.destroy();
    expect(error).toMatchObject({ code: 'EPIPE' });
  });

  test('gets the whole response even if the peer reads slowly', async () => {
    const client = await connectTo((_req, res) => void res.end(Buffer.alloc(5_000_000, 'x')));
    client.socket.pause();
    client.write(request(1, {}, { keep: false }));
    // Longer than a connection stays open after its response.
    await sleep(2500);
    client.socket.resume();
    expect((await client.answer(1)).body.length).toBe(5_000_000);
  });

  test('may get its response before its body is read, and another request follows', async () => {
    const client = await connectTo((req, res) => {
      res.end(req.url);
    });
    client.write(
      begin(1),
      stream(TYPE.params, 1, pairs({ REQUEST_METHOD: 'POST', REQUEST_URI: '/1', CONTENT_LENGTH: '1000000' })),
      record(TYPE.params, 1),
    );
    expect((await client.answer(1)).body.toString()).toBe('/1');
    client.write(
      stream(TYPE.stdin, 1, Buffer.alloc(1_000_000)),
      record(TYPE.stdin, 1),
      request(1, { REQUEST_URI: '/2' }),
    );
    expect((await client.answer(1)).body.toString()).toBe('/2');
  });

  test('with STDIN beyond CONTENT_LENGTH has its body cut', async () => {
    const client = await connectTo(echo);
    expect(
      (await client.ask(1, { REQUEST_METHOD: 'POST', CONTENT_LENGTH: '3' }, { body: 'abcdef' })).body.toString(),
    ).toBe('POST / abc');
  });

  test('with STDIN short of CONTENT_LENGTH has an incomplete body and gets a 400; the connection stays open', async () => {
    const seen: unknown[] = [];
    const client = await connectTo((req, res) => {
      if (req.url === '/ok') return res.end('ok');
      req.on('error', (error: NodeJS.ErrnoException) => seen.push(error.code, req.complete));
      return req.resume();
    });
    expect((await client.ask(1, { CONTENT_LENGTH: '9' }, { body: 'abc' })).status).toBe(400);
    expect((await client.ask(1, { REQUEST_URI: '/ok' })).body.toString()).toBe('ok');
    expect(seen).toEqual(['ECONNRESET', false]);
  });

  test('without a length has a chunked body', async () => {
    const client = await connectTo(async (req, res) => {
      let body = '';
      for await (const part of req) body += part;
      res.end(`${req.headers['transfer-encoding']} ${req.headers['content-length']} ${body}`);
    });
    const environ = { REQUEST_METHOD: 'POST', CONTENT_LENGTH: '' };
    expect((await client.ask(1, environ, { body: 'abc' })).body.toString()).toBe('chunked undefined abc');
    expect((await client.ask(1, environ)).body.toString()).toBe('undefined undefined ');
    expect(
      (
        await client.ask(1, { HTTP_TRANSFER_ENCODING: 'chunked', CONTENT_LENGTH: '3' }, { body: 'abc' })
      ).body.toString(),
    ).toBe('undefined 3 abc');
  });
});

describe('the protocol', () => {
  test('FILTER and unknown roles are refused', async () => {
    const client = await connectTo(echo);
    for (const role of [3, 0, 99])
      expect((await client.ask(1, {}, { role })).end).toEqual({ appStatus: 0, protocolStatus: 3 });
    expect((await client.ask(1)).status).toBe(200);
  });

  test('AUTHORIZER is served', async () => {
    const client = await connectTo((req, res) => {
      res.setHeader('Variable-AUTH', String(req.headers['content-length']));
      req.on('end', () => res.end());
      req.resume();
    });
    const answer = await client.ask(1, { CONTENT_LENGTH: '77' }, { role: 2 });
    expect([answer.status, answer.headers['variable-auth']]).toEqual([200, 'undefined']);
  });

  test('GET_VALUES gets the known names', async () => {
    const client = await connectTo(echo, { max_connections: '7', max_requests_in_flight: '9' });
    client.write(
      record(
        TYPE.getValues,
        0,
        pairs([
          ['FCGI_MPXS_CONNS', ''],
          ['__proto__', ''],
          ['', ''],
          ['FCGI_MAX_CONNS', 'x'],
          ['FCGI_MAX_REQS', ''],
          ['FCGI_MAX_REQS', ''],
        ]),
      ),
    );
    const values = await client.record(TYPE.getValuesResult);
    expect(values?.content.toString()).toBe(
      pairs([
        ['FCGI_MAX_CONNS', '7'],
        ['FCGI_MAX_REQS', '9'],
        ['FCGI_MPXS_CONNS', '0'],
      ]).toString(),
    );
  });

  test('an unknown management record gets a response, an unknown application record does not', async () => {
    const client = await connectTo(echo);
    client.write(record(200, 5, 'x'), record(99, 0, 'y'), record(0, 0));
    await client.until(() => (client.records.length === 2 ? true : undefined));
    expect(client.records.map((each) => [each.type, each.id, each.content[0]])).toEqual([
      [TYPE.unknownType, 0, 99],
      [TYPE.unknownType, 0, 0],
    ]);
  });

  test('records for requests that do not exist are ignored', async () => {
    const client = await connectTo(echo);
    client.write(
      record(TYPE.params, 9, 'junk'),
      record(TYPE.stdin, 9, 'junk'),
      record(TYPE.abort, 9),
      record(TYPE.data, 9, 'x'),
      record(TYPE.end, 9, '12345678'),
    );
    expect((await client.ask(1)).status).toBe(200);
  });

  test('ABORT_REQUEST gets a response and the connection stays open', async () => {
    const seen: string[] = [];
    const arrived = signal();
    const client = await connectTo((req, res) => {
      if (req.url === '/ok') return res.end('ok');
      arrived.fire();
      req.on('error', (error: NodeJS.ErrnoException) => seen.push(`req ${error.code}`));
      return res.on('close', () => seen.push(`res ${res.writableFinished}`));
    });
    client.write(request(1));
    await arrived.fired;
    client.write(record(TYPE.abort, 1));
    expect((await client.answer(1)).end).toEqual({ appStatus: 1, protocolStatus: 0 });
    expect((await client.ask(1, { REQUEST_URI: '/ok' })).body.toString()).toBe('ok');
    expect(seen).toEqual(['res false', 'req ECONNRESET']);
  });

  test('ABORT_REQUEST within PARAMS ends the request', async () => {
    const client = await connectTo(echo);
    client.write(begin(1), record(TYPE.params, 1, 'a'), record(TYPE.abort, 1));
    expect((await client.answer(1)).end?.protocolStatus).toBe(0);
    expect((await client.ask(1)).status).toBe(200);
  });

  test.each([
    ['a wrong version', record(TYPE.begin, 1).fill(3, 0, 1)],
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
    ['BEGIN_REQUEST twice', Buffer.concat([begin(1), begin(1)])],
    ['BEGIN_REQUEST for id 0', begin(0)],
    ['a short BEGIN_REQUEST', record(TYPE.begin, 1, 'abc')],
    ['GET_VALUES cut off', record(TYPE.getValues, 0, '\x05')],
  ])('%s closes this connection, logged once, and no other', async (_name, bytes) => {
    const client = await connectTo(echo);
    const other = await served.client();
    client.write(bytes);
    await client.closed;
    expect((await other.ask(1)).status).toBe(200);
    expect(served.log.filter((line) => line.startsWith('warn'))).toHaveLength(1);
  });
});

describe('limits', () => {
  test.each([
    ['too many bytes', stream(TYPE.params, 1, pair('HTTP_X', 'y'.repeat(3000))), 431],
    ['pairs that exceed the record', record(TYPE.params, 1, '\x05\x05a'), 400],
    ['too many pairs', stream(TYPE.params, 1, Buffer.alloc(2 * 4097)), 431],
    ['a line break in a header', record(TYPE.params, 1, pair('HTTP_X', 'a\r\nSet-Cookie: b')), 400],
    ['NUL in a header', record(TYPE.params, 1, pair('HTTP_X', 'a\0')), 400],
    ['a method that is not a token', record(TYPE.params, 1, pair('REQUEST_METHOD', 'GET /')), 400],
    ['a length that is not a number', record(TYPE.params, 1, pair('CONTENT_LENGTH', '-1')), 400],
  ])('refuse %s', async (_name, params, status) => {
    const client = await connectTo(echo, { max_params_size: '2048' });
    client.write(begin(1), params, record(TYPE.params, 1), record(TYPE.stdin, 1));
    expect((await client.answer(1)).status).toBe(status);
    expect((await client.ask(1)).status).toBe(200);
  });

  test('refuse a second simultaneous request without multiplexing', async () => {
    const client = await connectTo((req, res) => {
      setTimeout(() => res.end(req.url), 20);
    });
    client.write(request(1, { REQUEST_URI: '/1' }), request(2));
    expect((await client.answer(2)).end?.protocolStatus).toBe(1);
    expect((await client.answer(1)).body.toString()).toBe('/1');
  });

  test('include requests that have only begun', async () => {
    const client = await connectTo(echo, { multiplexed: 'true' });
    client.write(...Array.from({ length: 4096 }, (_, index) => begin(index + 1)));
    client.write(record(TYPE.getValues, 0, pairs([['FCGI_MAX_REQS', '']])));
    // The server has read everything before it.
    await client.record(TYPE.getValuesResult);
    const other = await served.client();
    expect((await other.ask(1)).end?.protocolStatus).toBe(2);
    client.close();
    await eventually(async () => (await (await served.client()).ask(1)).status === 200);
  });

  test('refuse connections above the maximum', async () => {
    const client = await connectTo(echo, { max_connections: '1' });
    await client.ask(1);
    const other = await served.client();
    expect((await other.ask(1)).end?.protocolStatus).toBe(2);
    await other.closed;
    expect((await client.ask(1)).status).toBe(200);
  });
});

describe('multiplexing', () => {
  test('responses have the ids of their requests', async () => {
    const client = await connectTo(
      (req, res) => {
        setTimeout(() => res.end(req.url), Math.random() * 20);
      },
      { multiplexed: 'true' },
    );
    const ids = Array.from({ length: 50 }, (_, i) => i + 1);
    client.write(...ids.map((id) => request(id, { REQUEST_URI: `/${id}` })));
    const answers = await Promise.all(ids.map((id) => client.answer(id)));
    expect(answers.map((answer) => answer.body.toString())).toEqual(ids.map((id) => `/${id}`));
  });

  test('a request whose body the application does not read neither stops the others nor fills memory', async () => {
    const client = await connectTo(
      (req, res) => {
        if (req.url !== '/slow') res.end('ok');
      },
      { multiplexed: 'true' },
    );
    const slow = { REQUEST_METHOD: 'POST', REQUEST_URI: '/slow', CONTENT_LENGTH: '100000000' };
    client.write(begin(1), stream(TYPE.params, 1, pairs(slow)), record(TYPE.params, 1));
    client.write(begin(3), stream(TYPE.params, 3, pairs({ ...slow })), record(TYPE.params, 3));
    client.write(stream(TYPE.stdin, 1, Buffer.alloc(500_000)));
    expect((await client.ask(2)).body.toString()).toBe('ok');
    client.write(stream(TYPE.stdin, 1, Buffer.alloc(2_000_000)));
    expect((await client.answer(1)).status).toBe(503);
    expect((await client.ask(2)).body.toString()).toBe('ok');
  });

  test('an incomplete response closes the connection when the others are complete', async () => {
    const client = await connectTo(
      (req, res) => {
        res.write('x');
        if (req.url === '/bad') setTimeout(() => res.destroy(), 5);
        else setTimeout(() => res.end('y'), 40);
      },
      { multiplexed: 'true' },
    );
    client.write(request(1, { REQUEST_URI: '/bad' }), request(2));
    expect((await client.answer(2)).body.toString()).toBe('xy');
    await client.closed;
    expect((await client.answer(1)).end).toBeUndefined();
  });
});

describe('stopping', () => {
  test('finishes requests in flight and closes with the response', async () => {
    const [arrived, go] = [signal(), signal()];
    const client = await connectTo(async (_req, res) => {
      arrived.fire();
      await go.fired;
      res.end('done');
    });
    client.write(request(1));
    await arrived.fired;
    const closing = served.running.close();
    go.fire();
    expect((await client.answer(1)).body.toString()).toBe('done');
    await client.closed;
    await closing;
  });

  test('waits for the first byte of a connection that was just accepted', async () => {
    const client = await connectTo(echo);
    await sleep(10);
    const closing = served.running.close();
    await sleep(150);
    expect((await client.ask(1)).status).toBe(200);
    await closing;
  });

  test('serves a request on a keep-alive connection just after the stop', async () => {
    const client = await connectTo(echo);
    await client.ask(1);
    const closing = served.running.close();
    await sleep(50);
    expect((await client.ask(1)).status).toBe(200);
    await closing;
  });

  test('does not wait for an idle connection', async () => {
    const client = await connectTo(echo);
    await client.ask(1);
    const began = Date.now();
    await served.running.close();
    expect(Date.now() - began).toBeLessThan(1500);
    await client.closed;
  });

  test('aborts the remaining requests after the timeout', async () => {
    const arrived = signal();
    const client = await connectTo(arrived.fire);
    client.write(request(1));
    await arrived.fired;
    await served.running.close({ timeout: 0.1 });
    expect((await client.answer(1)).end).toBeUndefined();
  });

  test('may be immediate', async () => {
    const arrived = signal();
    const client = await connectTo(arrived.fire);
    client.write(request(1));
    await arrived.fired;
    await served.running.close({ graceful: false });
    await client.closed;
  });
});
