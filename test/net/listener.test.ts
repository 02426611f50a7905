import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readdirSync, rmSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ConfigError, RunError } from '../../src/errors.ts';
import type { Address } from '../../src/net/address.ts';
import { bindSocket, type HeldSocket, holdSocket } from '../../src/net/held-socket.ts';
import { adoptListener, type Listener, openListener } from '../../src/net/listener.ts';
import { eventually } from '../helpers/programs/program.ts';

const LOCAL: Address = { kind: 'tcp', host: '127.0.0.1', port: 0 };
let directory = '';
const open: { close(): Promise<void> }[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'paster-net-'));
});
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
  rmSync(directory, { recursive: true, force: true });
});

async function listen(address: Address): Promise<Listener> {
  const listener = await openListener(address);
  open.push(listener);
  return listener;
}

async function hold(address: Address): Promise<HeldSocket> {
  const socket = await holdSocket(address);
  open.push(socket);
  return socket;
}

function portOf({ address }: { address: Address }): number {
  return address.kind === 'tcp' ? address.port : 0;
}

/** Sends a text and reads the response. */
function exchange(to: { port: number } | { path: string }, text = 'x'): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(to, () => socket.end(text));
    let answer = '';
    socket.on('data', (data) => {
      answer += data;
    });
    socket.on('end', () => resolve(answer));
    socket.on('error', reject);
  });
}

/** Waits until a client has connected. */
async function untilConnected({ server }: Listener): Promise<void> {
  const count = promisify(server.getConnections.bind(server));
  await eventually(async () => (await count()) > 0);
}

const echo = (socket: Socket) => socket.on('error', () => {}).pipe(socket);

describe('a socket that is bound, but does not listen yet', () => {
  test.each(['tcp', 'unix'] as const)('starts listening in another process that has inherited it: %s', async (kind) => {
    const path = join(directory, 'held');
    const socket = await bindSocket(kind === 'tcp' ? LOCAL : { kind, path });
    open.push(socket);
    const to = kind === 'tcp' ? { port: portOf(socket) } : { path };
    await expect(exchange(to)).rejects.toThrow(kind === 'tcp' ? 'ECONNREFUSED' : 'ENOENT');
    const asked: [number, number][] = [];
    // This worker claims that it listens, but does not.
    await socket.listen(async (...args) => asked.push(args) > 0);
    expect(asked).toEqual([[socket.fd, socket.backlog]]);
    await expect(exchange(to)).rejects.toThrow('ECONNREFUSED');
    // No worker can listen.
    const other = await bindSocket(LOCAL);
    open.push(other);
    await other.listen(async () => false);
    const child = await adoptInChild(other.fd);
    expect(await exchange({ port: portOf(other) }, 'hello')).toBe('hello');
    child.kill('SIGKILL');
  });

  test('leaves the socket file of another server alone', async () => {
    const path = join(directory, 'taken');
    await listen({ kind: 'unix', path });
    const socket = await bindSocket({ kind: 'unix', path });
    await expect(socket.listen(async () => true)).rejects.toThrow('is in use by another program');
    await socket.close();
    expect(readdirSync(directory)).toEqual(['taken']);
  });
});

describe('TCP', () => {
  test('the address has the actual port, and the server listens', async () => {
    const listener = await listen(LOCAL);
    listener.server.on('connection', echo);
    expect(portOf(listener)).toBeGreaterThan(0);
    expect(await exchange({ port: portOf(listener) }, 'hello')).toBe('hello');
  });

  test('a connection that arrives before its handler is kept for it', async () => {
    const listener = await listen(LOCAL);
    const answer = exchange({ port: portOf(listener) }, 'early');
    await untilConnected(listener);
    listener.server.on('connection', echo);
    expect(await answer).toBe('early');
    expect(await exchange({ port: portOf(listener) }, 'late')).toBe('late');
  });

  test('an HTTP request that arrives before its handler is kept for it', async () => {
    const listener = await listen(LOCAL);
    const answer = fetch(`http://127.0.0.1:${portOf(listener)}/`, { method: 'POST', body: 'x'.repeat(100_000) });
    await untilConnected(listener);
    const http = createHttpServer(async (req, res) => {
      let length = 0;
      for await (const chunk of req) length += chunk.length;
      res.setHeader('connection', 'close').end(String(length));
    });
    listener.server.on('connection', (socket) => http.emit('connection', socket));
    expect(await (await answer).text()).toBe('100000');
  });

  test('a peer that resets a waiting connection does no harm', async () => {
    const listener = await listen(LOCAL);
    const socket = connect(portOf(listener), '127.0.0.1');
    await new Promise((resolve) => socket.write('x', resolve));
    socket.resetAndDestroy();
    await once(socket, 'close');
    listener.server.on('connection', echo);
    expect(await exchange({ port: portOf(listener) }, 'next')).toBe('next');
  });

  test.each([
    ['openListener', openListener],
    ['holdSocket', holdSocket],
  ])('%s: a port in use is an error', async (_name, take) => {
    const first = await listen(LOCAL);
    const error = await take({ kind: 'tcp', host: '127.0.0.1', port: portOf(first) }).catch((reason) => reason);
    expect(error).toBeInstanceOf(RunError);
    expect(error.message).toBe(`port ${portOf(first)} on 127.0.0.1 is in use by another program`);
    expect(error.hint).toContain('-p ');
  });

  test.each([
    ['192.0.2.1', /192\.0\.2\.1 is not an address of this machine/],
    ['no-such-host.invalid', /the host name no-such-host\.invalid is unknown/],
  ])('%s is an error that says why', async (host, message) => {
    await expect(openListener({ kind: 'tcp', host, port: 0 })).rejects.toThrow(message);
    await expect(holdSocket({ kind: 'tcp', host, port: 0 })).rejects.toThrow(message);
  });
});

describe('a held socket', () => {
  test.each([['tcp'], ['unix']])('%s: connections wait until a process adopts it', async (kind) => {
    const path = join(directory, 's');
    const held = await hold(kind === 'tcp' ? LOCAL : { kind: 'unix', path });
    const to = kind === 'tcp' ? { port: portOf(held) } : { path };
    const first = await adoptInChild(held.fd);
    first.kill('SIGKILL');
    await new Promise((resolve) => first.once('exit', resolve));
    const waiting = exchange(to, 'wait');
    const second = await adoptInChild(held.fd);
    expect(await waiting).toBe('wait');
    second.kill('SIGKILL');
  });

  test('closing an adopted Unix socket keeps the file, closing the held one removes it', async () => {
    const path = join(directory, 's');
    const held = await hold({ kind: 'unix', path });
    const child = await adoptInChild(held.fd);
    child.kill('SIGTERM');
    await new Promise((resolve) => child.once('exit', resolve));
    expect(readdirSync(directory)).toEqual(['s']);
    await held.close();
    expect(readdirSync(directory)).toEqual([]);
  });
});

/** An echo server in another process, on a descriptor of this one. */
function adoptInChild(fd: number): Promise<ChildProcess> {
  const script = `const server = require('node:net').createServer((s) => s.pipe(s)).listen({ fd: 3 }, () => console.log('up'));
    process.on('SIGTERM', () => server.close());`;
  const child = spawn(process.execPath, ['--eval', script], { stdio: ['ignore', 'pipe', 'inherit', fd] });
  return new Promise((resolve) => child.stdout?.once('data', () => resolve(child)));
}

describe('a descriptor', () => {
  test('that is no socket is an error', async () => {
    const fd = openSync(import.meta.filename, 'r');
    for (const take of [openListener, holdSocket]) {
      const error = await take({ kind: 'fd', fd }).catch((reason) => reason);
      expect(error).toBeInstanceOf(RunError);
      expect(error.message).toBe(`descriptor ${fd} is not a listening socket`);
    }
    closeSync(fd);
  });

  test('that is not open is an error', async () => {
    await expect(openListener({ kind: 'fd', fd: 4000 })).rejects.toThrow('descriptor 4000 is not a listening socket');
    await expect(holdSocket({ kind: 'fd', fd: 4000 })).rejects.toThrow('descriptor 4000 is not a listening socket');
  });

  test('that listens is adopted, with its port', async () => {
    const held = await hold(LOCAL);
    const listener = await adoptListener(held.fd, { kind: 'fd', fd: held.fd });
    expect(portOf(listener)).toBe(portOf(held));
    listener.server.on('connection', echo);
    expect(await exchange({ port: portOf(listener) }, 'hi')).toBe('hi');
    // The process has two handles for one descriptor: only the held one closes it.
    open.splice(0);
    await listener.close();
  });
});

test('an unknown owner is an error in the configuration', async () => {
  const address: Address = { kind: 'unix', path: join(directory, 's') };
  for (const take of [openListener, holdSocket]) {
    await expect(take(address, { owner: 'no-such-user' })).rejects.toThrow(ConfigError);
    await expect(take(address, { group: 'no-such-group' })).rejects.toThrow('there is no group "no-such-group"');
  }
  expect(readdirSync(directory)).toEqual([]);
});
