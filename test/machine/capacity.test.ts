/** Limits of control groups, read from trees like those of Docker, Kubernetes and systemd. */
import { describe, expect, test } from 'vitest';
import { cpuCapacity, memoryLimit, processMemory, workersFor } from '../../src/machine/capacity.ts';
import { temporaryDirectory, writeFiles } from '../helpers/directory.ts';

const MIB = 1024 * 1024;
const UNIFIED = '30 23 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup rw';
const CPU = '33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct';
const MEMORY = '35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory';

/** A machine with eight processors. @param groups the files below /sys/fs/cgroup */
function machine(
  ownGroups: string,
  mounts: readonly string[],
  groups: Readonly<Record<string, string>>,
  allowed = '0-7',
): string {
  const root = temporaryDirectory();
  const files = Object.entries(groups).map(([name, text]) => [`sys/fs/cgroup/${name}`, `${text}\n`]);
  writeFiles(root, {
    'sys/devices/system/cpu/online': '0-7\n',
    'proc/self/status': `Name:\tnode\nCpus_allowed_list:\t${allowed}\n`,
    'proc/self/cgroup': `${ownGroups}\n`,
    'proc/self/mountinfo': `23 1 8:1 / / rw - ext4 /dev/sda rw\n${mounts.join('\n')}\n`,
    ...Object.fromEntries(files),
  });
  return root;
}

/** Quotas per 100 ms in microseconds, from the outermost group to the process's own; -1 means none. */
const nested = (quotas: readonly number[], filesOf: (quota: number) => Readonly<Record<string, string>>) => {
  const files = quotas.flatMap((quota, index) =>
    Object.entries(filesOf(quota)).map(([name, text]) => [`${'group/'.repeat(index + 1)}${name}`, text]),
  );
  return { path: `/${'group/'.repeat(quotas.length).slice(0, -1)}`, files };
};

const unified = (...quotas: number[]): string => {
  const { path, files } = nested(quotas, (quota) => ({ 'cpu.max': `${quota === -1 ? 'max' : quota} 100000` }));
  return machine(`0::${path}`, [UNIFIED], Object.fromEntries(files));
};

const separate = (...quotas: number[]): string => {
  const { path, files } = nested(quotas, (quota) => ({
    'cpu.cfs_quota_us': String(quota),
    'cpu.cfs_period_us': '100000',
  }));
  const placed = files.map(([name, text]) => [`cpu,cpuacct/${name}`, text]);
  return machine(`4:memory:/\n3:cpu,cpuacct:${path}\n1:name=systemd:/`, [CPU, MEMORY], Object.fromEntries(placed));
};

describe('processors', () => {
  describe.each([
    ['version 1', separate],
    ['version 2', unified],
  ])('%s', (_version, quotas) => {
    test.each([
      ['half of a processor', [50_000], '0.5 CPUs by cgroup quota', 1],
      ['one', [100_000], '1 CPU by cgroup quota', 1],
      ['one and a half', [150_000], '1.5 CPUs by cgroup quota', 2],
      ['four', [400_000], '4 CPUs by cgroup quota', 4],
      ['no quota', [-1], '8 CPUs', 8],
      ['a quota of more processors than there are', [1_600_000], '8 CPUs', 8],
      ['the smallest quota of all outer groups', [300_000, 150_000, -1], '1.5 CPUs by cgroup quota', 2],
      ['its own quota, if that is the smallest', [-1, 400_000, 50_000], '0.5 CPUs by cgroup quota', 1],
    ])('%s', (_what, groups, reason, workers) => {
      const capacity = cpuCapacity(quotas(...groups));
      expect(capacity.reason).toBe(reason);
      expect(workersFor(capacity.cpus)).toBe(workers);
    });
  });

  test('a container sees its own group as the root of the mount, under the path of the host', () => {
    const groups = { 'cpu.cfs_quota_us': '150000', 'cpu.cfs_period_us': '100000' };
    const files = Object.fromEntries(Object.entries(groups).map(([name, text]) => [`cpu/${name}`, text]));
    const mount = '33 31 0:30 /docker/1f3a /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu';
    expect(cpuCapacity(machine('3:cpu:/docker/1f3a', [mount], files)).cpus).toBe(1.5);
    // The same process, moved into a group that is not mounted.
    expect(cpuCapacity(machine('3:cpu:/docker/other', [mount], files)).cpus).toBe(1.5);
  });

  test.each([
    ['in a cgroup namespace the path is /', '0::/'],
    ['a process may have been moved out of its namespace', '0::/../other'],
  ])('%s', (_what, own) => {
    expect(cpuCapacity(machine(own, [UNIFIED], { 'cpu.max': '50000 100000' })).cpus).toBe(0.5);
  });

  test('both versions may be mounted on one machine', () => {
    const mount = '41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw';
    const files = { 'cpu,cpuacct/a/cpu.cfs_quota_us': '200000', 'cpu,cpuacct/a/cpu.cfs_period_us': '100000' };
    expect(cpuCapacity(machine('3:cpu,cpuacct:/a\n0::/a', [CPU, mount], files)).cpus).toBe(2);
  });

  test('a path may have spaces', () => {
    const mount = '30 23 0:27 / /sys/fs/cgroup/a\\040b rw - cgroup2 cgroup rw';
    expect(cpuCapacity(machine('0::/c d', [mount], { 'a b/c d/cpu.max': '50000 100000' })).cpus).toBe(0.5);
  });

  test('a cpuset counts, and the smaller of it and the quota', () => {
    const root = (quota: string): string => machine('0::/', [UNIFIED], { 'cpu.max': quota }, '0-1,7');
    expect(cpuCapacity(root('max 100000'))).toEqual({
      cpus: 3,
      reason: '3 CPUs by cpuset or affinity',
      isLimited: true,
    });
    expect(cpuCapacity(root('200000 100000')).cpus).toBe(2);
    expect(cpuCapacity(root('400000 100000')).cpus).toBe(3);
  });

  test('a system without these files has no limits', () => {
    expect(cpuCapacity(temporaryDirectory()).cpus).toBeGreaterThanOrEqual(1);
    expect(memoryLimit(temporaryDirectory())).toBeUndefined();
  });
});

describe('memory', () => {
  test.each([
    ['version 2', { 'memory.max': String(512 * MIB), 'memory.high': 'max' }, '512 MiB by cgroup limit'],
    [
      'version 2, throttled before',
      { 'memory.max': 'max', 'memory.high': String(300 * MIB) },
      '300 MiB by cgroup limit',
    ],
    ['no limit', { 'memory.max': 'max' }, undefined],
    [
      'the limit of an outer group',
      { 'memory.max': String(256 * MIB), 'a/memory.max': 'max' },
      '256 MiB by cgroup limit',
    ],
  ])('%s', (_what, groups, reason) => {
    expect(memoryLimit(machine('0::/a', [UNIFIED], groups))?.reason).toBe(reason);
  });

  test.each([
    ['version 1', String(512 * MIB), 512 * MIB],
    ['no limit', '9223372036854771712', undefined],
  ])('%s, in its own hierarchy', (_what, limit, bytes) => {
    const root = machine('4:memory:/a\n3:cpu,cpuacct:/b', [CPU, MEMORY], { 'memory/a/memory.limit_in_bytes': limit });
    expect(memoryLimit(root)?.bytes).toBe(bytes);
  });

  test.runIf(process.platform === 'linux')('this process has private and shared memory', () => {
    const memory = processMemory(process.pid);
    expect(memory?.own).toBeGreaterThan(MIB);
    expect(memory?.resident).toBeGreaterThan(memory?.own ?? 0);
    // No process has a PID above 2 ** 22 (proc(5), pid_max).
    expect(processMemory(2 ** 22 + 1)).toBeUndefined();
  });
});
