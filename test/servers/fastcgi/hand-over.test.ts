/** A server that stops while another one continues: keep-alive connections move between two requests, and no byte is lost. */
import type { Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { attach, detach } from '../../../src/process/ipc/connection-handover.ts';
import type { App } from '../../../src/protocol/types.ts';
import { begin, type FastcgiClient, pairs, record, request, stream, TYPE } from './client.ts';
import { type Served, serveFastcgi } from './serve.ts';

let first: Served;
let second: Served;
let handedOver: number;
/** Requests that wait until these are called. */
let held: (() => void)[];

function answering(name: string): App {
  return (req, res) => {
    const parts: Buffer[] = [];
    req.on('data', (part) => parts.push(part));
    req.on('end', () => {
      const answer = () => res.end(`${name} ${req.url} ${Buffer.concat(parts)}`);
      if (req.url?.startsWith('/held')) held.push(answer);
      else if (req.url !== '/early') answer();
    });
    if (req.url === '/early') res.end(`${name} /early`);
  };
}

beforeEach(async () => {
  handedOver = 0;
  held = [];
  first = await serveFastcgi(answering('first'), {});
  second = await serveFastcgi(answering('second'), {});
});

afterEach(async () => {
  await first.close();
  await second.close();
});

function stopFirst(): Promise<void> {
  return first.running.close({
    handOver(socket: Socket) {
      handedOver++;
      const connection = detach(socket);
      // As slow as the way through another process.
      if (connection) setTimeout(() => second.running.adopt?.(attach(connection)), 20);
    },
  });
}

async function ask(client: FastcgiClient, path: string, body = ''): Promise<string> {
  return (await client.ask(1, { REQUEST_URI: path, REQUEST_METHOD: body ? 'POST' : 'GET' }, { body })).body.toString();
}

async function untilHeld(count: number): Promise<void> {
  while (held.length < count) await new Promise((resolve) => setTimeout(resolve, 5));
}

test('an idle connection moves at once, used or not, with the bytes that arrive meanwhile', async () => {
  const [used, unused] = [await first.client(), await first.client()];
  expect(await ask(used, '/a', 'x')).toBe('first /a x');
  const stopped = stopFirst();
  expect(handedOver).toBe(2);
  expect(await ask(used, '/b', 'yyy')).toBe('second /b yyy');
  expect(await ask(unused, '/c')).toBe('second /c ');
  await stopped;
  expect(await ask(used, '/d')).toBe('second /d ');
});

test('a connection with a request in flight moves after the response', async () => {
  const client = await first.client();
  const answer = ask(client, '/held', 'x');
  await untilHeld(1);
  const stopped = stopFirst();
  expect(handedOver).toBe(0);
  held[0]?.();
  expect(await answer).toBe('first /held x');
  expect(await ask(client, '/b')).toBe('second /b ');
  await stopped;
});

test('a connection in the middle of a request, or of a record, moves after the response', async () => {
  const bytes = request(1, { REQUEST_URI: '/parts', REQUEST_METHOD: 'POST' }, { body: 'body' });
  for (const split of [1, 8, 12, 16, 20, bytes.length - 10, bytes.length - 1]) {
    const client = await first.client();
    expect(await ask(client, '/a')).toBe('first /a ');
    client.write(bytes.subarray(0, split));
    // It has been read by now, because the next request has been.
    expect(await ask(await first.client(), '/a')).toBe('first /a ');
    setTimeout(() => client.write(bytes.subarray(split)), 50);
    const [answer] = await Promise.all([client.answer(1), stopFirst()]);
    expect(answer.body.toString()).toBe('first /parts body');
    expect(await ask(client, '/b')).toBe('second /b ');
    await first.close();
    first = await serveFastcgi(answering('first'), {});
  }
});

test('a request that was read together with the end of another one gets its response from the old server', async () => {
  const client = await first.client();
  client.write(request(1, { REQUEST_URI: '/held' }));
  await untilHeld(1);
  const stopped = stopFirst();
  // One write, so that one read returns it: the empty rest of a body, and the next request.
  client.write(Buffer.concat([record(TYPE.abort, 1), request(2, { REQUEST_URI: '/next' })]));
  await client.answer(1);
  expect((await client.answer(2)).body.toString()).toBe('first /next ');
  expect(await ask(client, '/b')).toBe('second /b ');
  await stopped;
});

test('the other server ignores the rest of a body that the application did not read', async () => {
  const client = await first.client();
  const stopped = (async () => {
    await client.answer(1);
    return stopFirst();
  })();
  const params = { REQUEST_METHOD: 'POST', REQUEST_URI: '/early', CONTENT_LENGTH: '8', SERVER_PROTOCOL: 'HTTP/1.1' };
  client.write(begin(1), stream(TYPE.params, 1, pairs({ ...params, SCRIPT_NAME: '' })), record(TYPE.params, 1));
  client.write(stream(TYPE.stdin, 1, Buffer.from('half')));
  await stopped;
  client.write(stream(TYPE.stdin, 1, Buffer.from('half')), record(TYPE.stdin, 1));
  expect(await ask(client, '/b')).toBe('second /b ');
});

test('a connection stays until the web server has read the response', async () => {
  const client = await first.client();
  await ask(client, '/a');
  client.socket.pause();
  const size = 4 * 1024 * 1024;
  client.write(request(1, { REQUEST_URI: '/held', REQUEST_METHOD: 'POST' }, { body: 'y'.repeat(size) }));
  await untilHeld(1);
  const stopped = stopFirst();
  held[0]?.();
  // Several times as long as a hand-over takes here.
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(handedOver).toBe(0);
  client.socket.resume();
  expect((await client.answer(1)).body.length).toBeGreaterThan(size);
  await stopped;
  expect(await ask(client, '/b')).toBe('second /b ');
});

test('a connection without keep-alive closes, and so does one if no process can take it', async () => {
  const [once, kept] = [await first.client(), await second.client()];
  once.write(request(1, { REQUEST_URI: '/held' }, { keep: false }));
  await untilHeld(1);
  const stopped = stopFirst();
  held[0]?.();
  expect((await once.answer(1)).body.toString()).toBe('first /held ');
  await once.closed;
  await stopped;
  expect(handedOver).toBe(0);

  expect(await ask(kept, '/a')).toBe('second /a ');
  await second.running.close();
  await kept.closed;
});
