/** `req.socket` behind a gateway, compared with that of Node's own HTTP server: what libraries do with it. */
import type { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { Duplex, finished, Readable } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { describe, expect, test } from 'vitest';
import type { Backend } from '../contract/backends/backend.ts';
import { fastcgiBackend } from '../contract/backends/fastcgi-backend.ts';
import { httpBackend } from '../contract/backends/http-backend.ts';
import { serveFastcgi } from '../servers/fastcgi/serve.ts';

/** Runs `look` on the socket of a request while it is served. */
async function onSocket<T>(backend: Backend, look: (socket: Socket, req: IncomingMessage) => T): Promise<Awaited<T>> {
  let seen: unknown;
  const served = await backend.start(async (req, res) => {
    seen = await look(req.socket, req);
    res.end('ok');
  });
  const { status } = await served.request();
  await served.close();
  expect(status).toBe(200);
  return seen as Awaited<T>;
}

/** Public names of a `net.Socket` with the types of their values, except those that depend on the system. */
function shape(socket: Socket): Record<string, string> {
  const types: Record<string, string> = Object.create(null);
  for (
    let each: object | null = socket;
    each !== null && each !== Object.prototype;
    each = Object.getPrototypeOf(each)
  ) {
    for (const name of Object.getOwnPropertyNames(each)) {
      if (name.startsWith('_') || name === 'server' || name === 'parser' || name === 'on') continue;
      const value: unknown = Reflect.get(socket, name);
      // Absent and not known yet look the same to an application.
      if (value !== undefined && value !== null && name !== 'constructor') types[name] ??= typeof value;
    }
  }
  return types;
}

describe('req.socket', () => {
  test('has every public property of a net.Socket', async () => {
    const [ours, theirs] = [await onSocket(fastcgiBackend, shape), await onSocket(httpBackend, shape)];
    const missing = Object.entries(theirs).filter(([name, type]) => ours[name] !== type);
    expect(missing).toEqual([]);
  });

  test.each([httpBackend, fastcgiBackend])('is a net.Socket and a stream to instanceof: $name', async (backend) => {
    const kinds = await onSocket(backend, (socket) => [
      socket instanceof Socket,
      socket instanceof Duplex,
      socket instanceof Readable,
    ]);
    expect(kinds).toEqual([true, true, true]);
  });

  test.each([
    [{ HTTPS: 'on' }, true],
    [{ HTTPS: '1', REQUEST_SCHEME: 'http' }, true],
    [{ REQUEST_SCHEME: 'HTTPS' }, true],
    [{ HTTPS: 'off', REQUEST_SCHEME: 'https' }, false],
    [{ HTTPS: '', REQUEST_SCHEME: 'http' }, false],
    [{ HTTP_HTTPS: 'on', HTTP_REQUEST_SCHEME: 'https' }, false],
  ])('is a TLSSocket if the client uses TLS: %j', async (environ, secure) => {
    const served = await serveFastcgi((req, res) => {
      const { socket } = req;
      const tls = socket instanceof TLSSocket;
      const known = tls && [socket.authorized, socket.getPeerCertificate(), socket.getProtocol(), socket.getCipher()];
      const encrypted = 'encrypted' in socket && socket.encrypted;
      Object.assign(socket, { encrypted: 'assigned' });
      const named = socket.constructor === (tls ? TLSSocket : Socket);
      res.end(
        JSON.stringify([tls, encrypted, known, socket instanceof Socket, named, Reflect.get(socket, 'encrypted')]),
      );
    });
    const client = await served.client();
    const body = JSON.parse((await client.ask(1, environ)).body.toString());
    const expected = secure ? [true, true, [false, {}, null, null]] : [false, false, false];
    expect(body).toEqual([...expected, true, true, 'assigned']);
    await served.close();
  });

  test.each([httpBackend, fastcgiBackend])('supports what libraries do with it: $name', async (backend) => {
    const result = await onSocket(backend, (socket) => {
      const nothing = (): void => {};
      for (const event of ['error', 'close', 'drain', 'timeout', 'end', 'finish']) {
        socket.on(event, nothing).prependListener(event, nothing).once(event, nothing);
        socket.off(event, nothing).removeListener(event, nothing);
      }
      socket.setTimeout(0).setNoDelay(true).setKeepAlive(true, 1000).ref().unref();
      socket.cork();
      socket.uncork();
      socket.setMaxListeners(20);
      const cleanup = finished(socket, nothing);
      cleanup();
      return [socket.connecting, socket.pending, socket.destroyed, socket.readyState, socket.writable, socket.readable];
    });
    expect(result).toEqual([false, false, false, 'open', true, true]);
  });
});
