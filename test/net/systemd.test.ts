import { expect, test } from 'vitest';
import { systemdSockets } from '../../src/net/systemd.ts';

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
