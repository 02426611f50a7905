/**
 * A new version on trial: its first worker serves beside the workers of the old version, and is compared with them. It is
 * withdrawn if it fails or dies more often than they do in the same time, so an outage that both suffer from withdraws nothing.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { describeError, RunError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { type Counts, NO_COUNTS, requestsOf } from '../../metrics/counts.ts';
import { describeExit, type Exit } from '../ipc/child-exit.ts';
import type { WorkerHandle } from './worker-handle.ts';

export interface CanarySettings {
  readonly seconds: number;
  /** By how much its proportion of failed requests may exceed that of the old version: 0.02 for two percentage points. */
  readonly margin: number;
}

/** What some workers have responded. */
export interface Responses {
  readonly requests: number;
  readonly failed: number;
}

/** Fewer requests than this say nothing. */
const MIN_REQUESTS = 20;
const CODE = 'PASTER_CANARY';
/** In standard errors. Chance alone exceeds this in one of 200 comparisons. */
const BEYOND_CHANCE = 2.6;
/** How often the worker is looked at, at first and when it has had many requests. */
const LOOK_MS = 10;
const LATER_LOOK_MS = 100;
const MANY_REQUESTS = 500;
const REPORT_LIMIT_MS = 1000;

/**
 * Whether the canary's proportion of failed requests exceeds that of the old version by more than the margin and what chance
 * explains: a test of two proportions.
 */
export function failsMoreOften(canary: Responses, old: Responses, margin: number): boolean {
  if (canary.requests < MIN_REQUESTS) return false;
  const together = (canary.failed + old.failed) / (canary.requests + old.requests);
  const error = Math.sqrt(together * (1 - together) * (1 / canary.requests + 1 / Math.max(1, old.requests)));
  return partOf(canary) - partOf(old) - margin > BEYOND_CHANCE * error;
}

/** What a trial needs of the pool. */
export interface TrialOwner<Boot> {
  /** The workers of the old version. */
  readonly old: readonly WorkerHandle<Boot>[];
  /** Starts another worker of the new version. */
  readonly boot: () => Promise<WorkerHandle<Boot>>;
  /** Called when a worker of the new version has died. */
  readonly onDeath: (worker: WorkerHandle<Boot>, exit: Exit) => void;
  /** Whether the result is no longer needed. */
  readonly isOver: () => boolean;
  readonly log: Logger;
}

/**
 * Compares a worker with those of the old version. If it dies, and a worker of the old version does too, the next one is
 * compared.
 * @throws RunError if the version must be withdrawn, Error if the result is no longer needed
 */
export async function tryCanary<Boot>(
  first: WorkerHandle<Boot>,
  { seconds, margin }: CanarySettings,
  { old, boot, onDeath, isOver, log }: TrialOwner<Boot>,
): Promise<void> {
  // There is nothing to compare it with, and nothing that could go on.
  if (old.length === 0) return;
  log.info(`worker ${first.pid} of the new version serves beside the old one for ${seconds} s`);
  const end = performance.now() + seconds * 1000;
  const before = new Map<WorkerHandle<Boot>, Counts>();
  await reportsOf(old);
  for (const worker of old) before.set(worker, worker.report?.counts ?? NO_COUNTS);
  const ended: WorkerHandle<Boot>[] = [];
  let worker = first;
  const canaryResponses = (): Responses => sumOf([...ended, worker], before);
  while (performance.now() < end && !isOver()) {
    const isMuch = canaryResponses().requests > MANY_REQUESTS;
    await sleep(Math.min(isMuch ? LATER_LOOK_MS : LOOK_MS, end - performance.now()));
    if (worker.state === 'exited') {
      const exit = await worker.exited;
      onDeath(worker, exit);
      ended.push(worker);
      const deaths = old.filter(({ state }) => state === 'exited').length;
      if (ended.length > deaths) throw withdrawn(deathText(worker, exit));
      worker = await boot();
    }
    // If the old version has no worker left, it cannot go on.
    if (old.every(({ state }) => state === 'exited')) break;
    await reportsOf([worker]);
    // The others are asked only if it depends on them.
    if (partOf(canaryResponses()) <= margin) continue;
    await reportsOf(old);
    const [canary, others] = [canaryResponses(), sumOf(old, before)];
    if (failsMoreOften(canary, others, margin)) throw withdrawn(failureText(canary, others));
  }
  if (isOver()) throw new Error('interrupted');
  log.info(`of the new version ${responsesText(canaryResponses())}; the other workers follow`);
}

async function reportsOf<Boot>(workers: readonly WorkerHandle<Boot>[]): Promise<void> {
  await Promise.all(workers.map((worker) => worker.requestReport(REPORT_LIMIT_MS)));
}

function sumOf<Boot>(
  workers: readonly WorkerHandle<Boot>[],
  before: ReadonlyMap<WorkerHandle<Boot>, Counts>,
): Responses {
  const sum = { requests: 0, failed: 0 };
  for (const worker of workers) {
    const { counts = NO_COUNTS } = worker.report ?? {};
    const earlier = before.get(worker) ?? NO_COUNTS;
    sum.requests += requestsOf(counts) - requestsOf(earlier);
    sum.failed += counts.failed - earlier.failed;
  }
  return sum;
}

function partOf({ requests, failed }: Responses): number {
  return requests === 0 ? 0 : failed / requests;
}

function responsesText(responses: Responses): string {
  const { requests, failed } = responses;
  return `${failed} of ${requests === 1 ? '1 request' : `${requests} requests`} failed (${(partOf(responses) * 100).toFixed(1)} %)`;
}

function failureText(canary: Responses, old: Responses): string {
  return `${responsesText(canary)}, and with the old version ${responsesText(old)} in the same time`;
}

function deathText<Boot>(worker: WorkerHandle<Boot>, exit: Exit): string {
  const cause = worker.failure ? `: ${describeError(worker.failure)}` : '';
  return `its worker ${worker.pid} ended ${describeExit(exit)}${cause}`;
}

function withdrawn(reason: string): RunError {
  return new RunError(CODE, `the new version is withdrawn, the old one keeps running: ${reason}`);
}

/** Whether an error says why a version was withdrawn, and not why it did not start. */
export function isWithdrawal(error: unknown): boolean {
  return error instanceof RunError && error.code === CODE;
}
