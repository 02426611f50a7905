/** File systems that report no changes, so files must be polled: network ones, and those shared with virtual machines. */
import { statfsSync } from 'node:fs';

const DEFAULT_PERIOD_MS = 1000;

/** The magic numbers of statfs(2) on Linux. On other systems the numbers mean something else. */
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
 * Milliseconds between looks at the files in these directories; undefined if the system reports their changes. The variable
 * CHOKIDAR_USEPOLLING, which other tools read too, overrides this.
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
