/** The server as signals and `paster control` see it: the web workers and the background processes together. */
import { describeError, RunError } from '../../errors.ts';
import { NO_COUNTS } from '../../metrics/counts.ts';
import { NO_RELOADS, noRestarts, type ServerStatus } from '../../metrics/server-status.ts';
import { statusLines } from '../../metrics/status-lines.ts';
import type { Controllable, ControlRequest, SendPiece, UpgradeOutcome } from '../../process/ipc/control-socket.ts';
import type { Program } from '../../process/program/self-spawn.ts';
import type { SignalTarget } from '../../process/program/signals.ts';
import type { ReloadResult } from '../../process/supervisor/current-version.ts';
import type { Supervisor } from '../../process/supervisor/supervisor.ts';
import { SupervisorControl, unknownCommand } from '../../process/supervisor/supervisor-control.ts';
import { timerMs } from '../../timer.ts';
import type { WorkerPlan } from '../plan.ts';
import type { Service } from '../service.ts';
import type { Upgrade } from '../upgrade/upgrade.ts';
import type { BackgroundProcesses } from './background-processes.ts';

/**
 * How long a reload in progress may take while a newer one waits for it. The time doubles with each reload in a row that is
 * given up: a version that hangs must not keep a better one from being loaded, and frequent reloads must not keep each other
 * from finishing.
 */
const PATIENCE_S = 1;

/** Passes signals to the supervisors, and tells systemd what they do. */
export class SupervisedService implements SignalTarget, Controllable {
  readonly finished: Promise<void>;
  readonly #web: Supervisor<WorkerPlan> | undefined;
  readonly #webControl: Controllable | undefined;
  readonly #processes: BackgroundProcesses;
  readonly #upgrade: Upgrade;
  readonly #service: Service;
  readonly #onReloaded: () => Promise<void>;
  readonly #started = Date.now();
  #reloading: Promise<ReloadResult> | undefined;
  /** The reload that follows `#reloading`. */
  #next: Promise<ReloadResult> | undefined;
  /** Gives up the reload in progress for the one that follows. */
  #giveUp = (): void => {};
  /** How many reloads in a row were given up. */
  #givenUp = 0;
  /** Resolves when what the last reload has changed in this process is done. */
  #settled: Promise<void> = Promise.resolve();
  isStopping = false;

  /** @param web undefined: only background processes run */
  constructor(
    web: Supervisor<WorkerPlan> | undefined,
    processes: BackgroundProcesses,
    upgrade: Upgrade,
    service: Service,
    onReloaded: () => Promise<void>,
  ) {
    this.#web = web;
    this.#processes = processes;
    this.#upgrade = upgrade;
    this.#service = service;
    this.#onReloaded = onReloaded;
    this.finished = Promise.all([web?.finished, processes.finished]).then(() => {});
    this.#webControl = web && new SupervisorControl(web, this);
  }

  /**
   * Replaces the web workers and the processes. If one does not start, or a section has an error, all stay as they are. All
   * calls during a reload together cause one more reload after it, since the one in progress may have read files too early.
   */
  reload(reason: string): Promise<ReloadResult> {
    const pid = this.#upgrade.startingPid;
    if (pid !== undefined) this.#service.log.info(`${reason}: reloads when process ${pid} serves or has failed`);
    if (!this.#reloading) return this.#beginReload(reason);
    this.#next ??= this.#reloadAfter(this.#reloading, reason);
    return this.#next;
  }

  async #reloadAfter(current: Promise<ReloadResult>, reason: string): Promise<ReloadResult> {
    const limit = setTimeout(() => this.#giveUp(), timerMs(PATIENCE_S * 2 ** this.#givenUp));
    await current;
    clearTimeout(limit);
    this.#next = undefined;
    return this.#beginReload(reason);
  }

  #beginReload(reason: string): Promise<ReloadResult> {
    let isGivenUp = false;
    const giveUp = () => {
      isGivenUp = true;
      this.#processes.giveUpReload(this.#web);
    };
    this.#giveUp = giveUp;
    const reloading = this.#reloadAll(reason)
      .catch((error: unknown): ReloadResult => ({ ok: false, error }))
      .finally(() => {
        this.#givenUp = isGivenUp ? this.#givenUp + 1 : 0;
        if (!this.#next) this.#reloading = undefined;
      });
    this.#reloading = reloading;
    // The one that follows loads what this one should have.
    return reloading.then((result) => (isGivenUp && !result.ok && this.#next) || result);
  }

  #reloadAll(reason: string): Promise<ReloadResult> {
    return this.#service.reloading(async () => {
      await this.#settled;
      let isReplaced = false;
      const onReplaced = () => {
        isReplaced = true;
        this.#settled = this.#onReloaded();
        return this.#settled;
      };
      const result = (await this.#sectionError()) ?? (await this.#processes.reload(reason, this.#web, onReplaced));
      if (!isReplaced) this.#upgrade.reloadInstead();
      return result;
    });
  }

  /** An error in the section of a process or a task, before the web workers are replaced. */
  async #sectionError(): Promise<ReloadResult | undefined> {
    try {
      await this.#processes.check();
      return undefined;
    } catch (error) {
      this.#service.log.error(`not reloaded, the old version keeps running: ${describeError(error)}`);
      return { ok: false, error };
    }
  }

  upgrade(program?: Program): Promise<UpgradeOutcome> {
    return this.#upgrade.replace(program);
  }

  async addWorker(): Promise<unknown> {
    return this.#web?.changes.add();
  }

  async removeWorker(): Promise<void> {
    await this.#web?.changes.remove();
  }

  reopenLogs(): void {
    this.#web?.reopenLogs();
    this.#processes.reopenLogs();
  }

  async report(): Promise<void> {
    for (const line of statusLines(await this.status())) this.#service.log.info(line);
  }

  async stop(options: { graceful: boolean }): Promise<void> {
    this.isStopping = true;
    void this.#service.stopping();
    await Promise.all([this.#upgrade.abort(), this.#web?.stop(options), this.#processes.stop(options)]);
  }

  async status(): Promise<ServerStatus> {
    if (this.#web) return this.#web.status();
    return {
      pid: process.pid,
      started: this.#started,
      workers: [],
      totals: NO_COUNTS,
      restarts: noRestarts(),
      reloads: NO_RELOADS,
      events: [],
      ...(await this.#processes.status()),
    };
  }

  async control(request: ControlRequest, send: SendPiece, gone: AbortSignal): Promise<unknown> {
    switch (request.command) {
      case 'replace': {
        const replaced = await this.#processes.replaceWorker(request.pid, 'is replaced by paster control');
        if (replaced === undefined) break;
        if (replaced.ok) return { pid: replaced.pid, isProcess: true };
        throw new RunError('PASTER_WORKER', `process ${request.pid} keeps running: ${describeError(replaced.error)}`);
      }
      case 'inspect': {
        const worker = this.#processes.workers.find(({ pid }) => pid === request.pid);
        if (!worker) break;
        return worker.inspect(request.what, send, gone);
      }
      case 'stop':
        if (request.process === undefined) break;
        await this.#processes.stopSection(request.process);
        return {};
      case 'start':
        await this.#processes.startSection(request.process);
        return {};
      default:
    }
    if ((request.command === 'replace' || request.command === 'inspect') && !this.#isForWeb(request.pid)) {
      throw this.#noProcess(request.pid);
    }
    return this.#webControl ? this.#webControl.control(request, send, gone) : this.#controlWithoutWeb(request);
  }

  /** Whether the web server handles this PID: that of a worker, or any one if there are no other processes. */
  #isForWeb(pid: number): boolean {
    if (!this.#web) return false;
    return this.#processes.workers.length === 0 || this.#web.workers.some((each) => each.pid === pid);
  }

  #noProcess(pid: number): RunError {
    const workers = [...(this.#web?.workers ?? []), ...this.#processes.workers];
    return new RunError('PASTER_NO_WORKER', `process ${pid} is not a process of server ${process.pid}`, {
      hint: `processes: ${workers.map((each) => each.pid).join(', ')}`,
    });
  }

  async #controlWithoutWeb(request: ControlRequest): Promise<unknown> {
    switch (request.command) {
      case 'reload': {
        const begun = performance.now();
        const result = await this.reload('paster control');
        if (!result.ok) throw new RunError('PASTER_RELOAD', `not reloaded: ${describeError(result.error)}`);
        return { workers: this.#processes.workers.length, seconds: (performance.now() - begun) / 1000 };
      }
      case 'upgrade':
        return this.upgrade(request.program);
      case 'stop':
        void this.stop({ graceful: true });
        // The connection of the client ends with this process.
        return new Promise(() => {});
      case 'requests':
        return { status: await this.status(), blocked: [] };
      case 'workers':
        throw new RunError('PASTER_NO_WORKERS', `workers: server ${process.pid} has no web workers`, {
          hint: 'instances in the section of a process says how many run it',
        });
      default:
        throw unknownCommand(request);
    }
  }
}
