/** `max_connections` and `send_timeout` of the HTTP server: how many clients it serves at once, and for how long. */
import { once } from 'node:events';
import { connect as connectHttp2, constants } from 'node:http2';
import { connect as connectTls } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { type Program, serve } from '../../helpers/programs/program.ts';
import { makeCertificate } from '../../helpers/web-servers/certificate.ts';
import { rawClient } from './raw-client.ts';

const APP = `
import { setTimeout as sleep } from 'node:timers/promises';
const large = Buffer.alloc(32_000_000, 'x');
export default async function app(req, res) {
  if (req.url === '/large') return res.end(large);
  if (req.url === '/window') return res.end(large.subarray(0, 500_000));
  if (req.url === '/events') {
    res.write('one ');
    // Longer than the shortest send_timeout, which is no limit for the application.
    await sleep(700);
    res.write('two ');
    await sleep(700);
    return res.end('three');
  }
  res.end('well');
}
`;

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;

type Served = Program & { readonly url: string };

async function served(settings: string): Promise<Served> {
  const directory = temporaryDirectory({
    'app.mjs': APP,
    'x.ini': `[app:main]\nuse = module:./app.mjs\n[server:main]\nuse = npm:paster#http\nport = 0\n${settings}\n`,
  });
  return serve(['x.ini'], { cwd: directory });
}

function certificate(): string {
  const { cert, key } = makeCertificate(temporaryDirectory());
  return `ssl_key = ${key}\nssl_cert = ${cert}`;
}

describe('max_connections', () => {
  test('one more connection gets a 503, and there is room again when another one closes', async () => {
    const program = await served('max_connections = 2');
    const [first, second, third] = [await rawClient(program), await rawClient(program), await rawClient(program)];
    expect(await third.all).toMatch(/^HTTP\/1\.1 503 Service Unavailable\r\nConnection: close\r\n/);
    await program.says(/warn: HTTP from 127\.0\.0\.1: more than 2 connections/);
    first.socket.end(get('/'));
    expect(await first.all).toMatch(/^HTTP\/1\.1 200 [\s\S]*well$/);
    const fourth = await rawClient(program);
    fourth.socket.write(get('/'));
    expect(await fourth.all).toMatch(/^HTTP\/1\.1 200 /);
    second.socket.write(get('/'));
    expect(await second.all).toMatch(/^HTTP\/1\.1 200 /);
    expect((await program.kill('SIGTERM')).status).toBe(0);
  });

  test('300 more connections do not affect the open one, and none of them stays', async () => {
    const program = await served('max_connections = 1');
    const inside = await rawClient(program);
    const crowd = await Promise.all(Array.from({ length: 300 }, () => rawClient(program)));
    const answers = await Promise.all(crowd.map(({ all }) => all));
    // A reset may overtake the response; on a busy machine it may overtake all of them.
    expect(answers.filter((text) => !/^(?:HTTP\/1\.1 503|$)/.test(text))).toEqual([]);
    expect(answers.join('')).toContain('HTTP/1.1 503');
    inside.socket.write(get('/'));
    expect(await inside.all).toMatch(/^HTTP\/1\.1 200 /);
    expect((await rawClient(program)).socket.destroyed).toBe(false);
  });

  test('with TLS a connection above the limit is closed', async () => {
    const program = await served(`max_connections = 1\n${certificate()}`);
    await rawClient(program);
    expect(await (await rawClient(program)).all).toBe('');
  });
});

const GONE = /warn: HTTP from 127\.0\.0\.1: it has read nothing of its response for \S+ seconds/;

describe('send_timeout', () => {
  test('a client that stops reading is disconnected, and no other', async () => {
    const program = await served('send_timeout = 0.5');
    const { socket, all } = await rawClient(program);
    socket.write(get('/large'));
    socket.pause();
    const events = await rawClient(program);
    events.socket.write(get('/events'));
    await program.says(GONE);
    socket.resume();
    expect((await all).length).toBeLessThan(32_000_000);
    expect(await events.all).toMatch(/one [\s\S]*two [\s\S]*three/);
  });

  test('a slow client gets everything', async () => {
    const program = await served('send_timeout = 1');
    const { socket, all } = await rawClient(program);
    socket.write(get('/large'));
    socket.on('data', () => {
      socket.pause();
      setTimeout(() => socket.resume(), 10);
    });
    expect((await all).length).toBeGreaterThan(32_000_000);
    expect(program.stderr).toBe('');
  });

  test('works with TLS too', async () => {
    const program = await served(`send_timeout = 0.5\n${certificate()}`);
    const socket = connectTls({ port: Number(new URL(program.url).port), rejectUnauthorized: false });
    onTestFinished(() => void socket.destroy());
    socket.on('error', () => {});
    await once(socket, 'secureConnect');
    socket.pause();
    socket.write(get('/large'));
    await program.says(GONE);
  });

  test('over HTTP/2 only the stream is closed, and the others continue', async () => {
    const program = await served('send_timeout = 1\nhttp2 = true');
    const session = connectHttp2(program.url);
    onTestFinished(() => void session.destroy());
    session.on('error', () => {});
    const events = session.request({ ':path': '/events' }).toArray();
    const stopped = session.request({ ':path': '/window' });
    const ended = once(stopped, 'close');
    stopped.on('error', () => {});
    await program.says(GONE);
    stopped.resume();
    await ended;
    expect(stopped.rstCode).toBe(constants.NGHTTP2_CANCEL);
    expect(Buffer.concat(await events).toString()).toBe('one two three');
    const after = session.request({ ':path': '/' });
    expect(Buffer.concat(await after.toArray()).toString()).toBe('well');
  });

  test('0 means no limit', async () => {
    const program = await served('send_timeout = 0');
    const { socket, all } = await rawClient(program);
    socket.write(get('/large'));
    socket.pause();
    const events = await rawClient(program);
    events.socket.write(get('/events'));
    await events.all;
    socket.resume();
    expect((await all).length).toBeGreaterThan(32_000_000);
  });
});
