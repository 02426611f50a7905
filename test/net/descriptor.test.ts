import { mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { addressOfDescriptor } from '../../src/net/descriptor.ts';
import { holdSocket } from '../../src/net/held-socket.ts';

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
