import { mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { holdSocket } from '../../src/net/held-socket.ts';
import { addressOfDescriptor, systemdSockets } from '../../src/net/inherited-sockets.ts';

test.runIf(process.platform === 'linux').each([['127.0.0.1'], ['::1']])('a TCP socket on %s', async (host) => {
  const held = await holdSocket({ kind: 'tcp', host, port: 0 });
  // The kernel lists a TCP socket when it listens; here as its first worker would have it.
  const { adoptListener } = await import('../../src/net/listener.ts');
  const listener = await adoptListener(held.fd, held.address);
  onTestFinished(() => listener.close());
  expect(addressOfDescriptor(held.fd)).toEqual(held.address);
});

test.runIf(process.platform === 'linux')('a Unix socket tells the name that it was bound under', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'paster-net-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const held = await holdSocket({ kind: 'unix', path: join(directory, 'socket') });
  onTestFinished(() => held.close());
  // Its temporary one, in this case; systemd binds under the real one.
  expect(addressOfDescriptor(held.fd)).toMatchObject({ kind: 'unix', path: expect.stringContaining(directory) });
});

test('what is no socket has no address', () => {
  expect(addressOfDescriptor(openSync('/dev/null', 'r'))).toBe(undefined);
  expect(addressOfDescriptor(9999)).toBe(undefined);
});

describe('systemd sockets', () => {
  test('names the descriptors from 3 on, and takes the variables away', () => {
    const env = { LISTEN_PID: '42', LISTEN_FDS: '2', LISTEN_FDNAMES: 'web:', PATH: '/bin' };
    expect(systemdSockets(env, 42)).toEqual([
      { address: { kind: 'fd', fd: 3 }, name: 'web' },
      { address: { kind: 'fd', fd: 4 }, name: undefined },
    ]);
    expect(env).toEqual({ PATH: '/bin' });
  });

  test.each([
    ['none', {}],
    ['meant for another process', { LISTEN_PID: '41', LISTEN_FDS: '1' }],
    ['no number', { LISTEN_PID: '42', LISTEN_FDS: 'many' }],
    ['no process', { LISTEN_FDS: '1' }],
  ])('nothing: %s', (_why, env) => {
    expect(systemdSockets(env, 42)).toEqual([]);
    expect(env).toEqual({});
  });
});
