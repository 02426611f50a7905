/** Sockets that this process was started with: systemd's or a predecessor's, and what the address of such a descriptor is. */
import { readFileSync, readlinkSync } from 'node:fs';
import type { Address, DescriptorAddress } from './address.ts';
import type { FileClaim, OwnedFile } from './socket-publication.ts';

/** One descriptor of socket activation, with the name that `FileDescriptorName=` gave it. */
export interface PassedSocket {
  readonly address: DescriptorAddress;
  readonly name: string | undefined;
}

/** An open socket that another process can go on with. */
export interface ShareableSocket {
  /** Where it is, with the actual port. */
  readonly address: Address;
  readonly fd: number | undefined;
  readonly backlog: number;
  /** Its file, if this process has to remove it. */
  ownedFile(): OwnedFile | undefined;
}

/** A socket that a predecessor has opened, as plain data. */
export interface InheritedListener {
  readonly address: Address;
  readonly fd: number;
  readonly backlog: number;
  readonly file?: FileClaim | undefined;
}

/** The first descriptor behind the standard ones. */
export const FIRST_DESCRIPTOR = 3;
const VARIABLES = ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES'] as const;

/** The name, in `OpenFile=` of a unit, of a descriptor that is connected to systemd's own socket instead of listening. */
export const NOTIFY_DESCRIPTOR = 'paster-notify';

/**
 * Socket activation (sd_listen_fds(3)): the descriptors that systemd, or a program that does the same, has opened for this
 * process; none if LISTEN_PID names another one. The variables are removed from `env` in any case, so that no child
 * takes them for its own. Descriptors start at 3, where a child's IPC channel would be too: read them before anything is
 * spawned.
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

/** The address that a descriptor of this process listens on, for messages. Undefined except on Linux. */
export function addressOfDescriptor(fd: number): Address | undefined {
  const inode = /^socket:\[(\d+)\]$/.exec(readLink(`/proc/self/fd/${fd}`))?.[1];
  if (inode === undefined) return undefined;
  // Num RefCount Protocol Flags Type St Inode Path
  const unix = tableRows('/proc/net/unix').find((fields) => fields[6] === inode)?.[7];
  if (unix !== undefined) return { kind: 'unix', path: unix };
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    // sl local_address rem_address st tx:rx tr:tm->when retrnsmt uid timeout inode
    const local = tableRows(table).find((fields) => fields[9] === inode)?.[1];
    const [host = '', port = ''] = local?.split(':') ?? [];
    if (host !== '') return { kind: 'tcp', host: hostOf(host), port: Number.parseInt(port, 16) };
  }
  return undefined;
}

/** The kernel writes an address as 32-bit words, each in the byte order of the machine. */
function hostOf(hex: string): string {
  const bytes = Buffer.from(hex, 'hex').swap32();
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16));
  // URL writes the short form.
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

function tableRows(file: string): string[][] {
  try {
    const lines = readFileSync(file, 'utf8').split('\n');
    return lines.slice(1).map((line) => line.trim().split(/\s+/));
  } catch {
    return [];
  }
}

function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
