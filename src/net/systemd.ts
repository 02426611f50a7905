/**
 * Socket activation: the descriptors that systemd (or systemfd, or launchd's imitators) has opened for this process.
 * They start at 3, which is where a child's IPC channel would be too: read them before anything is spawned.
 * See sd_listen_fds(3).
 */
import type { DescriptorAddress } from './address.ts';

/** One descriptor that was passed on, with the name that `FileDescriptorName=` gave it. */
export interface PassedSocket {
  readonly address: DescriptorAddress;
  readonly name: string | undefined;
}

const FIRST_DESCRIPTOR = 3;
const VARIABLES = ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES'] as const;

/**
 * The sockets that are meant for this process: none when LISTEN_PID names another one. The variables are taken out of
 * `env` in any case, so that no child believes they are for it.
 */
export function systemdSockets(env: NodeJS.ProcessEnv = process.env, pid: number = process.pid): PassedSocket[] {
  const [forPid, count, names] = VARIABLES.map((name) => env[name]);
  for (const name of VARIABLES) delete env[name];
  if (forPid !== String(pid) || count === undefined || !/^\d{1,4}$/.test(count)) return [];
  const byPosition = names === undefined || names === '' ? [] : names.split(':');
  return Array.from({ length: Number(count) }, (_, position) => ({
    address: { kind: 'fd', fd: FIRST_DESCRIPTOR + position },
    name: byPosition[position] || undefined,
  }));
}
