/** How much CPU and memory this process may use, what limits it, and how much memory processes hold. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { cgroupLimits } from './cgroup.ts';

export interface CpuCapacity {
  /** Processors, such as 1.5. */
  readonly cpus: number;
  /** For people: `1.5 CPUs by cgroup quota`. */
  readonly reason: string;
  /** Whether the machine has more. */
  readonly isLimited: boolean;
}

/** What all processes of a container may use together. */
export interface MemoryLimit {
  readonly bytes: number;
  /** For people: `512 MiB by cgroup limit`. */
  readonly reason: string;
}

/** How many workers a server may have at most. */
export const MAX_WORKERS = 1024;

const MIB = 1024 * 1024;

/** @param root where proc and sys are; for tests */
export function cpuCapacity(root = '/'): CpuCapacity {
  const online = countCpus(readText(root, 'sys/devices/system/cpu/online'));
  // The kernel applies a cpuset to the affinity of each process.
  const usable = countCpus(/^Cpus_allowed_list:\s*(\S+)/m.exec(readText(root, 'proc/self/status'))?.[1] ?? '');
  const cpus = usable || availableParallelism();
  const { cpus: quota } = cgroupLimits(root);
  if (quota !== undefined && quota < cpus) return capacity(quota, ' by cgroup quota');
  return capacity(cpus, cpus < online ? ' by cpuset or affinity' : '');
}

function capacity(cpus: number, limit: string): CpuCapacity {
  const rounded = Number(cpus.toFixed(2));
  return { cpus, reason: `${rounded} ${rounded === 1 ? 'CPU' : 'CPUs'}${limit}`, isLimited: limit !== '' };
}

/** Undefined: no limit but the memory of the machine. @param root as above */
export function memoryLimit(root = '/'): MemoryLimit | undefined {
  const { memory: bytes } = cgroupLimits(root);
  if (bytes === undefined) return undefined;
  return { bytes, reason: `${Math.floor(bytes / MIB)} MiB by cgroup limit` };
}

/** The number of workers that keep these processors busy: one each, and another one for a fraction of a processor. */
export function workersFor(cpus: number): number {
  return Math.max(1, Math.ceil(cpus));
}

/** The length of a list such as `0-3,8`. */
function countCpus(list: string): number {
  return list
    .trim()
    .split(',')
    .reduce((sum, range) => {
      const [first = '', last = first] = range.split('-');
      return /^\d+$/.test(first) ? sum + Number(last) - Number(first) + 1 : sum;
    }, 0);
}

/** Memory of a process in bytes. */
export interface ProcessMemory {
  /** All that is resident. */
  readonly resident: number;
  /** What no other process shares. The rest are pages of files, such as Node's own code, which are in memory once. */
  readonly own: number;
}

/** Undefined: the process has ended, or this system does not report it. */
export function processMemory(pid: number, root = '/'): ProcessMemory | undefined {
  const status = readText(root, `proc/${pid}/status`);
  const bytes = (name: string): number | undefined => {
    const [, kilobytes] = new RegExp(`^${name}:\\s*(\\d+) kB`, 'm').exec(status) ?? [];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  };
  const resident = bytes('VmRSS');
  if (!resident) return undefined;
  const anonymous = bytes('RssAnon');
  return { resident, own: anonymous === undefined ? resident : anonymous + (bytes('RssShmem') ?? 0) };
}

/** A process and all its descendants. */
export function processTree(pid: number, root = '/'): number[] {
  const children = readText(root, `proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean);
  return [pid, ...children.flatMap((child) => processTree(Number(child), root))];
}

/** Bytes that a process and all its descendants hold. Memory that they share counts once for each. */
export function treeMemory(pid: number, root = '/'): number {
  return processTree(pid, root).reduce((sum, each) => sum + (processMemory(each, root)?.resident ?? 0), 0);
}

function readText(root: string, path: string): string {
  try {
    return readFileSync(join(root, path), 'utf8');
  } catch {
    return '';
  }
}
