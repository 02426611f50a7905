/** All live workers of a pool, in a slot or not: spare, starting, serving and draining ones. Adds up what they and their predecessors have counted. */
import { addCounts, type Counts, NO_COUNTS } from '../../../metrics/counts.ts';
import type { ProcessReport, WorkerStatus } from '../../../metrics/server-status.ts';
import { isDoneWithin } from '../../../timer.ts';
import { enterDirectory, inCurrentRelease, workingDirectory } from '../../../working-directory.ts';
import { type Exit, overdueText } from '../../ipc/child-exit.ts';
import type { PassedConnection } from '../../ipc/connection-handover.ts';
import { REPORT_MODULES } from '../../ipc/messages.ts';
import type { WorkerTitles } from '../../program/title.ts';
import { ConnectionTable } from '../../worker/connection-table.ts';
import type { Spares } from '../spares.ts';
import type { PoolOptions, WorkerSettings } from '../supervisor-options.ts';
import { WorkerHandle } from '../worker-handle.ts';

/** How long to wait for a worker's report before its last one is used. */
const REPORT_LIMIT_MS = 1000;
/** Seconds to wait until a replaced worker has stopped accepting. */
const RETIRE_LIMIT_S = 2;

/** What they need of their pool. */
export interface PoolOfWorkers<Boot> {
  readonly options: PoolOptions<Boot>;
  /** For a worker that starts now. */
  readonly settings: () => WorkerSettings<Boot>;
  readonly spares: Spares<Boot>;
  readonly titles: WorkerTitles<WorkerHandle<Boot>>;
  /** Gets a connection that a worker hands over. */
  readonly onConnection: (connection: PassedConnection) => void;
  readonly onExit: (worker: WorkerHandle<Boot>, exit: Exit) => void;
}

export class LiveWorkers<Boot> {
  readonly #pool: PoolOfWorkers<Boot>;
  readonly #table = ConnectionTable.open();
  readonly #workers = new Set<WorkerHandle<Boot>>();
  /** What workers that have ended had counted. */
  #endedCounts: Counts = NO_COUNTS;
  #pendingStatus: Promise<WorkerStatus[]> | undefined;
  #lastId = 0;

  constructor(pool: PoolOfWorkers<Boot>) {
    this.#pool = pool;
  }

  /** Starts a process. `listens`: whether it can make the sockets listen. */
  spawn({ listens = false } = {}): WorkerHandle<Boot> {
    enterDirectory(workingDirectory());
    const { options, spares, onConnection, onExit } = this.#pool;
    const { entry, execArgv, output, reload, onReplace } = options;
    const { onWatch, onConfiguration, onPatterns, onAsk, onReport } = options;
    const { sockets, env, spareWorkers } = this.#pool.settings();
    const slot = this.#table?.reserve();
    const worker: WorkerHandle<Boot> = new WorkerHandle<Boot>({
      id: ++this.#lastId,
      entry: inCurrentRelease(entry),
      sockets,
      listens,
      place: this.#table && slot !== undefined ? { fd: this.#table.fd, slot } : undefined,
      env: reload || spareWorkers > 0 ? { ...env, ...REPORT_MODULES } : env,
      execArgv,
      output: output(),
      onWatch,
      onConfiguration,
      onPatterns,
      onPreload: (report) => spares.report(worker, report),
      onEarlyModules: (modules) => spares.noteModules(worker, modules),
      onOpening: () => spares.mayServe(worker),
      onPage: () => spares.notePage(),
      onReplace: (reason, kind) => onReplace(worker, reason, kind),
      onAsk,
      onReport,
      onConnection,
      // In development the limit is short, and not that of the section.
      onOverdue: (seconds) => reload || options.log.warn(overdueText(`worker ${worker.pid}`, seconds)),
    });
    this.#workers.add(worker);
    void worker.exited.then((exit) => {
      this.#workers.delete(worker);
      if (worker.report) this.#endedCounts = addCounts(this.#endedCounts, worker.report.counts);
      this.#table?.release(slot);
      onExit(worker, exit);
    });
    return worker;
  }

  /** Resolves when the worker accepts no more connections; it finishes its requests by itself. */
  async retire(worker: WorkerHandle<Boot>): Promise<void> {
    const { titles, settings } = this.#pool;
    titles.name(worker, 'draining worker');
    void worker.stop({ graceful: true, timeout: settings().drain, handOver: true });
    await isDoneWithin(RETIRE_LIMIT_S, () => worker.drained);
  }

  /** The workers with their current reports; a blocked one with its last report. */
  status(): Promise<WorkerStatus[]> {
    this.#pendingStatus ??= this.#collectStatus().finally(() => {
      this.#pendingStatus = undefined;
    });
    return this.#pendingStatus;
  }

  async #collectStatus(): Promise<WorkerStatus[]> {
    const since = performance.now();
    await Promise.all([...this.#workers].map((worker) => worker.requestReport(REPORT_LIMIT_MS)));
    return [...this.#workers].map((worker) => worker.status(since));
  }

  /** What all workers so far have counted and reported. No total ever decreases. */
  totals(): Counts {
    return this.reports().reduce((sum, { counts }) => addCounts(sum, counts), this.#endedCounts);
  }

  /** Their last reports. */
  reports(): ProcessReport[] {
    return [...this.#workers].flatMap(({ report }) => report ?? []);
  }

  reopenLogs(): void {
    for (const worker of this.#workers) worker.reopenLogs();
  }

  /** How many connections a worker holds, including those in transit to it. */
  connections(worker: WorkerHandle<Boot>): number {
    const counted = this.#table && worker.tableSlot !== undefined ? this.#table.connections(worker.tableSlot) : 0;
    return counted + worker.connectionsInTransit;
  }

  async stop(how: Parameters<WorkerHandle<Boot>['stop']>[0]): Promise<void> {
    await Promise.all([...this.#workers].map((worker) => worker.stop(how)));
  }

  /** To be called when none of them will start any more. */
  close(): void {
    this.#table?.close();
  }
}
