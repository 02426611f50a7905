/**
 * How many workers there are: what the configuration sets, as far as the memory limit allows it, or a number that follows the
 * load in between.
 */
import type { Logger } from '../../../log.ts';
import type { ScalingStatus } from '../../../metrics/server-status.ts';
import { MemoryBudget, NO_OTHERS, type OtherProcesses, workersText } from '../memory-budget.ts';
import type { Pool } from '../pool.ts';
import { type SupervisorSettings, workersAtFirst, workersAtOnce } from '../supervisor-options.ts';
import type { WorkerHandle } from '../worker-handle.ts';
import { WorkerScaler } from './worker-scaler.ts';

/** What the count needs of the supervisor. */
export interface CountOwner<Boot> {
  readonly pool: Pool<Boot>;
  readonly current: () => SupervisorSettings<Boot>;
  readonly otherProcesses: (() => OtherProcesses) | undefined;
  /** Replaces a worker that has grown too large. */
  readonly replace: (worker: WorkerHandle<Boot>, reason: string) => void;
  /** Runs an action when no other one that starts workers is running; never if the supervisor is stopping. */
  readonly inTurn: (action: () => Promise<void>) => Promise<void>;
  readonly log: Logger;
}

/** How many workers a new version gets. */
export interface NextCount {
  readonly count: number;
  /** The most that there may be later. */
  readonly maximum: number;
  /** Why it is this number, if it may have changed. */
  readonly reason: string | undefined;
}

export class WorkerCount<Boot> {
  readonly #pool: Pool<Boot>;
  readonly #log: Logger;
  readonly #memory: MemoryBudget<Boot>;
  readonly #scaler: WorkerScaler<Boot>;

  constructor({ pool, current, otherProcesses = () => NO_OTHERS, replace, inTurn, log }: CountOwner<Boot>) {
    this.#pool = pool;
    this.#log = log;
    this.#scaler = new WorkerScaler<Boot>({ pool, log, inTurn });
    this.#memory = new MemoryBudget<Boot>({
      workers: () => pool.workers,
      spares: () => current().spareWorkers ?? 0,
      others: otherProcesses,
      replace,
      log,
    });
  }

  /** Starts the first workers. @throws as `Pool.fill` */
  async fill(settings: SupervisorSettings<Boot>): Promise<void> {
    const { workers, automatic, scaling } = settings;
    const before = workersAtOnce(settings);
    await this.#pool.fill(before);
    this.#memory.measure();
    const { count, reason } = this.#affordable(settings);
    const atFirst = workersAtFirst(settings, count);
    if (atFirst > before) await this.#pool.fill(atFirst - before);
    this.scale(settings, count);
    if (!automatic) return;
    const most = `${scaling ? 'at most ' : ''}${workersText(count)}: ${reason}`;
    this.#log[automatic.isLimited || count < workers ? 'info' : 'debug'](most);
  }

  /** How many workers a new version gets. */
  next(before: SupervisorSettings<Boot>, next: SupervisorSettings<Boot>): NextCount {
    const { size } = this.#pool;
    const { count: maximum, reason } = this.#affordable(next);
    if (next.scaling) {
      const count = Math.min(maximum, Math.max(size, workersAtFirst(next, maximum)));
      return { count, maximum, reason: count === size ? undefined : 'reloaded' };
    }
    // The number that TTIN and TTOU have set holds until the configuration changes its own.
    const isSame = next.workers === before.workers && next.memoryLimit?.bytes === before.memoryLimit?.bytes;
    const count = isSame && !before.scaling ? Math.max(1, size) : maximum;
    return { count, maximum, reason: isSame && !before.scaling ? undefined : reason };
  }

  /** The number of workers follows the load from now on, if the configuration says so. */
  scale({ scaling }: SupervisorSettings<Boot>, maximum: number): void {
    this.#scaler.configure(scaling && { ...scaling, minimum: Math.min(scaling.minimum, maximum), maximum });
  }

  /** The number of workers was set by hand, and no longer follows the load. */
  fix(): void {
    this.#scaler.fix();
  }

  /** Measures a worker that has started recently, for later decisions. */
  measure(): void {
    this.#memory.measure();
  }

  /** Replaces workers that grow beyond their share of the memory limit, unless `max_memory` limits each one. */
  watchMemory({ maxMemory, memoryLimit }: SupervisorSettings<Boot>): void {
    this.#memory.watch(maxMemory === undefined ? memoryLimit : undefined);
  }

  /** Starts and ends no more workers, and replaces none. */
  stop(): void {
    this.#memory.stop();
    this.#scaler.stop();
  }

  status(): ScalingStatus | undefined {
    return this.#scaler.status();
  }

  /** How many workers the configuration, the processors and the memory limit allow, and why not more. */
  #affordable({ workers, automatic, memoryLimit }: SupervisorSettings<Boot>): { count: number; reason: string } {
    const fitting = automatic && memoryLimit ? this.#memory.fitting(memoryLimit) : undefined;
    return fitting && fitting.count < workers ? fitting : { count: workers, reason: automatic?.reason ?? '' };
  }
}
