/** An application that takes too long, or a body that is too large: the filter responds instead, and nothing else is affected. */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import express from 'express';
import { describe, expect, test } from 'vitest';
import type { App } from '../../src/protocol/types.ts';
import { ask } from '../helpers/requests/ask.ts';
import { serveThrough } from './serve.ts';
import { askUpgrade, upgrading } from './servers/upgrade.ts';

describe('timeout', () => {
  test.each(['503', '504'])(
    'responds %s instead of the application, whose late calls have no effect',
    async (status) => {
      let lateCalls: Promise<void> | undefined;
      const late = async (res: ServerResponse): Promise<void> => {
        await once(res, 'close');
        res.setHeader('x-late', '1');
        res.writeHead(200, { 'x-late': '2' });
        res.write('late');
        await new Promise<void>((resolve) => res.end('later', () => resolve()));
      };
      const app: App = (_req, res) => {
        res.setHeader('x-mine', '1');
        res.statusMessage = 'Mine';
        lateCalls = late(res);
      };
      const { url } = await serveThrough(['security_headers', `timeout\ntimeout = .05\nstatus = ${status}`], app);
      const reply = await ask(url, '/');
      expect(reply.status).toBe(Number(status));
      expect(reply.headers).not.toHaveProperty('x-mine');
      expect(reply.headers).toHaveProperty('x-frame-options');
      await expect(lateCalls).resolves.toBeUndefined();
    },
  );

  test('Express may respond too late without an error', async () => {
    let answered: Promise<unknown> | undefined;
    const app = express();
    app.get('/', (_req, res) => {
      answered = once(res, 'close').then(() => res.status(200).json({ late: true }));
    });
    const { url } = await serveThrough(['timeout\ntimeout = .05'], app as unknown as App);
    expect((await ask(url, '/')).status).toBe(503);
    await expect(answered).resolves.toBeDefined();
  });

  const streaming: App = async (_req, res) => {
    res.write('one ');
    await sleep(200);
    res.end('two');
  };

  test('a response that has begun is not aborted', async () => {
    const { url } = await serveThrough(['timeout\ntimeout = .05'], streaming);
    const { status, body, complete } = await ask(url, '/');
    expect([status, body.toString(), complete]).toEqual([200, 'one two', true]);
  });

  test('with whole_answer a response that has begun is aborted', async () => {
    const { url } = await serveThrough(['timeout\ntimeout = .05\nwhole_answer = true'], streaming);
    const { status, complete } = await ask(url, '/');
    expect([status, complete]).toEqual([200, false]);
  });

  test.each(['0', '-1', '1000000', 'x'])('timeout = %s is an error', async (value) => {
    await expect(serveThrough([`timeout\ntimeout = ${value}`], streaming)).rejects.toMatchObject({
      code: 'PASTER_SETTING',
      location: { line: 3 },
    });
  });

  test('works with compression in front of it and behind it', async () => {
    const { url } = await serveThrough(['gzip', 'timeout\ntimeout = .05', 'gzip'], () => {});
    const { status, body } = await ask(url, '/', { headers: { 'accept-encoding': 'gzip' } });
    expect([status, body.toString()]).toEqual([503, 'Service Unavailable\n']);
  });

  test('an upgrade passes unchanged', async () => {
    const { url } = await serveThrough(['timeout'], upgrading(streaming));
    expect((await askUpgrade(url)).status).toBe(101);
  });
});

describe('bodylimit', () => {
  let called = 0;
  const counting: App = async (req, res) => {
    called++;
    let length = 0;
    for await (const chunk of req) length += chunk.length;
    res.end(String(length));
  };

  test.each<[string, (size: number) => Buffer | Buffer[]]>([
    ['announced', (size) => Buffer.alloc(size)],
    ['in chunks', (size) => [Buffer.alloc(size - 1), Buffer.alloc(1)]],
  ])('%s: a body of the maximum size passes, and one byte more is refused', async (_how, bodyOf) => {
    const { url } = await serveThrough(['bodylimit\nmax_body_size = 100k'], counting);
    const right = await ask(url, '/', { method: 'POST', body: bodyOf(102_400) });
    expect([right.status, right.body.toString()]).toEqual([200, '102400']);
    const wrong = await ask(url, '/', { method: 'POST', body: bodyOf(102_401) });
    expect([wrong.status, wrong.body.toString(), wrong.headers.connection]).toEqual([
      413,
      'Content Too Large\n',
      'close',
    ]);
  });

  test('a body with too large a Content-Length never reaches the application', async () => {
    const { url } = await serveThrough(['bodylimit\nmax_body_size = 0'], counting);
    called = 0;
    expect((await ask(url, '/', { method: 'POST', body: 'x' })).status).toBe(413);
    expect(called).toBe(0);
    expect((await ask(url, '/')).status).toBe(200);
  });

  test('a client that sends a large body can still read the response', async () => {
    const { url } = await serveThrough(['bodylimit\nmax_body_size = 1k'], counting);
    const { status } = await ask(url, '/', { method: 'POST', body: Buffer.alloc(3_000_000) });
    expect(status).toBe(413);
  });

  test('a client that never stops sending is disconnected', async () => {
    const { url } = await serveThrough(['bodylimit\nmax_body_size = 1k'], counting);
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    socket.on('error', () => {});
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n');
    const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`;
    const timer = setInterval(() => socket.write(chunk), 1);
    const [answer] = await once(socket, 'data');
    expect(String(answer)).toMatch(/^HTTP\/1\.1 413 /);
    await once(socket.resume(), 'close');
    clearInterval(timer);
  });

  test('a response that has begun is aborted', async () => {
    const app: App = (req, res) => {
      res.write('begun');
      req.resume().on('end', () => res.end());
    };
    const { url } = await serveThrough(['bodylimit\nmax_body_size = 10'], app);
    const { complete } = await ask(url, '/', { method: 'POST', body: ['12345', '678901'] });
    expect(complete).toBe(false);
  });

  test('counts what has arrived while a filter in front was waiting', async () => {
    const slow = 'auth_basic\nusers = joe:$2y$05$Lw4zryHn1/A0YKLMKtVNOOqAkvU7CxDgHyCgWGQxH9CQqiiI/c4La';
    const { url } = await serveThrough([slow, 'bodylimit\nmax_body_size = 10'], counting);
    const headers = { authorization: `Basic ${Buffer.from('joe:secret').toString('base64')}` };
    expect((await ask(url, '/', { method: 'POST', headers, body: ['123456', '78901'] })).status).toBe(413);
  });

  test('an upgrade that announces a large body is refused', async () => {
    const { url } = await serveThrough(['bodylimit\nmax_body_size = 10'], upgrading(counting));
    expect((await askUpgrade(url, { 'content-length': '11' })).status).toBe(413);
    expect((await askUpgrade(url)).status).toBe(101);
  });

  test.each(['10X', '-1', '1.5M', ''])('max_body_size = %s is an error', async (size) => {
    await expect(serveThrough([`bodylimit\nmax_body_size = ${size}`], counting)).rejects.toMatchObject({
      code: 'PASTER_SETTING',
    });
  });
});
