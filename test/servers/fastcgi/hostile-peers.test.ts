/** Peers that stall, lie, never read or come in thousands: each costs little, is logged once, and affects no other. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import type { App } from '../../../src/protocol/types.ts';
import { eventually } from '../../helpers/programs/program.ts';
import { begin, type FastcgiClient, pair, pairs, record, request, stream, TYPE } from './client.ts';
import { type Served, serveFastcgi } from './serve.ts';

let served: Served;
afterEach(() => served.close());

const echo: App = (req, res) => {
  res.end(req.url);
};

async function connectTo(app: App, settings: Record<string, string>): Promise<FastcgiClient> {
  served = await serveFastcgi(app, settings);
  return await served.client();
}

function warnings(): string[] {
  return served.log.filter((line) => line.startsWith('warn'));
}

const HEAD = stream(TYPE.params, 1, pairs({ REQUEST_METHOD: 'GET', REQUEST_URI: '/' }));

describe('requests that begin and stall', () => {
  test.each([
    ['BEGIN_REQUEST and nothing more', begin(1)],
    ['variables without their end', Buffer.concat([begin(1), HEAD])],
    ['variables without STDIN', Buffer.concat([begin(1), HEAD, record(TYPE.params, 1)])],
    ['half a record of variables', Buffer.concat([begin(1), HEAD.subarray(0, 20)])],
    [
      'a length whose bytes never arrive',
      Buffer.concat([begin(1), record(TYPE.params, 1, pair('A', 'b').fill(0xff, 0, 1))]),
    ],
  ])('%s gets a 408', async (_name, bytes) => {
    const client = await connectTo(echo, { headers_timeout: '0.2' });
    client.write(bytes);
    expect((await client.answer(1)).status).toBe(408);
    expect(warnings()).toHaveLength(1);
    const other = await served.client();
    expect((await other.ask(1)).status).toBe(200);
  });

  test.each([
    ['half of BEGIN_REQUEST', begin(1).subarray(0, 3)],
    ['a record shorter than its declared length', record(TYPE.getValues, 0, 'x'.repeat(99)).subarray(0, 50)],
    ['padding that does not arrive', record(99, 7, 'x', 200).subarray(0, 20)],
  ])('%s closes the connection', async (_name, bytes) => {
    const client = await connectTo(echo, { headers_timeout: '0.2' });
    client.write(bytes);
    await client.closed;
    expect(warnings()).toHaveLength(1);
  });

  test('of several requests on a connection, only the one that stalls is aborted', async () => {
    const client = await connectTo(echo, { headers_timeout: '0.3', multiplexed: 'true' });
    client.write(begin(1), HEAD);
    for (let id = 2; id < 12; id++) {
      expect((await client.ask(id)).status).toBe(200);
      await sleep(20);
    }
    expect((await client.answer(1)).status).toBe(408);
    expect((await client.ask(2)).status).toBe(200);
  });

  test('a slow head within the limit, a slow body and an idle keep-alive connection are not aborted', async () => {
    const client = await connectTo(
      (req, res) => {
        req.resume().on('end', () => res.end('all'));
      },
      { headers_timeout: '0.6' },
    );
    const head = Buffer.concat([
      begin(1),
      stream(TYPE.params, 1, pairs({ CONTENT_LENGTH: '8' })),
      record(TYPE.params, 1),
    ]);
    // A third of the limit for the head; the body, and then the idle connection, exceed it.
    for (const [index, byte] of head.entries()) {
      if (index % 10 === 0) await sleep(40);
      client.write(Buffer.of(byte));
    }
    for (let i = 0; i < 8; i++) {
      await sleep(100);
      client.write(record(TYPE.stdin, 1, 'x'));
    }
    expect((await client.answer(1)).body.toString()).toBe('all');
    await sleep(800);
    client.write(request(1, { CONTENT_LENGTH: '0' }));
    expect((await client.answer(1)).body.toString()).toBe('all');
    expect(warnings()).toEqual([]);
  });
});

describe('peers that do not read', () => {
  test.each([
    ['unknown records', record(200, 0)],
    ['GET_VALUES', record(TYPE.getValues, 0, pairs({ FCGI_MAX_CONNS: '', FCGI_MAX_REQS: '', FCGI_MPXS_CONNS: '' }))],
    ['requests', request(1)],
    ['requests for an unsupported role', begin(1, { role: 3 })],
  ])('an endless series of %s is not read endlessly', async (_name, bytes) => {
    const client = await connectTo(echo, { send_timeout: '0.4' });
    client.socket.pause();
    const flood = Buffer.alloc(bytes.length * Math.ceil(500_000 / bytes.length), bytes);
    while (!client.isClosed && client.socket.bytesWritten < 100_000_000) {
      if (client.socket.writableLength < 1_000_000) client.socket.write(flood);
      await sleep(1);
    }
    expect(client.socket.bytesWritten).toBeLessThan(100_000_000);
    await client.closed;
    expect(warnings().filter((line) => line.includes('has read nothing of its response for 0.4 seconds'))).toHaveLength(
      1,
    );
  });

  test('an endless response blocks the application, and is then aborted', async () => {
    let tell: (sent: number) => void = () => {};
    const ended = new Promise<number>((resolve) => {
      tell = resolve;
    });
    const client = await connectTo(
      (_req, res) => {
        let sent = 0;
        const more = (): void => {
          while (!res.destroyed && res.write(Buffer.alloc(65_536))) sent += 65_536;
        };
        res.on('drain', more).on('close', () => tell(sent));
        more();
      },
      { send_timeout: '0.4' },
    );
    client.socket.pause();
    client.write(request(1));
    expect(await ended).toBeLessThan(10_000_000);
    expect(warnings()).toHaveLength(1);
  });

  test('a large response that was ended is not kept forever', async () => {
    const client = await connectTo(
      (_req, res) => {
        res.end(Buffer.alloc(8_000_000));
      },
      { send_timeout: '0.4' },
    );
    client.socket.pause();
    client.write(request(1, {}, { keep: false }));
    await eventually(() => warnings().length === 1);
    client.socket.resume();
    await client.closed;
  });

  test('a peer that reads slowly gets everything', async () => {
    const client = await connectTo(
      (_req, res) => {
        res.end(Buffer.alloc(3_000_000));
      },
      { send_timeout: '0.3' },
    );
    client.socket.pause();
    client.write(request(1));
    const timer = setInterval(() => {
      client.socket.resume();
      setImmediate(() => client.socket.pause());
    }, 30);
    expect((await client.answer(1, 60_000)).body.length).toBe(3_000_000);
    clearInterval(timer);
    client.socket.resume();
    expect(warnings()).toEqual([]);
  });
});

describe('many', () => {
  test('2,000 connections, most of them idle or with half a request, do not affect others', async () => {
    served = await serveFastcgi(echo, { max_connections: '3000' });
    const sockets: Socket[] = [];
    for (let i = 0; i < 2000; i++) {
      const socket = connect(served.path);
      socket.on('error', () => {});
      await once(socket, 'connect');
      if (i % 4 === 1) socket.write(begin(1));
      if (i % 4 === 2) socket.write(request(1).subarray(0, 40));
      if (i % 4 === 3) socket.write(request(1).subarray(0, 4));
      sockets.push(socket);
    }
    const client = await served.client();
    expect((await client.ask(1)).status).toBe(200);
    for (const socket of sockets) socket.destroy();
    expect((await client.ask(1)).status).toBe(200);
    expect(warnings()).toEqual([]);
  });

  test('connections beyond max_connections are refused, logged once, and closed', async () => {
    const client = await connectTo(echo, { max_connections: '1' });
    await client.ask(1);
    const silent = await served.client();
    for (let i = 0; i < 20; i++) {
      const other = await served.client();
      expect((await other.ask(1)).end?.protocolStatus).toBe(2);
      await other.closed;
    }
    await silent.closed;
    expect(warnings()).toEqual(['warn: FastCGI from a Unix socket: more than 1 connections']);
  });

  test('each cause is logged once, whatever the peer does afterwards', async () => {
    served = await serveFastcgi(echo);
    for (let i = 0; i < 30; i++) {
      const client = await served.client();
      client.write(
        begin(1, { role: 10 + i }),
        begin(2),
        stream(TYPE.params, 2, pair(`HTTP_X${i}`, 'a\nb')),
        record(TYPE.params, 2),
        Buffer.of(10 + i),
      );
      await client.closed;
    }
    expect(warnings()).toHaveLength(3);
  });

  test('variables may arrive with one record for each byte', async () => {
    const client = await connectTo((req, res) => {
      res.end(req.headers['x-long']);
    }, {});
    const bytes = Buffer.concat([pairs({ REQUEST_URI: '/' }), pair('HTTP_X_LONG', 'v'.repeat(100_000))]);
    client.write(begin(1), stream(TYPE.params, 1, bytes, 1), record(TYPE.params, 1), record(TYPE.stdin, 1));
    expect((await client.answer(1)).body.length).toBe(100_000);
  });
});
