/** How a memory limit is divided among the workers, with the sizes of real processes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { silentLogger } from '../../../src/log.ts';
import { processMemory } from '../../../src/machine/capacity.ts';
import { MemoryBudget, NO_OTHERS, type OtherProcesses } from '../../../src/process/supervisor/memory-budget.ts';
import type { WorkerHandle } from '../../../src/process/supervisor/worker-handle.ts';
import { whenOver } from '../../helpers/programs/lifetime.ts';
import { Supervised } from './supervised.ts';

const MIB = 1024 * 1024;

const site = new Supervised();

/** A process of Node that uses this much memory. */
async function holding(mebibytes: number): Promise<number> {
  const code = `globalThis.held = Buffer.alloc(${mebibytes} * 1024 * 1024, 1); console.log('held'); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  whenOver(() => void child.kill());
  await once(child.stdout, 'data');
  return child.pid ?? 0;
}

/** How many workers as large as a process fit into a gigabyte next to this one and others. */
function fitting(pid: number, others: OtherProcesses): number | undefined {
  const budget = new MemoryBudget({
    workers: () => [{ pid } as WorkerHandle<unknown>],
    spares: () => 0,
    others: () => others,
    replace: () => {},
    log: silentLogger,
  });
  budget.measure();
  const own = processMemory(process.pid)?.own ?? 0;
  return budget.fitting({ bytes: 1024 * MIB + own / 0.9, reason: '1 GiB' })?.count;
}

test('background processes leave less memory for workers, even before they start', async () => {
  const worker = await holding(50);
  const alone = fitting(worker, NO_OTHERS) ?? 0;
  expect(alone).toBeGreaterThan(3);
  const large = await holding(500);
  expect(fitting(worker, { pids: [large], toStart: 0 })).toBeLessThanOrEqual(alone - 3);
  expect(fitting(worker, { pids: [], toStart: 4 })).toBeLessThan(alone);
});

describe('as many workers start as processors and memory allow', () => {
  const limit = (mebibytes: number) => ({ bytes: mebibytes * MIB, reason: `${mebibytes} MiB` });
  const automatic = { reason: '3 CPUs', isLimited: false };

  test.each([
    ['enough memory', 100_000, /^3 workers: 3 CPUs$/m, 3],
    [
      'hardly enough memory for one worker',
      1,
      /^1 worker: 1 MiB, a new worker uses \d+ MiB\n[\s\S]*^1 worker of \d+ MiB barely fit into memory/m,
      1,
    ],
  ])('with %s', async (_what, mebibytes, line, count) => {
    const port = await site.start({ workers: 3, automatic, memoryLimit: limit(mebibytes), startsBefore: true });
    await site.program?.logged(line);
    // No process has been started unnecessarily.
    if (process.platform === 'linux') expect(site.children()).toHaveLength(count);
    expect(await site.pids(port, count)).toHaveProperty('size', count);
    expect(site.log.match(/is ready$/gm)).toHaveLength(count);
    // A reload keeps the number.
    site.program?.signal('SIGHUP');
    await site.program?.logged(/^reloaded$/m);
    expect(site.log.match(/is ready$/gm)).toHaveLength(2 * count);
  });

  test('max_memory of the configuration takes precedence over the share of a limit', async () => {
    await site.start({ maxMemory: 100_000, memoryLimit: limit(1) });
    expect(site.log).not.toMatch(/barely fit into memory/);
  });
});
