/** The line that `serve` shows for a request at a terminal. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { PassThrough } from 'node:stream';
import type { WriteStream } from 'node:tty';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { paintFor, plain } from '../../src/diagnostics/paint.ts';
import { requestOutput } from '../../src/logging/request-output.ts';
import type { App } from '../../src/protocol/types.ts';
import { completedRequestLine, offerRequestLines } from '../../src/serve/terminal/request-lines.ts';

/** The agreement holds for the whole process: a filter in another test file may have taken the output, or find it offered. */
const forgetAgreement = (): void => {
  Object.assign(requestOutput(), { isOffered: false, isTaken: false });
};
beforeEach(forgetAgreement);
afterEach(forgetAgreement);

const time = new Date(2026, 0, 2, 18, 8, 9);
const GET = { time, method: 'GET', url: '/cart', status: 200, milliseconds: 3.2 };
const colours = paintFor({ isTTY: true }, { TERM: 'xterm' });

test('has the time, the request, the status and the duration', () => {
  expect(completedRequestLine(GET, 80, plain)).toBe('18:08:09 GET /cart 200 3 ms');
  expect(completedRequestLine({ ...GET, status: undefined, milliseconds: 1234 }, 80, plain)).toBe(
    '18:08:09 GET /cart left 1.23 s',
  );
});

test.each([
  [204, '\x1b[32m204'],
  [302, '\x1b[36m302'],
  [404, '\x1b[33m404'],
  [500, '\x1b[31m500'],
])('status %d has its own colour', (status, painted) => {
  expect(completedRequestLine({ ...GET, status }, 80, colours)).toContain(`GET /cart ${painted}\x1b[39m`);
});

test('static files and health checks are dim, unless they fail', () => {
  for (const url of ['/static/a.css?v=1', '/healthz', '/-/ready/../ping', '/favicon.ico']) {
    const line = completedRequestLine({ ...GET, url }, 80, colours);
    if (url.includes('..')) expect(line).toContain('\x1b[32m');
    else expect(line).toBe(`\x1b[2m18:08:09 GET ${url} 200 3 ms\x1b[22m`);
  }
  expect(completedRequestLine({ ...GET, url: '/a.css', status: 404 }, 80, colours)).toContain('\x1b[33m404');
  // Browsers request it whether it exists or not.
  expect(completedRequestLine({ ...GET, url: '/favicon.ico', status: 404 }, 80, colours)).toBe(
    '\x1b[2m18:08:09 GET /favicon.ico 404 3 ms\x1b[22m',
  );
  expect(completedRequestLine({ ...GET, milliseconds: 999.7 }, 80, plain)).toMatch(/ 1\.00 s$/);
});

test('a URL is escaped, masks secrets, and is cut to the width of the terminal', () => {
  const line = (url: string) => completedRequestLine({ ...GET, url }, 40, plain);
  expect(line('/\x1b[2J\u202e')).toBe('18:08:09 GET /\\x1b[2J\\u{202e} 200 3 ms');
  expect(line('/?token=abcdefgh')).toBe('18:08:09 GET /?token=******** 200 3 ms');
  expect(line(`/${'a'.repeat(100)}`)).toBe(`18:08:09 GET /${'a'.repeat(15)}… 200 3 ms`);
});

test.each([
  [{ isTTY: true }, { TERM: 'xterm' }, true],
  [{ isTTY: true }, { TERM: 'dumb' }, false],
  [{ isTTY: true }, { NO_COLOR: '1', FORCE_COLOR: '1' }, false],
  [{ isTTY: true }, { FORCE_COLOR: '0' }, false],
  [{ isTTY: true }, { NO_COLOR: '' }, true],
  [{}, {}, false],
  [{}, { FORCE_COLOR: '1' }, true],
])('colours on %j with %j: %s', (stream, env, isPainted) => {
  expect(paintFor(stream, env)('red', 'x')).toBe(isPainted ? '\x1b[31mx\x1b[39m' : 'x');
});

test.each<[string, (socket: PassThrough) => void, string]>([
  ['accepts', (socket) => socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n') && socket.write('frame'), '101'],
  ['refuses', (socket) => socket.end('HTTP/1.1 403 Forbidden\r\n\r\n'), '403'],
  ['drops', (socket) => socket.destroy(), 'left'],
])('a WebSocket that the application %s has a line', async (_what, respond, status) => {
  const written: string[] = [];
  const terminal = { columns: 80, write: (line: string) => written.push(line) > 0 } as WriteStream;
  const inner: App = () => {};
  inner.upgrade = (_req, socket) => respond(socket as PassThrough);
  const socket = new PassThrough();
  const app = offerRequestLines(terminal)(inner);
  await app.upgrade?.({ method: 'GET', url: '/live' } as IncomingMessage, socket, Buffer.alloc(0));
  await new Promise((resolve) => socket.destroy().once('close', resolve));
  expect(written.join('')).toMatch(new RegExp(`^\\d\\d:\\d\\d:\\d\\d GET /live ${status} \\d+ ms\\n$`));
});

test('requests of the script that reloads pages have no line', () => {
  const asked: string[] = [];
  const app = offerRequestLines({} as WriteStream)((req) => asked.push(req.url ?? ''));
  const res = { once: () => expect.unreachable() } as unknown as ServerResponse;
  for (const url of ['/.paster/reload', '/shop/.paster/reload.js?v=1', '/.paster/reload?version']) {
    app({ url } as IncomingMessage, res);
  }
  expect(asked).toHaveLength(3);
});
