/** Which internals of Node paster finds, what it does if one is missing or behaves differently, and the switch for tests. */
import { once } from 'node:events';
import { IncomingMessage, ServerResponse } from 'node:http';
import net, { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';

const SWITCH = 'PASTER_WITHOUT_INTERNALS';

const request = (): IncomingMessage => new IncomingMessage(new Socket());

/** Copies of the modules that have not tested anything yet. */
const load = async () => ({
  ...(await import('../../src/net/node-internals/handles.ts')),
  ...(await import('../../src/net/node-internals/messages.ts')),
});
const loadStreams = () => import('../../src/net/direct/stream-internals.ts');

/** The results of the tests of a new copy of the module. */
async function found() {
  const [internals, streams] = [await load(), await loadStreams()];
  return {
    read: streams.readerFields() !== undefined,
    write: streams.directWrite() !== undefined,
    accept: streams.handleOwner() !== undefined,
    listen: internals.createServerHandle() !== undefined,
    request: internals.endSilently(request()),
    head: internals.canMakeHead() === true,
    end: internals.responseShortcuts() !== undefined,
  };
}

/** Replaces a member of an object of Node for one test. */
function replace(target: object, name: string, value: unknown): void {
  const before = Object.getOwnPropertyDescriptor(target, name);
  onTestFinished(() => {
    if (before) Object.defineProperty(target, name, before);
    else Reflect.deleteProperty(target, name);
  });
  Object.defineProperty(target, name, { value, configurable: true, writable: true });
}

beforeEach(() => {
  vi.resetModules();
  vi.stubEnv(SWITCH, undefined);
});
afterEach(() => vi.unstubAllEnvs());

const ALL = { read: true, write: true, accept: true, listen: true, request: true, head: true, end: true };

describe('internals of Node', () => {
  test('this Node has what the table in ARCHITECTURE.md says', async () => {
    expect(await found()).toEqual(ALL);
  });

  test('are switched off for tests, all or by name', async () => {
    vi.stubEnv(SWITCH, 'all');
    expect(Object.values(await found())).toEqual(Object.keys(ALL).map(() => false));
    expect((await load()).canReplacePeer()).toBe(undefined);
    vi.resetModules();
    vi.stubEnv(SWITCH, 'read,end');
    expect(await found()).toMatchObject({
      read: false,
      accept: false,
      listen: true,
      request: true,
      head: true,
      end: false,
    });
  });

  test('are not used if they are missing', async () => {
    replace(IncomingMessage.prototype, '_addHeaderLines', undefined);
    replace(net, '_createServerHandle', undefined);
    expect(await found()).toEqual({ ...ALL, request: false, listen: false });
  });

  test('are not used if header lines are stored elsewhere', async () => {
    replace(IncomingMessage.prototype, '_addHeaderLines', () => {});
    expect(await found()).toMatchObject({ request: false, head: true });
  });

  test('are not used if the head of a response is stored elsewhere', async () => {
    const { writeHead } = ServerResponse.prototype;
    replace(ServerResponse.prototype, 'writeHead', function _storeHeader(this: ServerResponse, status: number) {
      // Like a Node that calls its own function instead of the method of the response.
      const own = Object.getOwnPropertyDescriptor(this, '_storeHeader');
      Reflect.deleteProperty(this, '_storeHeader');
      writeHead.call(this, status);
      if (own) Object.defineProperty(this, '_storeHeader', own);
    });
    expect(await found()).toMatchObject({ head: false, end: false, request: true });
  });

  test('are not used if the headers of a response are stored elsewhere', async () => {
    replace(ServerResponse.prototype, 'getHeader', () => undefined);
    expect(await found()).toMatchObject({ head: true, end: false });
  });

  test('a write that fails its test is not used', async () => {
    replace(Socket.prototype, '_writeGeneric', () => {});
    expect(await found()).toEqual({ ...ALL, write: false, accept: false });
  });

  test('connections have sockets from the start if Node handles accepted connections differently', async () => {
    const { takeHandles } = await loadStreams();
    const server = net.createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    const handle: { onconnection?: unknown } = Reflect.get(server, '_handle');
    const { onconnection } = handle;
    handle.onconnection = () => {};
    expect(takeHandles(server, () => {})).toBe(false);
    handle.onconnection = onconnection;
    expect(takeHandles(server, () => {})).toBe(true);
    expect(takeHandles(net.createServer(), () => {})).toBe(false);
  });

  test('the amount of unsent data is unknown for a socket without a handle', async () => {
    const { bytesDispatched, takeHandle, writeProgress } = await load();
    const { streamHandle } = await loadStreams();
    const socket = new Socket();
    expect([streamHandle(socket), takeHandle(socket), writeProgress(socket)]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect(bytesDispatched(socket)).toBe(socket.bytesWritten ?? 0);
  });
});
