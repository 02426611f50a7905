/**
 * Divides a memory limit, which applies to all processes of a container together, among the workers: how many of them fit, and how
 * large each may grow before it is replaced. Without this the kernel kills the largest process in the middle of its requests. The
 * size of a worker is measured when the first one serves.
 */
import type { Logger } from '../../log.ts';
import { type MemoryLimit, type ProcessMemory, processMemory } from '../../machine/capacity.ts';
import type { WorkerHandle } from './worker-handle.ts';

const MIB = 1024 * 1024;
/** The part of the limit that is planned for. The rest is for the kernel's buffers, and for what grows between two checks. */
const USABLE = 0.9;
/**
 * How much memory is planned for each worker, as a multiple of the size of a worker that has just started. Requests take memory,
 * and so does the successor of a worker at a reload.
 */
const ROOM = 2;
/** The smallest limit for one worker, as a multiple of that size. A smaller one would replace workers that have just started. */
const MIN_GROWTH = 1.5;
const CHECK_MS = 2000;
/** A worker that is too large is replaced again after this time: its successor may have failed to start. */
const REPLACE_AGAIN_MS = 10_000;

/** What a budget needs of the supervisor. */
export interface BudgetOwner<Boot> {
  readonly workers: () => readonly WorkerHandle<Boot>[];
  /** How many processes wait beside the workers. */
  readonly spares: () => number;
  /** The background processes, to which the limit applies too. */
  readonly others: () => OtherProcesses;
  readonly replace: (worker: WorkerHandle<Boot>, reason: string) => void;
  readonly log: Logger;
}

/** Processes beside the workers and the supervisor. */
export interface OtherProcesses {
  readonly pids: readonly number[];
  /** How many have yet to start. Each counts as a worker that has just started. */
  readonly toStart: number;
}

export const NO_OTHERS: OtherProcesses = { pids: [], toStart: 0 };

export class MemoryBudget<Boot> {
  readonly #owner: BudgetOwner<Boot>;
  readonly #asked = new WeakMap<WorkerHandle<Boot>, number>();
  /** The size of a worker that has just started. */
  #newWorker: ProcessMemory | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(owner: BudgetOwner<Boot>) {
    this.#owner = owner;
  }

  /** Measures the first worker, which must have started recently. */
  measure(): void {
    const [worker] = this.#owner.workers();
    this.#newWorker = worker?.pid === undefined ? undefined : processMemory(worker.pid);
  }

  /** How many workers fit, and why not more. Undefined: nothing is measured. */
  fitting({ bytes, reason }: MemoryLimit): { readonly count: number; readonly reason: string } | undefined {
    const newWorker = this.#newWorker;
    if (!newWorker) return undefined;
    const count = Math.max(1, Math.floor(this.#usable(bytes, newWorker) / (ROOM * newWorker.own)));
    return { count, reason: `${reason}, a new worker uses ${mebibytes(newWorker.resident)} MiB` };
  }

  /** Replaces workers that grow beyond their share of a limit; undefined: none. */
  watch(limit: MemoryLimit | undefined): void {
    this.stop();
    if (!limit) return;
    this.#report(limit);
    this.#timer = setInterval(() => this.#check(limit), CHECK_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /**
   * How much memory a worker may use. A worker that uses more ends after its successor has started, so one worker more than `count`
   * must fit. Undefined: even workers that have just started would not fit.
   */
  #share({ bytes }: MemoryLimit, count: number): number | undefined {
    const newWorker = this.#newWorker;
    if (!newWorker || count === 0) return undefined;
    const own = (this.#usable(bytes, newWorker) - newWorker.own) / count;
    return own < MIN_GROWTH * newWorker.own ? undefined : own + sharedMemory(newWorker);
  }

  /** How much of the limit is left for the workers' own memory. */
  #usable(bytes: number, newWorker: ProcessMemory): number {
    const { pids, toStart } = this.#owner.others();
    const own = sum([process.pid, ...pids].map((pid) => processMemory(pid)?.own ?? 0));
    return bytes * USABLE - own - sharedMemory(newWorker) - (this.#owner.spares() + toStart) * newWorker.own;
  }

  #report(limit: MemoryLimit): void {
    const { workers, log } = this.#owner;
    const count = workers().length;
    const share = this.#share(limit, count);
    if (share !== undefined) log.debug(`max_memory is ${mebibytes(share)} (${limit.reason})`);
    else if (this.#newWorker && count > 0) {
      const size = mebibytes(this.#newWorker.resident);
      log.warn(
        `${workersText(count)} of ${size} MiB barely fit into memory: ${limit.reason}; raise the limit, or lower workers`,
      );
    }
  }

  #check(limit: MemoryLimit): void {
    const workers = this.#owner.workers();
    const share = this.#share(limit, workers.length);
    if (share === undefined) return;
    for (const worker of workers) {
      const memory = worker.pid === undefined ? undefined : processMemory(worker.pid);
      if (worker.state !== 'ready' || !memory || memory.resident <= share) continue;
      const now = performance.now();
      if (now - (this.#asked.get(worker) ?? Number.NEGATIVE_INFINITY) < REPLACE_AGAIN_MS) continue;
      this.#asked.set(worker, now);
      this.#owner.replace(worker, `uses ${mebibytes(memory.resident)} MiB of memory, its share of ${limit.reason}`);
    }
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function sharedMemory({ resident, own }: ProcessMemory): number {
  return resident - own;
}

/** `1 worker`, `2 workers`. */
export function workersText(count: number): string {
  return count === 1 ? '1 worker' : `${count} workers`;
}

function mebibytes(bytes: number): number {
  return Math.round(bytes / MIB);
}
