import { once } from 'node:events';
import { connect, createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { isConnectionHandle } from '../../../src/net/node-internals/handles.ts';
import { attach, detach } from '../../../src/process/ipc/connection-handover.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { received } from '../../helpers/requests/received.ts';

let server: Server;
let client: Socket;
let accepted: Socket;

async function open(where: ListenOptions): Promise<void> {
  server = createServer({ allowHalfOpen: true }).listen(where);
  await once(server, 'listening');
  const address = server.address();
  const connection = once(server, 'connection');
  client = typeof address === 'string' ? connect(address) : connect(address?.port ?? 0, '127.0.0.1');
  client.on('error', () => {});
  [accepted] = await connection;
}

afterEach(() => {
  client.destroy();
  accepted.destroy();
  server.close();
});

describe.each(['TCP', 'Unix'])('a %s connection', (kind) => {
  const where = () => (kind === 'TCP' ? { port: 0, host: '127.0.0.1' } : { path: join(temporaryDirectory(), 's') });

  test('continues where it is attached, with the bytes that arrived in between', async () => {
    await open(where());
    const before = received(accepted, 3);
    client.write('one');
    expect(await before).toBe('one');

    const closed = once(accepted, 'close');
    const connection = detach(accepted);
    await closed;
    expect(isConnectionHandle(connection?.handle)).toBe(true);
    if (!connection) return;
    await new Promise((resolve) => client.write('two', resolve));
    // The server that accepted it no longer waits for it.
    await new Promise((resolve) => server.close(resolve));

    const other = attach(connection);
    expect(other.remoteAddress).toBe(kind === 'TCP' ? '127.0.0.1' : undefined);
    const answer = received(client, 5);
    expect(await received(other, 3)).toBe('two');
    other.end('three');
    expect(await answer).toBe('three');
    other.destroy();
  });

  test('ends when its last copy is closed', async () => {
    await open(where());
    client.resume();
    const ended = once(client, 'end');
    detach(accepted)?.close();
    await ended;
  });
});

test('a socket that has closed has no connection to hand over', async () => {
  await open({ path: join(temporaryDirectory(), 's') });
  accepted.destroy();
  expect(detach(accepted)).toBeUndefined();
  expect(isConnectionHandle(undefined)).toBe(false);
  expect(isConnectionHandle({ close() {} })).toBe(false);
});
