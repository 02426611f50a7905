/** The contract of every server: the request and its body, as the application sees them. */
import { IncomingMessage as NodeRequest, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { describeBackends, readBody } from './contract.ts';

describeBackends(({ backend, ask, seen }) => {
  describe('the request', () => {
    test('has Node’s own class', async () => {
      const answer = await ask((req, res) =>
        res.end(String(req instanceof NodeRequest && res instanceof ServerResponse && res.req === req)),
      );
      expect(answer.body.toString()).toBe('true');
    });

    test.each(['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND', 'M-SEARCH'])(
      'has method %s',
      async (method) => {
        expect(await seen((req) => req.method, { method })).toBe(method);
      },
    );

    test.each([
      '/',
      '/a/b',
      '/a%2Fb/c%20d',
      '/?',
      '/x?y=%20&z',
      '//double',
      '/%E2%82%AC',
      '/a?b?c',
      "/~a/(b)!$&'*+,;=:@",
    ])('has url %s', async (path) => {
      expect(await seen((req) => req.url, { path })).toBe(path);
    });

    test('has a version, and neither upgrade nor trailers', async () => {
      expect(
        await seen((req) => [
          req.httpVersion,
          req.httpVersionMajor,
          req.httpVersionMinor,
          req.trailers,
          req.rawTrailers,
          req.aborted,
          (req as { upgrade?: unknown }).upgrade === true,
        ]),
      ).toEqual([...(backend.isHttp2 ? ['2.0', 2, 0] : ['1.1', 1, 1]), {}, [], false, false]);
    });

    test('headers are lower-case, rawHeaders are pairs', async () => {
      const headers = { 'X-One': '1', 'User-Agent': 'test', Accept: '*/*' };
      const got = (await seen((req) => [req.headers, req.rawHeaders], { headers })) as [
        Record<string, string>,
        string[],
      ];
      expect(got[0]).toMatchObject({ 'x-one': '1', 'user-agent': 'test', accept: '*/*' });
      expect(got[1][got[1].indexOf(backend.isHttp2 ? 'x-one' : 'X-One') + 1]).toBe('1');
    });

    test('without a body has neither length nor encoding', async () => {
      expect(
        await seen((req) => [
          req.headers['content-length'],
          req.headers['transfer-encoding'],
          req.headers['content-type'],
        ]),
      ).toEqual([null, null, null]);
    });

    test.each<[name: string, values: string[], joined: string]>([
      ['X-Twice', ['a', 'b'], 'a, b'],
      ['Cookie', ['a=1', 'b=2'], 'a=1; b=2'],
      // Node's HTTP/2 client refuses to send it twice.
      ...(backend.isHttp2 ? [] : [['User-Agent', ['a', 'b'], 'a'] satisfies [string, string[], string]]),
      ['X-Forwarded-For', ['1.1.1.1', '2.2.2.2'], '1.1.1.1, 2.2.2.2'],
    ])('a repeated %s is joined as in Node', async (name, values, joined) => {
      expect(await seen((req) => req.headers[name.toLowerCase()], { headers: { [name]: values } })).toBe(joined);
    });

    test('headersDistinct has each value', async () => {
      expect(await seen((req) => req.headersDistinct['x-twice'], { headers: { 'X-Twice': ['a', 'b'] } })).toEqual([
        'a',
        'b',
      ]);
    });

    test('header bytes above 127 are decoded as latin-1', async () => {
      expect(await seen((req) => req.headers['x-word'], { headers: { 'X-Word': 'caf\xe9' } })).toBe('caf\xe9');
    });

    test('an empty cookie is kept', async () => {
      expect(await seen((req) => req.headers.cookie, { headers: { Cookie: '' } })).toBe('');
    });

    test('has a socket with the client’s address', async () => {
      expect(
        await seen((req) => [
          req.socket.remoteAddress,
          typeof req.socket.remotePort,
          req.socket.destroyed,
          req.socket.readable,
          req.socket.writable,
          req.connection === req.socket,
          (req.socket as unknown as { encrypted?: boolean }).encrypted,
        ]),
      ).toEqual(['127.0.0.1', 'number', false, true, true, true, null]);
    });

    test('is not complete when the handler is called, and complete at its end', async () => {
      const answer = await ask(async (req, res) => {
        const before = req.complete;
        await readBody(req);
        res.end(`${before} ${req.complete} ${req.readableEnded}`);
      });
      expect(answer.body.toString()).toBe('false true true');
    });
  });

  describe('the body', () => {
    test('arrives complete, in chunks', async () => {
      const body = ['one ', 'two ', Buffer.from('three')];
      expect(
        (await ask(async (req, res) => res.end(await readBody(req)), { method: 'POST', body })).body.toString(),
      ).toBe('one two three');
    });

    test('of 3 MB arrives unchanged', async () => {
      const body = Array.from({ length: 48 }, (_, i) => Buffer.alloc(65_000, 65 + (i % 26)));
      const answer = await ask(async (req, res) => res.end(await readBody(req)), { method: 'POST', body });
      expect(answer.body.equals(Buffer.concat(body))).toBe(true);
    });

    test('reaches a slow reader completely', async () => {
      const body = Array.from({ length: 20 }, () => Buffer.alloc(50_000, 'x'));
      const answer = await ask(
        async (req, res) => {
          let total = 0;
          for await (const part of req) {
            total += (part as Buffer).length;
            await sleep(1);
          }
          res.end(String(total));
        },
        { method: 'POST', body },
      );
      expect(answer.body.toString()).toBe('1000000');
    });

    test('has its Content-Length', async () => {
      expect(await seen((req) => req.headers['content-length'], { method: 'POST', body: ['12345'] })).toBe('5');
    });

    test('is decoded with setEncoding', async () => {
      const answer = await ask(
        (req, res) => {
          req.setEncoding('utf8');
          let text = '';
          req.on('data', (part: string) => {
            text += part;
          });
          req.on('end', () => res.end(text));
        },
        { method: 'POST', body: [Buffer.from([0xe2, 0x82]), Buffer.from([0xac])] },
      );
      expect(answer.body.toString()).toBe('€');
    });

    test('can be piped into the response', async () => {
      const answer = await ask(
        (req, res) => {
          req.pipe(res);
        },
        { method: 'POST', body: ['a', 'b', 'c'] },
      );
      expect(answer.body.toString()).toBe('abc');
    });

    test('need not be read before the response is sent', async () => {
      const answer = await ask(
        (_req, res) => {
          res.end('early');
        },
        { method: 'POST', body: ['unread'] },
      );
      expect([answer.status, answer.body.toString()]).toEqual([200, 'early']);
    });

    test('causes an error, not an end, if it is incomplete', async () => {
      const events: string[] = [];
      let closed: () => void = () => {};
      const over = new Promise<void>((resolve) => {
        closed = resolve;
      });
      await ask(
        (req) => {
          req.on('aborted', () => events.push('aborted'));
          req.on('error', (error: NodeJS.ErrnoException) => events.push(`error ${error.code}`));
          req.on('end', () => events.push('end'));
          req.on('close', () => {
            events.push(`close ${req.complete}`);
            closed();
          });
          req.resume();
        },
        { method: 'POST', body: ['half'], declaredLength: 8 },
      );
      await over;
      expect(events).toEqual(['aborted', 'error ECONNRESET', 'close false']);
    });
  });
});
