/** How a memory limit is divided among the workers, with the sizes of real processes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { silentLogger } from '../../src/log.ts';
import { processMemory } from '../../src/machine/capacity.ts';
import { MemoryBudget, NO_OTHERS, type OtherProcesses } from '../../src/process/supervisor/memory-budget.ts';
import type { WorkerHandle } from '../../src/process/supervisor/worker-handle.ts';
import { whenOver } from '../helpers/lifetime.ts';

const MIB = 1024 * 1024;

/** A process of Node that holds this much memory. */
async function holding(mebibytes: number): Promise<number> {
  const code = `globalThis.held = Buffer.alloc(${mebibytes} * 1024 * 1024, 1); console.log('held'); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  whenOver(() => void child.kill());
  await once(child.stdout, 'data');
  return child.pid ?? 0;
}

/** How many workers of the size of a process fit into a gigabyte beside this one and others. */
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

test('background processes leave less room for workers, before they start too', async () => {
  const worker = await holding(50);
  const alone = fitting(worker, NO_OTHERS) ?? 0;
  expect(alone).toBeGreaterThan(3);
  const large = await holding(500);
  expect(fitting(worker, { pids: [large], toStart: 0 })).toBeLessThanOrEqual(alone - 3);
  expect(fitting(worker, { pids: [], toStart: 4 })).toBeLessThan(alone);
});
