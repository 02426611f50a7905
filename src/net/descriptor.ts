/** What an inherited descriptor listens on, for people to read: Linux alone says so, elsewhere it stays a number. */
import { readFileSync, readlinkSync } from 'node:fs';
import type { Address } from './address.ts';

/** The address of a socket that this process has; undefined where the system does not tell. */
export function addressOfDescriptor(fd: number): Address | undefined {
  const inode = /^socket:\[(\d+)\]$/.exec(link(`/proc/self/fd/${fd}`))?.[1];
  if (inode === undefined) return undefined;
  // Num RefCount Protocol Flags Type St Inode Path
  const unix = rows('/proc/net/unix').find((fields) => fields[6] === inode)?.[7];
  if (unix !== undefined) return { kind: 'unix', path: unix };
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    // sl local_address rem_address st tx:rx tr:tm->when retrnsmt uid timeout inode
    const local = rows(table).find((fields) => fields[9] === inode)?.[1];
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
  // URL knows the short form.
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

function rows(file: string): string[][] {
  try {
    const lines = readFileSync(file, 'utf8').split('\n');
    return lines.slice(1).map((line) => line.trim().split(/\s+/));
  } catch {
    return [];
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
