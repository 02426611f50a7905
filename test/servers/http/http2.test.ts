/** What one client of HTTP/2 may cost the server and other clients. */
import { once } from 'node:events';
import { type ClientHttp2Session, connect, constants } from 'node:http2';
import { createConnection, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { type Program, serve } from '../../helpers/programs/program.ts';
import { END_HEADERS, END_STREAM, frame, PREFACE, requestHeaders } from '../../helpers/requests/http2.ts';

const APP = `
let begun = 0;
export default async function app(req, res) {
  if (req.url === '/begun') return res.end(String(begun));
  begun++;
  if (req.url === '/never') return;
  if (req.url === '/refused') return res.writeHead(403).end();
  if (req.url === '/trailers') {
    const parts = [];
    for await (const bytes of req) parts.push(bytes);
    return res.end(JSON.stringify([Buffer.concat(parts).toString(), req.rawTrailers, req.trailers]));
  }
  if (req.url === '/odd') {
    res.write('a');
    res.addTrailers({ Connection: 'x' });
    return res.end('b');
  }
  if (req.url === '/gone') {
    res.writeEarlyHints({ link: '</a.css>; rel=preload' });
    res.on('close', () => {
      res.writeEarlyHints({ link: '</a.css>; rel=preload' });
      req.resume();
    });
    return;
  }
  if (req.url === '/hints') {
    res.writeEarlyHints({ link: '</a.css>; rel=preload' });
    res.setHeader('Connection', 'keep-alive');
    res.write('a');
    res.addTrailers({ 'X-Sum': '1' });
    return res.end('b');
  }
  let size = 0;
  for await (const bytes of req) size += bytes.length;
  res.end(String(size));
}
`;

async function served(settings = ''): Promise<Program & { readonly url: string }> {
  const directory = temporaryDirectory({
    'app.mjs': APP,
    'x.ini': `[app:main]\nuse = module:./app.mjs\n[server:main]\nuse = npm:paster#http\nport = 0\nhttp2 = true\n${settings}\n`,
  });
  return serve(['x.ini'], { cwd: directory });
}

function client(url: string): ClientHttp2Session {
  const session = connect(url);
  session.on('error', () => {});
  onTestFinished(() => void session.destroy());
  return session;
}

async function ask(
  session: ClientHttp2Session,
  headers: Record<string, string>,
): Promise<[status: number, body: string]> {
  const stream = session.request(headers);
  const [head] = await once(stream, 'response');
  return [head[':status'], await text(stream)];
}

test('a request whose body does not arrive gets a 408, and the others of its connection continue', async () => {
  const session = client((await served('request_timeout = 1')).url);
  const slow = session.request({ ':method': 'POST' });
  slow.on('error', () => {});
  slow.write('half');
  const working = session.request({ ':path': '/never' });
  const [head] = await once(slow, 'response');
  expect(head[':status']).toBe(408);
  expect(await ask(session, { ':path': '/' })).toEqual([200, '0']);
  expect(working.closed).toBe(false);
});

test('a request for two hosts is refused', async () => {
  const session = client((await served()).url);
  expect((await ask(session, { ':path': '/', ':authority': 'a.example', host: 'b.example' }))[0]).toBe(400);
  expect((await ask(session, { ':path': '/', ':authority': 'a.example', host: 'A.example' }))[0]).toBe(200);
});

test('early hints and trailers reach the client, connection headers do not', async () => {
  const session = client((await served()).url);
  const asked = session.request({ ':path': '/hints' });
  const [hints] = await once(asked, 'headers');
  expect([hints[':status'], hints.link]).toEqual([103, '</a.css>; rel=preload']);
  const [head] = await once(asked, 'response');
  expect(head.connection).toBe(undefined);
  const trailers = once(asked, 'trailers');
  expect(await text(asked)).toBe('ab');
  expect((await trailers)[0]['x-sum']).toBe('1');
});

test('trailers of a request arrive with the end of its body, in one chunk or in many', async () => {
  const session = client((await served()).url);
  for (const pieces of [[], ['ä', Buffer.from('b')], Array.from({ length: 200 }, (_, i) => `piece ${i} `)]) {
    const stream = session.request({ ':method': 'POST', ':path': '/trailers' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '42', 'x-two': ['a', 'b'] }));
    await pipeline(Readable.from(pieces.map((piece) => Buffer.from(piece))), stream);
    const [sent, rawTrailers, trailers] = JSON.parse(await text(stream));
    expect(sent).toBe(pieces.map(String).join(''));
    expect(rawTrailers).toEqual(['x-sum', '42', 'x-two', 'a', 'x-two', 'b']);
    expect(trailers).toEqual({ 'x-sum': '42', 'x-two': 'a, b' });
  }
});

test('trailers that HTTP/2 does not allow, and early hints to a client that has left, do not end the process', async () => {
  const program = await served();
  const session = client(program.url);
  const odd = session.request({ ':path': '/odd' });
  odd.on('error', () => {});
  odd.resume();
  await new Promise((resolve) => odd.once('close', resolve));
  const gone = session.request({ ':method': 'POST', ':path': '/gone', expect: '100-continue' });
  await once(gone, 'headers');
  gone.close(constants.NGHTTP2_CANCEL);
  await once(gone, 'close');
  expect(await ask(session, { ':path': '/' })).toEqual([200, '0']);
  expect((await program.kill('SIGTERM')).status).toBe(0);
});

test('a client that expects 100 Continue gets it when the application reads, and not if it refuses', async () => {
  const session = client((await served()).url);
  const refused = session.request({ ':method': 'POST', ':path': '/refused', expect: '100-continue' });
  let isContinued = false;
  refused.on('continue', () => {
    isContinued = true;
  });
  const [head] = await once(refused, 'response');
  expect([head[':status'], isContinued]).toEqual([403, false]);
  const read = session.request({ ':method': 'POST', ':path': '/', expect: '100-continue' });
  await once(read, 'continue');
  read.end('body');
  expect(await text(read)).toBe('4');
});

describe('max_header_size', () => {
  const header = { 'x-long': 'x'.repeat(5000) };

  test('a larger head gets a 431', async () => {
    const session = client((await served('max_header_size = 4096')).url);
    // Sent before the client knows the limit.
    expect((await ask(session, { ':path': '/', ...header }))[0]).toBe(431);
    expect(session.remoteSettings.maxHeaderListSize).toBe(4096);
    const later = session.request({ ':path': '/', ...header });
    const [error] = await once(later, 'error');
    expect([error.code, later.rstCode]).toEqual(['ERR_HTTP2_STREAM_ERROR', constants.NGHTTP2_ENHANCE_YOUR_CALM]);
    expect(await ask(session, { ':path': '/begun' })).toEqual([200, '0']);
  });

  test('a smaller head reaches the application', async () => {
    const session = client((await served('max_header_size = 8192')).url);
    expect((await ask(session, { ':path': '/', ...header }))[0]).toBe(200);
  });

  test('many small headers are accepted, like the cookies that a browser sends one by one', async () => {
    const session = client((await served('max_header_size = 65536')).url);
    const headers = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`x-${i}`, 'y']));
    expect((await ask(session, { ':path': '/', ...headers }))[0]).toBe(200);
  });
});

test('the server announces that a connection may have 128 simultaneous requests', async () => {
  const session = client((await served()).url);
  await once(session, 'remoteSettings');
  expect(session.remoteSettings.maxConcurrentStreams).toBe(128);
});

/** A client that sends `piece(n)` as long as the connection accepts it, up to `count` times. */
async function flood(port: number, piece: (n: number) => Buffer, count: number, isReading = true): Promise<Socket> {
  const socket = createConnection(port, '127.0.0.1');
  socket.on('error', () => {});
  onTestFinished(() => void socket.destroy());
  await once(socket, 'connect');
  if (isReading) socket.resume();
  socket.write(PREFACE);
  for (let n = 0; n < count && socket.writable; n += 100) {
    const pieces = Array.from({ length: 100 }, (_, i) => piece(n + i));
    if (!socket.write(Buffer.concat(pieces))) {
      await Promise.race([once(socket, 'drain'), once(socket, 'close')]).catch(() => {});
    }
  }
  return socket;
}

const stream = (n: number): number => 2 * n + 1;

describe('a flood', () => {
  test.each<[name: string, piece: (n: number) => Buffer, isReading: boolean]>([
    [
      'of requests that are reset at once',
      (n) =>
        Buffer.concat([
          frame('HEADERS', END_HEADERS | END_STREAM, stream(n), requestHeaders('GET')),
          frame('RST_STREAM', 0, stream(n), Buffer.of(0, 0, 0, constants.NGHTTP2_CANCEL)),
        ]),
      true,
    ],
    ['of PING frames whose responses are not read', () => frame('PING', 0, 0, Buffer.alloc(8)), false],
    ['of SETTINGS frames whose responses are not read', () => frame('SETTINGS', 0, 0), false],
    [
      'of CONTINUATION frames',
      (n) => (n === 0 ? frame('HEADERS', END_STREAM, 1, requestHeaders('GET')) : frame('CONTINUATION', 0, 1)),
      true,
    ],
    [
      'of empty DATA frames',
      (n) => (n === 0 ? frame('HEADERS', END_HEADERS, 1, requestHeaders('POST')) : frame('DATA', 0, 1)),
      true,
    ],
    ['of incomplete heads', (n) => frame('HEADERS', END_STREAM, stream(n), requestHeaders('GET')), true],
  ])('%s closes its connection and affects nothing else', async (_name, piece, isReading) => {
    const program = await served('request_timeout = 2\nkeep_alive_timeout = 2\nsend_timeout = 2');
    const socket = await flood(Number(new URL(program.url).port), piece, 100_000, isReading);
    socket.resume();
    if (!socket.closed) await once(socket, 'close');
    const [status, begun] = await ask(client(program.url), { ':path': '/begun' });
    expect(status).toBe(200);
    // Of 100,000: Node allows a burst of resets, and keeps reading until its GOAWAY is sent.
    expect(Number(begun)).toBeLessThan(20_000);
    expect((await program.kill('SIGTERM')).status).toBe(0);
  });
});
