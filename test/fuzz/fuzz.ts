/** Runs cases against targets, several at a time, and reports failures so that they can be repeated. */
import { setTimeout as sleep } from 'node:timers/promises';
import { heapUsed } from '../helpers/heap.ts';
import { Random } from './random.ts';
import { must, type StartedTarget, type Target } from './target.ts';
import { codec } from './targets/codec.ts';
import { environ } from './targets/environ.ts';
import { fastcgi } from './targets/fastcgi.ts';
import { files } from './targets/files.ts';
import { paths } from './targets/paths.ts';
import { scgi } from './targets/scgi.ts';
import { swaps } from './targets/swaps.ts';

export const TARGETS: readonly Target[] = [
  codec,
  environ,
  fastcgi,
  scgi,
  paths,
  // Only root is at risk.
  ...(process.getuid?.() === 0 ? [files, swaps] : []),
];

export interface FuzzOptions {
  /** The seed of the first case; each further case adds one. */
  readonly seed: number;
  /** Number of cases for a target. Default: unlimited. */
  readonly count?: number;
  /** Seconds for a target. Default: unlimited. */
  readonly seconds?: number;
}

/** Number of concurrent cases, so that a target can mix them up. */
const CONCURRENCY = 8;
/** Longer than anything that a case waits for. */
const HANG_MS = 60_000;
/** Memory that caches and the compiler may keep; a leak of a few hundred bytes per case exceeds it after enough cases. */
const HEAP_ALLOWANCE = 16 * 1024 * 1024;
const LONGEST_DUMP = 4096;

/** @returns The number of cases. @throws Error with seed and bytes for the first one that failed. */
export async function fuzz(
  target: Target,
  { seed, count = Infinity, seconds = Infinity }: FuzzOptions,
): Promise<number> {
  const resources = activeResources();
  const started = await target.start();
  const until = Date.now() + seconds * 1000;
  let next = 0;
  let heap: number | undefined;
  while (next < count && Date.now() < until) {
    const batch = Math.min(CONCURRENCY, count - next);
    await Promise.all(Array.from({ length: batch }, (_, i) => oneCase(target, started, seed + next + i)));
    next += batch;
    // Some objects are freed only between two turns of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
    // By now everything has been compiled and cached once.
    if (next >= 100) heap ??= heapUsed();
  }
  await started.stop();
  if (heap !== undefined) {
    const grown = heapUsed() - heap;
    must(
      grown < HEAP_ALLOWANCE,
      `${target.name}: the heap has grown by ${grown} bytes in ${next} cases from seed ${seed}`,
    );
  }
  await allClosed(target, resources);
  return next;
}

async function oneCase(target: Target, started: StartedTarget, seed: number): Promise<void> {
  const trace: Buffer[] = [];
  let timer: NodeJS.Timeout | undefined;
  const hang = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('it hangs')), HANG_MS);
  });
  try {
    await Promise.race([started.run(new Random(seed), trace), hang]);
  } catch (cause) {
    const bytes = Buffer.concat(trace);
    const more = bytes.length > LONGEST_DUMP ? `... (${bytes.length} bytes)` : '';
    const what = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    throw new Error(
      `${target.name}, seed ${seed}: ${what}\nrepeat: npm run fuzz -- --only ${target.name} --seed ${seed} --count 1\n` +
        `bytes: ${bytes.subarray(0, LONGEST_DUMP).toString('hex')}${more}`,
      { cause },
    );
  } finally {
    clearTimeout(timer);
  }
}

function activeResources(): number {
  return process.getActiveResourcesInfo().filter((name) => /^(Pipe|TCP)/.test(name)).length;
}

async function allClosed(target: Target, before: number): Promise<void> {
  const until = Date.now() + 10_000;
  while (activeResources() > before) {
    must(Date.now() < until, `${target.name}: ${activeResources() - before} handles are still open`);
    await sleep(50);
  }
}
