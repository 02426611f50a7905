/**
 * The limits of CPU and memory that control groups set for this process. A limit holds for everything below its group, so the
 * limits of all groups apply, from the process's own up to the highest one that is mounted here. Version 1 has a hierarchy for each
 * controller, version 2 one for all of them, and a machine may use both at once. See cgroups(7).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface CgroupLimits {
  /** Processors, such as 1.5. Undefined: no quota. */
  readonly cpus: number | undefined;
  /** Bytes. Undefined: no limit. */
  readonly memory: number | undefined;
}

/** @param root where proc and sys are; for tests */
export function cgroupLimits(root = '/'): CgroupLimits {
  const mounts = readMounts(root);
  const cpus: number[] = [];
  const memory: number[] = [];
  for (const { controllers, path } of ownGroups(root)) {
    const isUnified = controllers.length === 0;
    for (const directory of visibleGroups(mounts, controllers, path)) {
      const read = (name: string): string => readText(join(root, directory, name));
      if (isUnified) {
        cpus.push(unifiedQuota(read('cpu.max')));
        // Beyond `high` a group is not killed but throttled, until nothing in it makes progress.
        memory.push(limitOf(read('memory.max')), limitOf(read('memory.high')));
      } else {
        if (controllers.includes('cpu')) cpus.push(quotaOf(read('cpu.cfs_quota_us'), read('cpu.cfs_period_us')));
        if (controllers.includes('memory')) memory.push(limitOf(read('memory.limit_in_bytes')));
      }
    }
  }
  return { cpus: smallest(cpus), memory: smallest(memory) };
}

/** A group of this process. Without controllers it is that of version 2. */
interface OwnGroup {
  readonly controllers: readonly string[];
  readonly path: string;
}

/** Lines such as `4:cpu,cpuacct:/docker/1f3a` and `0::/user.slice`. */
function ownGroups(root: string): OwnGroup[] {
  return readText(join(root, 'proc/self/cgroup'))
    .split('\n')
    .flatMap((line) => {
      const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
      if (controllers === undefined || path === undefined) return [];
      return [{ controllers: controllers === '' ? [] : controllers.split(','), path }];
    });
}

interface CgroupMount {
  /** The group that is mounted. */
  readonly group: string;
  readonly directory: string;
  readonly isUnified: boolean;
  /** With version 1: the controllers of the hierarchy, among other options. */
  readonly options: readonly string[];
}

/** Lines such as `31 23 0:28 /docker/1f3a /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu`; see proc_pid_mountinfo(5). */
function readMounts(root: string): CgroupMount[] {
  return readText(join(root, 'proc/self/mountinfo'))
    .split('\n')
    .flatMap((line) => {
      const [mount = '', filesystem = ''] = line.split(' - ');
      const [, , , group = '', directory = ''] = mount.split(' ').map(unescapeOctal);
      const [type = '', , options = ''] = filesystem.split(' ');
      if (type !== 'cgroup' && type !== 'cgroup2') return [];
      return [{ group, directory, isUnified: type === 'cgroup2', options: options.split(',') }];
    });
}

/** The directories of a group and of those above it, as far as they are mounted. */
function visibleGroups(mounts: readonly CgroupMount[], controllers: readonly string[], path: string): string[] {
  // The controllers of one hierarchy are mounted together.
  const [controller] = controllers;
  const candidates = mounts.filter((mount) =>
    controller === undefined ? mount.isUnified : !mount.isUnified && mount.options.includes(controller),
  );
  const enclosing = candidates.filter(({ group }) => isWithin(path, group));
  // The mount that shows most of the groups above this one.
  const [highest] = enclosing.sort((one, other) => one.group.length - other.group.length);
  // A container may see a group only by another path, so the mounted one is the best that is known.
  if (!highest) return candidates.slice(0, 1).map(({ directory }) => directory);
  const steps = path.slice(highest.group.length).split('/').filter(Boolean);
  return [...steps.keys(), steps.length].map((count) => join(highest.directory, ...steps.slice(0, count)));
}

/** In a cgroup namespace a process that was moved out of it has a path with `..`. */
function isWithin(path: string, group: string): boolean {
  if (path.split('/').includes('..')) return false;
  return group === '/' || path === group || path.startsWith(`${group}/`);
}

/** `50000 100000`, or `max 100000`. */
function unifiedQuota(text: string): number {
  const [quota = '', period = ''] = text.trim().split(' ');
  return quotaOf(quota, period);
}

/** -1 is no quota. */
function quotaOf(quota: string, period: string): number {
  const cpus = Number.parseInt(quota, 10) / Number.parseInt(period, 10);
  return cpus > 0 ? cpus : Number.POSITIVE_INFINITY;
}

/** Version 2 writes `max` for no limit, version 1 the largest number of whole pages. */
const NO_LIMIT = 2 ** 62;

function limitOf(text: string): number {
  const bytes = Number.parseInt(text, 10);
  return bytes > 0 && bytes < NO_LIMIT ? bytes : Number.POSITIVE_INFINITY;
}

function smallest(limits: readonly number[]): number | undefined {
  const least = Math.min(...limits);
  return Number.isFinite(least) ? least : undefined;
}

/** mountinfo writes spaces and backslashes of a path in octal. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_escape, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

/** Empty if there is no such file: the highest group has no limits, and macOS has no groups. */
function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
