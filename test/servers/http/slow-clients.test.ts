/** Slow clients: the limits of the HTTP server apply to them in the same way for each version of HTTP. */
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { type Program, serve } from '../../helpers/programs/program.ts';
import { END_HEADERS, END_STREAM, frame, PREFACE, requestHeaders } from '../../helpers/requests/http2.ts';
import { makeCertificate } from '../../helpers/web-servers/certificate.ts';

const APP = `
export default async function app(req, res) {
  if (req.method === 'POST') for await (const _ of req);
  res.end('well');
}
`;

/** What a client of one version of HTTP sends. */
interface Messages {
  /** Sent before anything else. */
  readonly preface: Buffer;
  readonly request: Buffer;
  readonly halfHead: Buffer;
  readonly halfBody: Buffer;
}

const http1: Messages = {
  preface: Buffer.alloc(0),
  request: Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n'),
  halfHead: Buffer.from('GET / HTTP/1.1\r\nHost: '),
  halfBody: Buffer.from('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf'),
};

const http2: Messages = {
  preface: PREFACE,
  request: frame('HEADERS', END_HEADERS | END_STREAM, 1, requestHeaders('GET')),
  halfHead: frame('HEADERS', END_STREAM, 1, requestHeaders('GET')),
  halfBody: Buffer.concat([
    frame('HEADERS', END_HEADERS, 1, requestHeaders('POST')),
    frame('DATA', 0, 1, Buffer.from('half')),
  ]),
};

interface Way {
  readonly name: string;
  readonly settings: string;
  /** The ALPN protocol of the client; undefined: no TLS. */
  readonly alpn?: string;
  readonly messages: Messages;
}

const WAYS: readonly Way[] = [
  { name: 'HTTP/1.1', settings: '', messages: http1 },
  { name: 'HTTP/1.1 over TLS', settings: 'ssl_pem = %(here)s/both.pem', alpn: 'http/1.1', messages: http1 },
  {
    name: 'HTTP/1.1 over TLS beside HTTP/2',
    settings: 'ssl_pem = %(here)s/both.pem\nhttp2 = true',
    alpn: 'http/1.1',
    messages: http1,
  },
  { name: 'HTTP/2 over TLS', settings: 'ssl_pem = %(here)s/both.pem\nhttp2 = true', alpn: 'h2', messages: http2 },
  { name: 'HTTP/2 without TLS', settings: 'http2 = true', messages: http2 },
];

interface SlowClient {
  readonly name: string;
  run(connection: Socket, messages: Messages): unknown;
  /** Without TLS, although the server expects it. */
  readonly isRaw?: true;
}

/** A limit, and clients that exceed it; the other limits are far longer. */
interface Limit {
  readonly settings: string;
  readonly clients: readonly SlowClient[];
}

const dribble = (connection: Socket, bytes: Buffer): void => {
  let sent = 0;
  const timer = setInterval(() => {
    if (connection.writable && sent < bytes.length) connection.write(bytes.subarray(sent, ++sent));
  }, 100);
  connection.once('close', () => clearInterval(timer));
};

const LIMITS: readonly Limit[] = [
  {
    settings: 'headers_timeout = 1\nkeep_alive_timeout = 600',
    clients: [
      { name: 'connects and is silent', run: () => {}, isRaw: true },
      {
        name: 'sends the beginning of a TLS handshake byte by byte',
        run: (connection) => dribble(connection, Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, ...Buffer.alloc(500)])),
        isRaw: true,
      },
      { name: 'is silent after the handshake', run: (connection, { preface }) => connection.write(preface) },
      {
        name: 'sends half a head',
        run: (connection, { preface, halfHead }) => connection.write(Buffer.concat([preface, halfHead])),
      },
      {
        name: 'sends a head byte by byte',
        run: (connection, { preface, request }) => dribble(connection, Buffer.concat([preface, request])),
      },
    ],
  },
  {
    // Over HTTP/2 the request is aborted, and the connection is then idle.
    settings: 'request_timeout = 1\nkeep_alive_timeout = 1',
    clients: [
      {
        name: 'sends half a head',
        run: (connection, { preface, halfHead }) => connection.write(Buffer.concat([preface, halfHead])),
      },
      {
        name: 'sends half a body',
        run: (connection, { preface, halfBody }) => connection.write(Buffer.concat([preface, halfBody])),
      },
    ],
  },
  {
    settings: 'keep_alive_timeout = 1',
    clients: [
      {
        name: 'is idle after a request',
        run: (connection, { preface, request }) => connection.write(Buffer.concat([preface, request])),
      },
    ],
  },
];

async function served(settings: string): Promise<Program & { readonly url: string }> {
  const directory = temporaryDirectory({
    'app.mjs': APP,
    'x.ini': `[app:main]\nuse = module:./app.mjs\n[server:main]\nuse = npm:paster#http\nport = 0\n${settings}\n`,
  });
  makeCertificate(directory);
  return serve(['x.ini'], { cwd: directory });
}

/** A connection that stays open when the server has closed its side. */
async function connect(port: number, alpn?: string): Promise<Socket> {
  const socket = createConnection({ port, host: '127.0.0.1', allowHalfOpen: true });
  const connection =
    alpn === undefined ? socket : connectTls({ socket, rejectUnauthorized: false, ALPNProtocols: [alpn] });
  onTestFinished(() => void socket.destroy());
  for (const each of [socket, connection]) each.on('error', () => {});
  await once(connection, alpn === undefined ? 'connect' : 'secureConnect');
  return connection;
}

function ended(connection: Socket): Promise<void> {
  connection.resume();
  return new Promise((resolve) => {
    for (const event of ['end', 'close']) connection.once(event, resolve);
  });
}

async function isServed(port: number, { alpn, messages }: Way): Promise<boolean> {
  const connection = await connect(port, alpn).catch(() => undefined);
  if (connection === undefined) return false;
  connection.write(Buffer.concat([messages.preface, messages.request]));
  const isAnswered = await new Promise<boolean>((resolve) => {
    let text = '';
    connection.on('data', (bytes) => {
      text += bytes.toString('latin1');
      if (text.includes('well')) resolve(true);
    });
    for (const event of ['end', 'close']) connection.once(event, () => resolve(false));
  });
  connection.destroy();
  return isAnswered;
}

describe.each(WAYS)('$name', (way) => {
  test.each(LIMITS)('$settings closes slow clients and makes room for others', async ({ settings, clients }) => {
    const program = await served(`max_connections = ${clients.length}\n${way.settings}\n${settings}`);
    const port = Number(new URL(program.url).port);
    const begun = performance.now();
    const slow = clients.map(async ({ name, run, isRaw }) => {
      const connection = await connect(port, isRaw ? undefined : way.alpn);
      const end = ended(connection).then(() => name);
      run(connection, way.messages);
      return end;
    });
    expect(await Promise.all(slow)).toEqual(clients.map(({ name }) => name));
    // The default of keep_alive_timeout, which would close the idle ones too, is 5 seconds.
    expect(performance.now() - begun).toBeLessThan(4500);
    // Some of them keep their side open.
    await expect.poll(() => isServed(port, way), { timeout: 5000 }).toBe(true);
  });

  test('TERM ends the server within two seconds despite idle clients', async () => {
    const program = await served(way.settings);
    const port = Number(new URL(program.url).port);
    const { preface, request } = way.messages;
    for (const { first, isRaw } of [
      { isRaw: true },
      { first: preface },
      { first: Buffer.concat([preface, request]) },
    ]) {
      const connection = await connect(port, isRaw ? undefined : way.alpn);
      connection.resume();
      if (first) connection.write(first);
    }
    expect(await isServed(port, way)).toBe(true);
    const begun = performance.now();
    expect(await program.kill('SIGTERM')).toMatchObject({ status: 0 });
    expect(performance.now() - begun).toBeLessThan(2000);
  });
});
