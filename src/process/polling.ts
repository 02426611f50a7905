/**
 * Where changes of files have to be looked for, since the system does not tell of them: on network file systems and on
 * what virtual machines and containers share with their host.
 */
import { statfsSync } from 'node:fs';

const DEFAULT_PERIOD_MS = 1000;

/** The magic numbers of statfs(2) on Linux. Elsewhere the numbers mean something else and none of these. */
const SILENT_FILE_SYSTEMS = new Set([
  0x6969, // NFS
  0x517b, // SMB
  0xff534d42, // CIFS
  0xfe534d42, // SMB 2
  0x01021997, // 9P: WSL, virtual machines
  0x65735546, // FUSE: sshfs, Docker Desktop
  0x786f4256, // VirtualBox
  0xbacbacbc, // VMware
  0x5346414f, // AFS
  0x00c36400, // Ceph
]);

/**
 * Milliseconds between looks at what is in these directories; undefined where the system tells. The variable
 * CHOKIDAR_USEPOLLING, which others of this kind know too, decides where it is set.
 */
export function pollingPeriod(directories: readonly string[], asked: number | undefined): number | undefined {
  const wish = process.env['CHOKIDAR_USEPOLLING']?.toLowerCase();
  const isNeeded = wish ? !['0', 'false'].includes(wish) : [...new Set(directories)].some(isSilent);
  return isNeeded ? (asked ?? DEFAULT_PERIOD_MS) : undefined;
}

function isSilent(directory: string): boolean {
  try {
    return process.platform === 'linux' && SILENT_FILE_SYSTEMS.has(statfsSync(directory).type >>> 0);
  } catch {
    return false;
  }
}
