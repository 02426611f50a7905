import { mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { holdSocket } from '../../src/net/held-socket.ts';
import { addressOfDescriptor, systemdSockets } from '../../src/net/inherited-sockets.ts';

test.runIf(process.platform === 'linux').each([['127.0.0.1'], ['::1']])(
  'the address of a TCP socket on %s is found',
  async (host) => {
    const held = await holdSocket({ kind: 'tcp', host, port: 0 });
    // The kernel lists a TCP socket once it listens, as it does when its first worker has it.
    const { adoptListener } = await import('../../src/net/listener.ts');
    const listener = await adoptListener(held.fd, held.address);
    onTestFinished(() => listener.close());
    expect(addressOfDescriptor(held.fd)).toEqual(held.address);
  },
);

test.runIf(process.platform === 'linux')('a Unix socket has the path that it was bound to', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'paster-net-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const held = await holdSocket({ kind: 'unix', path: join(directory, 'socket') });
  onTestFinished(() => held.close());
  // Here its temporary path; systemd binds the final one.
  expect(addressOfDescriptor(held.fd)).toMatchObject({ kind: 'unix', path: expect.stringContaining(directory) });
});

test('a descriptor that is no socket has no address', () => {
  expect(addressOfDescriptor(openSync('/dev/null', 'r'))).toBe(undefined);
  expect(addressOfDescriptor(9999)).toBe(undefined);
});

describe('systemd sockets', () => {
  test('are the descriptors from 3 on with their names, and the variables are removed', () => {
    const env = { LISTEN_PID: '42', LISTEN_FDS: '2', LISTEN_FDNAMES: 'web:', PATH: '/bin' };
    expect(systemdSockets(env, 42)).toEqual([
      { address: { kind: 'fd', fd: 3 }, name: 'web' },
      { address: { kind: 'fd', fd: 4 }, name: undefined },
    ]);
    expect(env).toEqual({ PATH: '/bin' });
  });

  test.each([
    ['no variable is set', {}],
    ['they belong to another process', { LISTEN_PID: '41', LISTEN_FDS: '1' }],
    ['LISTEN_FDS is not a number', { LISTEN_PID: '42', LISTEN_FDS: 'many' }],
    ['LISTEN_PID is not set', { LISTEN_FDS: '1' }],
  ])('are none: %s', (_why, env) => {
    expect(systemdSockets(env, 42)).toEqual([]);
    expect(env).toEqual({});
  });
});
