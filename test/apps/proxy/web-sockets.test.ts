/** WebSockets through a proxy. */
import { createServer } from 'node:http';
import { connect, type Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { proxy } from '../../../src/apps/proxy/proxy.ts';
import { eventually, freePort } from '../../helpers/programs/program.ts';
import { listen } from '../../protocol/listen.ts';
import { echoHead, originOf, proxied, rawUpstream, sendBytes, startServer } from './upstream.ts';

describe('WebSockets', () => {
  const HANDSHAKE =
    'GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n';

  /** Starts a server that responds to a handshake with `answer` and then echoes, and a proxy in front of it. */
  async function upgrading(answer: string): Promise<{ origin: string; sockets: Socket[]; heads: string[] }> {
    const sockets: Socket[] = [];
    const heads: string[] = [];
    const server = createServer();
    server.on('upgrade', (req, socket) => {
      heads.push(`${req.url} ${req.headers['x-forwarded-for']} ${req.headers['sec-websocket-version']}`);
      sockets.push(socket as Socket);
      socket.on('error', () => {});
      socket.write(answer);
      if (answer.startsWith('HTTP/1.1 101')) socket.pipe(socket);
      else socket.end();
    });
    await startServer(server, { port: 0, host: '127.0.0.1' });
    return { origin: await listen(await proxy({ address: originOf(server) })), sockets, heads };
  }

  const ACCEPTED = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';

  test('are forwarded both ways, and either end closes both', async () => {
    for (const closing of ['client', 'server']) {
      const { origin, sockets, heads } = await upgrading(ACCEPTED);
      const { hostname, port } = new URL(origin);
      const socket = connect(Number(port), hostname).setEncoding('latin1');
      let text = '';
      socket
        .on('error', () => {})
        .on('data', (part: string) => {
          text += part;
        });
      socket.write(HANDSHAKE);
      await eventually(() => text.includes('\r\n\r\n'));
      expect(text).toMatch(/^HTTP\/1\.1 101 /);
      socket.write('hello');
      await eventually(() => text.endsWith('hello'));
      expect(heads).toEqual(['/chat 127.0.0.1 13']);
      const [other] = sockets;
      if (closing === 'client') socket.destroy();
      else other?.destroy();
      await eventually(() => other?.destroyed && (socket.destroyed || socket.readableEnded));
      socket.destroy();
    }
  });

  test('that the server refuses get its refusal', async () => {
    const { origin } = await upgrading('HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nX-Own: 1\r\n\r\nno');
    const text = await sendBytes(origin, HANDSHAKE);
    expect(text).toMatch(/^HTTP\/1\.1 401 .*no$/s);
  });

  test('get 502 if the server does not listen', async () => {
    const origin = await listen(await proxy({ address: `http://127.0.0.1:${await freePort()}` }));
    expect(await sendBytes(origin, HANDSHAKE)).toMatch(/^HTTP\/1\.1 502 /);
  });

  test('get 504 if the server does not respond', async () => {
    const { address } = await rawUpstream(() => {});
    const origin = await listen(await proxy({ address, timeout: 0.1 }));
    expect(await sendBytes(origin, HANDSHAKE)).toMatch(/^HTTP\/1\.1 504 /);
  });

  test('are the only upgrade: another protocol is ignored, and a handshake with a body is refused', async () => {
    const origin = await proxied(echoHead);
    const h2c = HANDSHAKE.replace('websocket', 'h2c').replace(
      'Connection: Upgrade',
      'Connection: Upgrade, HTTP2-Settings',
    );
    const declined = await sendBytes(origin, h2c.replace('Host', 'HTTP2-Settings: x\r\nHost'));
    expect(declined).toMatch(/^HTTP\/1\.1 200 .*"url":"\/chat"/s);
    expect(declined).not.toMatch(/h2c|http2-settings/);
    expect(await sendBytes(origin, HANDSHAKE.replace('Host', 'Content-Length: 3\r\nHost'))).toMatch(/^HTTP\/1\.1 400 /);
  });
});
