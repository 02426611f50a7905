/** WebSockets while a server ends: their clients get a close frame, and do not delay the end. */
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Duplex, PassThrough } from 'node:stream';
import { describe, expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import { OutgoingFrames, WebSockets } from '../../../src/servers/http/web-sockets.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { ROOT, serve } from '../../helpers/programs/program.ts';

const APP = `
import { WebSocketServer } from '${ROOT}/node_modules/ws/wrapper.mjs';
const sockets = new WebSocketServer({ noServer: true });
const app = (req, res) => res.end('page');
app.upgrade = (req, socket, head) => sockets.handleUpgrade(req, socket, head, (client) => {
  client.on('message', (text) => client.send('echo ' + text));
  client.send('hello');
});
app.drain = () => { if (process.env.CLOSES) for (const client of sockets.clients) client.close(4000, 'mine'); };
export default app;
`;

async function open(settings = '', env: Record<string, string> = {}) {
  const directory = temporaryDirectory({
    'app.mjs': APP,
    'x.ini': `[app:main]\nuse = module:./app.mjs\n[server:main]\nuse = npm:paster#http\nport = 0\n${settings}\n`,
  });
  const program = await serve(['x.ini'], { cwd: directory, env });
  const client = new WebSocket(program.url.replace('http', 'ws'));
  onTestFinished(() => client.terminate());
  await once(client, 'message');
  return { program, client };
}

describe('an open WebSocket', () => {
  test.each(['', 'workers = 2'])(
    'is closed with 1001 on TERM, which takes less than two seconds: %s',
    async (settings) => {
      const { program, client } = await open(settings);
      client.send('x');
      expect(String((await once(client, 'message'))[0])).toBe('echo x');
      const start = performance.now();
      program.child.kill('SIGTERM');
      const [code] = await once(client, 'close');
      await program.finished();
      expect(code).toBe(1001);
      expect(performance.now() - start).toBeLessThan(2000);
    },
  );

  test('is closed at HUP too, and the next one reaches the new worker', async () => {
    const { program, client } = await open('workers = 1');
    program.child.kill('SIGHUP');
    const [code] = await once(client, 'close');
    expect(code).toBe(1001);
    const next = new WebSocket(program.url.replace('http', 'ws'));
    expect(String((await once(next, 'message'))[0])).toBe('hello');
    next.terminate();
  });

  test('is cut if the client does not respond', async () => {
    const { program } = await open();
    const headers = {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    };
    const [, socket] = await once(request(program.url, { headers }).end(), 'upgrade');
    socket.on('error', () => {});
    socket.pause();
    const start = performance.now();
    program.child.kill('SIGTERM');
    await program.finished();
    expect(performance.now() - start).toBeLessThan(2000);
    socket.destroy();
  });

  test('keeps its own close code if the application closes it', async () => {
    const { program, client } = await open('', { CLOSES: '1' });
    program.child.kill('SIGTERM');
    const [code, reason] = await once(client, 'close');
    expect([code, String(reason)]).toEqual([4000, 'mine']);
    await program.finished();
  });
});

/** A connection on the server's side of an upgrade, tracked, and what its client receives. */
async function upgraded(protocol: string): Promise<{ sockets: WebSockets; socket: Duplex; received: PassThrough }> {
  const sockets = new WebSockets();
  const server = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const upgrade = once(server, 'upgrade');
  const client = request({
    port: (server.address() as AddressInfo).port,
    headers: { connection: 'Upgrade', upgrade: protocol },
  }).end();
  const [req, socket] = await upgrade;
  onTestFinished(() => void socket.destroy());
  sockets.watch(req, socket);
  const accepted = once(client, 'upgrade');
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`);
  const [, clientSocket] = await accepted;
  return { sockets, socket, received: clientSocket.pipe(new PassThrough()) };
}

test('the close frame is sent after the frame that is being written, and nothing follows it', async () => {
  const { sockets, socket, received } = await upgraded('websocket');
  socket.write(Buffer.from([0x82, 4, 1, 2]));
  sockets.drain();
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  socket.write(Buffer.from([3, 4]));
  socket.write(Buffer.from([0x82, 1, 5]));
  expect([...Buffer.concat(await received.toArray())]).toEqual([0x82, 4, 1, 2, 3, 4, 0x88, 2, 0x03, 0xe9]);
});

test('a protocol other than WebSocket is not closed', async () => {
  const { sockets, socket, received } = await upgraded('other');
  sockets.drain();
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  socket.end('text');
  expect(String(Buffer.concat(await received.toArray()))).toBe('text');
});

describe('frames', () => {
  const head = Buffer.from('HTTP/1.1 101 Switching Protocols\r\n\r\n');
  const frame = (length: number): Buffer =>
    Buffer.concat([
      Buffer.from(
        length < 126
          ? [0x82, length]
          : length < 65_536
            ? [0x82, 126, length >> 8, length & 255]
            : [0x82, 127, 0, 0, 0, 0, 0, length >> 16, (length >> 8) & 255, length & 255],
      ),
      Buffer.alloc(length),
    ]);

  test.each([0, 1, 125, 126, 300, 65_535, 65_536])(
    'of %d bytes are followed to their end, however they are split',
    (length) => {
      const bytes = Buffer.concat([head, frame(length), frame(3)]);
      for (const step of [1, 7, bytes.length]) {
        const frames = new OutgoingFrames();
        for (let at = 0; at < bytes.length; at += step) {
          frames.push(bytes.subarray(at, at + step));
          const boundaries = [head.length, bytes.length - 5, bytes.length];
          const written = Math.min(at + step, bytes.length);
          if (written > head.length) expect(frames.isBetweenFrames).toBe(boundaries.includes(written));
        }
        expect([frames.isOpen, frames.isClosed]).toEqual([true, false]);
        frames.push(Buffer.from([0x88, 0]));
        expect(frames.isClosed).toBe(true);
      }
    },
  );

  test('a response that does not accept the upgrade opens no WebSocket', () => {
    const frames = new OutgoingFrames();
    frames.push(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n\x88\x00'));
    expect([frames.isOpen, frames.isClosed]).toEqual([false, false]);
  });
});
