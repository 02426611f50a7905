/** The PROXY protocol: its header, fuzzed, and connections that begin with it, also from a real HAProxy. */
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { createConnection, SocketAddress } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { readProxyHeader } from '../../../src/servers/http/proxy-protocol.ts';
import { project, refused, runWebServer } from '../../export/site.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { beforeSuite } from '../../helpers/programs/lifetime.ts';
import { freePort, needProgram, type Program, requireProgram, serve } from '../../helpers/programs/program.ts';
import { makeCertificate } from '../../helpers/web-servers/certificate.ts';
import { rawClient } from './raw-client.ts';

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n');

/** A header of version 2. */
function version2(command: number, family: number, content: Buffer): Buffer {
  const fixed = Buffer.from([command, family, content.length >> 8, content.length & 255]);
  return Buffer.concat([SIGNATURE, fixed, content]);
}

function ports(source: number, target: number): Buffer {
  return Buffer.from([source >> 8, source & 255, target >> 8, target & 255]);
}

const tcp4 = (tlv = ''): Buffer =>
  version2(0x21, 0x11, Buffer.concat([Buffer.from([192, 0, 2, 7, 10, 0, 0, 1]), ports(4711, 80), Buffer.from(tlv)]));

describe('the header', () => {
  const client = { address: '192.0.2.7', port: 4711, family: 'IPv4' };
  test.each([
    ['version 1', 'PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\nGET', { kind: 'complete', length: 39, client }],
    [
      'IPv6',
      'PROXY TCP6 2001:DB8:0:0::7 ::1 1 2\r\n',
      { kind: 'complete', length: 36, client: { address: '2001:db8::7', port: 1, family: 'IPv6' } },
    ],
    ['unknown', 'PROXY UNKNOWN\r\n', { kind: 'complete', length: 15 }],
    ['unknown with addresses', 'PROXY UNKNOWN ff:: ff:: 1 2\r\n', { kind: 'complete', length: 29 }],
    ['version 2', tcp4(), { kind: 'complete', length: 28, client }],
    ['additions', tcp4('\x04\0\x03abc'), { kind: 'complete', length: 34, client }],
    ['local', version2(0x20, 0x11, tcp4().subarray(16)), { kind: 'complete', length: 28, client: undefined }],
    ['a Unix socket', version2(0x21, 0x31, Buffer.alloc(216)), { kind: 'complete', length: 232, client: undefined }],
    ['unspecified', version2(0x21, 0, Buffer.alloc(3)), { kind: 'complete', length: 19, client: undefined }],
    ['half a header', 'PROXY TCP4 192.0.2.7', { kind: 'incomplete' }],
    ['the first letter', 'P', { kind: 'incomplete' }],
    ['the first line end', '\r\n', { kind: 'incomplete' }],
    ['a request instead', 'GET / HTTP/1.1\r\n', { kind: 'absent' }],
    ['a POST', 'PO', { kind: 'absent' }],
    ['a TLS handshake instead', Buffer.from([0x16, 3, 1]), { kind: 'absent' }],
    ['a wrong address', 'PROXY TCP4 192.0.2.700 10.0.0.1 4711 80\r\n', { kind: 'malformed' }],
    ['an address of the other family', 'PROXY TCP4 ::1 ::1 4711 80\r\n', { kind: 'malformed' }],
    ['a zone', 'PROXY TCP6 fe80::1%eth0 ::1 4711 80\r\n', { kind: 'malformed' }],
    ['a wrong port', 'PROXY TCP4 192.0.2.7 10.0.0.1 65536 80\r\n', { kind: 'malformed' }],
    ['one word too many', 'PROXY TCP4 192.0.2.7 10.0.0.1 4711 80 \r\n', { kind: 'malformed' }],
    ['a long line', `PROXY TCP4 ${'1'.repeat(96)}`, { kind: 'malformed' }],
    ['another version', version2(0x31, 0x11, Buffer.alloc(12)), { kind: 'malformed' }],
    ['another command', version2(0x22, 0x11, Buffer.alloc(12)), { kind: 'malformed' }],
    ['too short for its addresses', version2(0x21, 0x11, Buffer.alloc(11)), { kind: 'malformed' }],
    ['too long', version2(0x21, 0x11, Buffer.alloc(4096)).subarray(0, 16), { kind: 'malformed' }],
  ])('is parsed: %s', (_name, bytes, expected) => {
    const found = readProxyHeader(Buffer.from(bytes as string));
    expect(found).toMatchObject(expected);
    if ('client' in expected && expected.client === undefined) expect(found).toHaveProperty('client', undefined);
  });

  const port = fc.integer({ min: 0, max: 65_535 });
  const made = fc.oneof(
    fc.record({ family: fc.constant('IPv4' as const), address: fc.ipV4(), port, target: fc.ipV4() }),
    fc.record({ family: fc.constant('IPv6' as const), address: fc.ipV6(), port, target: fc.ipV6() }),
  );

  test('is complete at its end, in any pieces and with any bytes after it', () => {
    const property = fc.property(
      made,
      fc.uint8Array({ maxLength: 300 }),
      fc.uint8Array({ maxLength: 50 }),
      fc.boolean(),
      (of, tlv, rest, isText) => {
        const binary = (address: string): Buffer => packed(address, of.family);
        const addresses = Buffer.concat([binary(of.address), binary(of.target), ports(of.port, 80), tlv]);
        const header = isText
          ? Buffer.from(`PROXY TCP${of.family.slice(3)} ${of.address} ${of.target} ${of.port} 80\r\n`)
          : version2(0x21, of.family === 'IPv4' ? 0x11 : 0x21, addresses);
        const { address } = new SocketAddress({ address: of.address, family: of.family === 'IPv4' ? 'ipv4' : 'ipv6' });
        const client = { address, port: of.port, family: of.family };
        expect(readProxyHeader(Buffer.concat([header, rest]))).toEqual({
          kind: 'complete',
          length: header.length,
          client,
        });
        for (let end = 0; end < header.length; end++) {
          if (readProxyHeader(header.subarray(0, end)).kind !== 'incomplete') throw new Error(`complete at ${end}`);
        }
      },
    );
    fc.assert(property, { numRuns: 200 });
  });

  test('is accepted or refused within 4 KiB, whatever its bytes', () => {
    const start = fc.constantFrom(Buffer.alloc(0), Buffer.from('PROXY '), SIGNATURE, tcp4().subarray(0, 14), tcp4());
    const property = fc.property(start, fc.uint8Array({ maxLength: 200 }), (first, more) => {
      const bytes = Buffer.concat([first, more, Buffer.alloc(4096)]);
      const header = readProxyHeader(bytes);
      if (header.kind === 'incomplete') throw new Error('it waits for more');
      if (header.kind === 'complete' && header.length > 4096) throw new Error('it is too long');
    });
    fc.assert(property, { numRuns: 2000 });
  });
});

/** The bytes of an address. */
function packed(address: string, family: 'IPv4' | 'IPv6'): Buffer {
  if (family === 'IPv4') return Buffer.from(address.split('.').map(Number));
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const plain = dotted
    ? `${dotted[1]}${(Number(dotted[2]) * 256 + Number(dotted[3])).toString(16)}:${(Number(dotted[4]) * 256 + Number(dotted[5])).toString(16)}`
    : address;
  const [head = '', tail] = plain.split('::');
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const [before, after] = [groups(head), groups(tail ?? '')];
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  const all = [...before, ...Array<string>(zeros).fill('0'), ...after].map((group) => Number.parseInt(group, 16));
  return Buffer.from(all.flatMap((group) => [group >> 8, group & 255]));
}

const APP = `
export default function app(req, res) {
  const { remoteAddress, remotePort, remoteFamily } = req.socket;
  res.end(JSON.stringify({ remoteAddress, remotePort, remoteFamily, url: req.url, pid: process.pid }));
}
`;

type Served = Program & { readonly url: string };

function served(settings: string): Promise<Served> {
  const directory = temporaryDirectory({
    'app.mjs': APP,
    'x.ini': `[app:main]\nuse = module:./app.mjs\n[server:main]\nuse = npm:paster#http\nport = 0\n${settings}\n`,
  });
  return serve(['x.ini'], { cwd: directory });
}

const GET = (path: string, connection = 'close'): string =>
  `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: ${connection}\r\n\r\n`;
const HEADER = 'PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n';
const CLIENT = { remoteAddress: '192.0.2.7', remotePort: 4711, remoteFamily: 'IPv4' };

/** All bytes that the server sends in response to these, until the connection ends. */
async function reply(program: Served, bytes: string | Buffer, localAddress?: string): Promise<string> {
  const { socket, all } = await rawClient(program, localAddress);
  socket.write(bytes);
  return all;
}

/** The bodies of responses. */
function bodies(text: string): unknown[] {
  return [...text.matchAll(/\{.*?\}/g)].map(([json]) => JSON.parse(json));
}

const isLinux = process.platform === 'linux';

describe('a server with workers', () => {
  let program: Served;
  beforeSuite(async () => {
    program = await served('workers = 2\nproxy_protocol = 127.0.0.1 10.0.0.0/8');
  });

  test.each([
    ['version 1', HEADER, CLIENT],
    ['version 2', tcp4('\x04\0\x03abc'), CLIENT],
    [
      'IPv6',
      'PROXY TCP6 2001:db8::7 ::1 5 80\r\n',
      { remoteAddress: '2001:db8::7', remotePort: 5, remoteFamily: 'IPv6' },
    ],
    ['no address', 'PROXY UNKNOWN\r\n', { remoteAddress: '127.0.0.1' }],
    ['a health check', version2(0x20, 0, Buffer.alloc(0)), { remoteAddress: '127.0.0.1' }],
  ])('sees the client that the load balancer names: %s', async (_name, header, expected) => {
    const together = Buffer.concat([Buffer.from(header as string), Buffer.from(GET('/a'))]);
    expect(bodies(await reply(program, together))).toMatchObject([{ ...expected, url: '/a' }]);
  });

  test('accepts header and requests in any pieces, and keeps the client for the whole connection', async () => {
    const { socket, all } = await rawClient(program);
    socket.setNoDelay();
    const bytes = Buffer.from(HEADER + GET('/a', 'keep-alive') + GET('/b', 'keep-alive'));
    for (const byte of bytes) {
      socket.write(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    socket.write(GET('/c'));
    expect(bodies(await all)).toMatchObject(['/a', '/b', '/c'].map((url) => ({ ...CLIENT, url })));
  });

  test('reads a body that arrives later', async () => {
    const { socket, all } = await rawClient(program);
    socket.write(`${HEADER}POST /p HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\n\r\n`);
    await new Promise((resolve) => setTimeout(resolve, 50));
    socket.write('body');
    expect(bodies(await all)).toMatchObject([{ ...CLIENT, url: '/p' }]);
  });

  test('responds 400 to a load balancer that sends no header, or a broken one, and logs it', async () => {
    expect(await reply(program, GET('/'))).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    await program.says(
      /warn: HTTP from 127\.0\.0\.1: it sent no PROXY header, which proxy_protocol requires of its address/,
    );
    expect(await reply(program, 'PROXY TCP4 nobody\r\n')).toMatch(/^HTTP\/1\.1 400 /);
    await program.says(/warn: HTTP from 127\.0\.0\.1: its PROXY header is malformed/);
  });

  test.skipIf(!isLinux)('serves another address without a header, and responds 400 with one', async () => {
    expect(bodies(await reply(program, GET('/'), '127.0.0.2'))).toMatchObject([{ remoteAddress: '127.0.0.2' }]);
    for (const header of [HEADER, tcp4()]) {
      expect(await reply(program, Buffer.concat([Buffer.from(header), Buffer.from(GET('/'))]), '127.0.0.2')).toMatch(
        /^HTTP\/1\.1 400 /,
      );
    }
    await program.says(
      /warn: HTTP from 127\.0\.0\.2: it sent a PROXY header, but proxy_protocol does not name its address/,
    );
  });
});

test('closes the connection of a load balancer whose header does not end within headers_timeout', async () => {
  const program = await served('proxy_protocol = 127.0.0.1\nheaders_timeout = 1');
  const start = performance.now();
  expect(await reply(program, 'PROXY TC')).toBe('');
  expect(performance.now() - start).toBeGreaterThan(900);
});

test.skipIf(requireProgram('openssl') === undefined)(
  'with TLS and HTTP/2 expects the header before the handshake',
  async () => {
    const { pem } = makeCertificate(temporaryDirectory());
    const program = await served(`http2 = true\nssl_pem = ${pem}\nproxy_protocol = 127.0.0.1`);
    const encrypted = async (alpn: string) => {
      const { socket } = await rawClient(program);
      socket.removeAllListeners('data');
      socket.write(tcp4());
      const tls = connectTls({ socket, rejectUnauthorized: false, ALPNProtocols: [alpn] });
      onTestFinished(() => void tls.destroy());
      await once(tls, 'secureConnect');
      return tls;
    };
    const http1 = await encrypted('http/1.1');
    http1.write(GET('/1'));
    expect(bodies(Buffer.concat(await http1.toArray()).toString())).toMatchObject([{ ...CLIENT, url: '/1' }]);
    const tls = await encrypted('h2');
    const session = connectHttp2('https://a', { createConnection: () => tls });
    onTestFinished(() => void session.destroy());
    const body = await session.request({ ':path': '/2' }).toArray();
    expect(bodies(Buffer.concat(body).toString())).toMatchObject([{ ...CLIENT, url: '/2' }]);
    expect(await reply(program, GET('/'))).toBe('');
  },
);

test('HTTP/2 without TLS works on a Unix socket, whose peers count as local', async () => {
  const socketPath = join(temporaryDirectory(), 'app.sock');
  const directory = temporaryDirectory({
    'app.mjs': APP,
    'x.ini': `[app:main]\nuse = module:./app.mjs\n[server:main]\nuse = npm:paster#http\nsocket = ${socketPath}\nhttp2 = true\nproxy_protocol = 127.0.0.1\n`,
  });
  await serve(['x.ini'], { cwd: directory });
  const session = connectHttp2('http://a', {
    createConnection: () => {
      const socket = createConnection(socketPath);
      socket.write(HEADER);
      return socket;
    },
  });
  onTestFinished(() => void session.destroy());
  const body = await session.request({ ':path': '/2' }).toArray();
  expect(bodies(Buffer.concat(body).toString())).toMatchObject([{ ...CLIENT, url: '/2' }]);
});

describe('export', () => {
  test('HAProxy is configured to send the header', async () => {
    needProgram('haproxy');
    const app = join(temporaryDirectory({ 'app.mjs': `${APP}export const make = () => app;\n` }), 'app.mjs');
    const settings = `use = npm:paster#http\nhost = 127.0.0.1\nport = ${await freePort()}\nproxy_protocol = 127.0.0.1`;
    const directory = project(settings, '', `${app}:make`);
    await serve([join(directory, 'etc/config.ini')]);
    const { port } = new URL(await runWebServer('haproxy', directory));
    const asking = createConnection({
      port: Number(port),
      host: '127.0.0.1',
      localAddress: isLinux ? '127.0.0.9' : '127.0.0.1',
    });
    onTestFinished(() => void asking.destroy());
    await once(asking, 'connect');
    const { localAddress, localPort } = asking;
    asking.write(GET('/', 'keep-alive') + GET('/b'));
    const text = Buffer.concat(await asking.toArray()).toString();
    const expected = { remoteAddress: localAddress, remotePort: localPort };
    expect(bodies(text)).toMatchObject(['/', '/b'].map((url) => ({ ...expected, url })));
  });

  test('nginx cannot send it', async () => {
    const directory = project('use = npm:paster#http\nport = 8080\nproxy_protocol = 127.0.0.1');
    expect(await refused('nginx', join(directory, 'etc/config.ini'))).toContain(
      'nginx sends no PROXY header to an HTTP server, but the section has proxy_protocol',
    );
  });
});
