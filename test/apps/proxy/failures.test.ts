/** Servers and clients that fail while a proxy is between them. */
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { proxy } from '../../../src/apps/proxy/proxy.ts';
import { eventually, freePort } from '../../helpers/programs/program.ts';
import { ask } from '../../helpers/requests/ask.ts';
import { listen } from '../../protocol/listen.ts';
import { proxied, rawUpstream, sendBytes } from './upstream.ts';

describe('a proxy', () => {
  test('responds 502 if the server does not listen', async () => {
    const address = `http://127.0.0.1:${await freePort()}`;
    const reply = await ask(await listen(await proxy({ address })), '/', { method: 'POST', body: 'x' });
    expect(reply).toMatchObject({ status: 502, complete: true });
    expect(reply.body.toString()).toBe('Bad Gateway\n');
  });

  test('responds 502 if the server closes the connection', async () => {
    const { address } = await rawUpstream((socket) => socket.once('data', () => socket.destroy()));
    expect((await ask(await listen(await proxy({ address })), '/')).status).toBe(502);
  });

  test.each([
    ['an invalid status', 'HTTP/1.1 099 Odd\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\nok'],
    ['a reason with a control character', 'HTTP/1.1 200 a\x01b\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\nok'],
    ['an upgrade that was not requested', 'HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'],
    ['another protocol than HTTP', 'SSH-2.0-OpenSSH_9.2\r\n'],
  ])('responds 502 to %s, and the next request succeeds', async (_what, answer) => {
    let count = 0;
    const { address } = await rawUpstream((socket) =>
      socket.once('data', () => socket.end(count++ === 0 ? answer : 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')),
    );
    const origin = await listen(await proxy({ address }));
    const reply = await ask(origin, '/');
    expect(reply).toMatchObject({ status: 502, complete: true });
    expect(reply.headers).not.toHaveProperty('set-cookie');
    expect((await ask(origin, '/')).status).toBe(200);
  });

  test('responds 504 if the server does not respond, and closes that connection', async () => {
    let ended = false;
    const { address } = await rawUpstream((socket) => {
      socket.on('close', () => {
        ended = true;
      });
    });
    expect((await ask(await listen(await proxy({ address, timeout: 0.1 })), '/')).status).toBe(504);
    await eventually(() => ended);
  });

  test('aborts the response if the server disconnects or stalls in the middle', async () => {
    for (const ends of [true, false]) {
      const origin = await proxied(
        (_req, res) => {
          res.writeHead(200, { 'Content-Length': 10 });
          res.write('half', () => ends && res.destroy());
        },
        { timeout: 0.2 },
      );
      expect(await ask(origin, '/')).toMatchObject({ status: 200, complete: false });
    }
  });

  test('closes the connection to the server if the client leaves, before or during the response', async () => {
    for (const begins of [true, false]) {
      let arrived = false;
      let left = false;
      const origin = await proxied((req, res) => {
        arrived = true;
        req.resume();
        res.on('close', () => {
          left = true;
        });
        if (begins) res.write('x');
      });
      const { hostname, port } = new URL(origin);
      const socket = connect(Number(port), hostname);
      socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc');
      await eventually(() => arrived);
      socket.destroy();
      await eventually(() => left);
    }
  });

  test('forwards a response that comes before the whole body', async () => {
    const origin = await proxied((_req, res) => res.writeHead(413, { Connection: 'close' }).end('too large'));
    const text = await Promise.race([
      sendBytes(origin, 'POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1000000\r\n\r\nabc'),
      sleep(3000, 'open'),
    ]);
    expect(text).toMatch(/^HTTP\/1\.1 413 /);
  });
});
