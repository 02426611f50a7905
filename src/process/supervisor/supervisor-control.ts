/** What `paster control` can do to a server with workers. */
import { describeError, RunError } from '../../errors.ts';
import { MAX_WORKERS } from '../../machine/capacity.ts';
import type { ServerStatus } from '../../metrics/server-status.ts';
import type { Controllable, ControlRequest, SendPiece, UpgradeOutcome } from '../ipc/control-socket.ts';
import { sendLogs } from '../ipc/log-lines.ts';
import type { Program } from '../program/self-spawn.ts';
import type { MainThread } from '../worker/inspection.ts';
import type { ReloadResult } from './current-version.ts';
import type { Supervisor } from './supervisor.ts';
import type { WorkerHandle } from './worker-handle.ts';

/** How a command is carried out that concerns more than the workers. */
export interface ControlActions {
  reload(reason: string): Promise<ReloadResult>;
  stop(options: { graceful: boolean }): Promise<void>;
  upgrade(program: Program): Promise<UpgradeOutcome>;
}

/** What `reload` returns. */
export interface ReloadOutcome {
  readonly workers: number;
  readonly seconds: number;
}

/** What `requests` returns. */
export interface RequestsOutcome {
  readonly status: ServerStatus;
  readonly blocked: readonly BlockedWorker[];
}

/** A worker whose event loop is blocked. */
export interface BlockedWorker {
  readonly pid: number;
  /** Null: it waits for the system. Absent: `reason` says why it is not known. */
  readonly thread?: MainThread | null;
  readonly reason?: string;
}

export class SupervisorControl<Boot> implements Controllable {
  readonly #supervisor: Supervisor<Boot>;
  readonly #actions: ControlActions;

  constructor(supervisor: Supervisor<Boot>, actions: ControlActions) {
    this.#supervisor = supervisor;
    this.#actions = actions;
  }

  status(): ReturnType<Controllable['status']> {
    return this.#supervisor.status();
  }

  async control(request: ControlRequest, send: SendPiece, gone: AbortSignal): Promise<unknown> {
    switch (request.command) {
      case 'reload':
        return this.#reload();
      case 'workers':
        return { workers: await this.#setWorkers(request.count, request.isChange) };
      case 'replace':
        return { pid: await this.#replace(request.pid) };
      case 'requests':
        return this.#requests(gone);
      case 'inspect':
        return this.#worker(request.pid).inspect(request.what, send, gone);
      case 'logs':
        return sendLogs(request.level, send, gone);
      case 'upgrade':
        return this.#actions.upgrade(request.program);
      case 'stop':
        // The connection of the client ends with this process.
        void this.#actions.stop({ graceful: true });
        return new Promise(() => {});
      default:
        throw unknownCommand(request);
    }
  }

  async #reload(): Promise<ReloadOutcome> {
    const begun = performance.now();
    const result = await this.#actions.reload('paster control');
    if (!result.ok) throw new RunError('PASTER_RELOAD', `not reloaded: ${describeError(result.error)}`);
    return { workers: this.#supervisor.size, seconds: (performance.now() - begun) / 1000 };
  }

  async #setWorkers(count: number, isChange: boolean): Promise<number> {
    await this.#supervisor.changes.fixNumber();
    const wanted = Math.min(MAX_WORKERS, Math.max(1, isChange ? this.#supervisor.size + count : count));
    for (let missing = wanted - this.#supervisor.size; missing > 0; missing--) {
      const failure = await this.#supervisor.changes.add();
      if (failure)
        throw new RunError('PASTER_WORKER', `another worker does not start: ${describeError(failure.error)}`);
    }
    for (let more = this.#supervisor.size - wanted; more > 0; more--) await this.#supervisor.changes.remove();
    return this.#supervisor.size;
  }

  async #replace(pid: number): Promise<number | undefined> {
    const replaced = await this.#supervisor.changes.replace(pid, 'is replaced by paster control');
    if (replaced === undefined) throw this.#noWorker(pid);
    if (!replaced.ok) {
      throw new RunError('PASTER_WORKER', `worker ${pid} keeps running: ${describeError(replaced.error)}`);
    }
    return replaced.pid;
  }

  /** The status, and for each worker that does not respond, where its main thread is. */
  async #requests(gone: AbortSignal): Promise<RequestsOutcome> {
    const status = await this.#supervisor.status();
    // One that has been blocked since it began to serve has never reported.
    const silent = status.workers.flatMap(({ pid, silent, state, report }) =>
      silent !== undefined || (state === 'ready' && !report) ? (pid ?? []) : [],
    );
    const blocked = await Promise.all(
      silent.map(async (pid): Promise<BlockedWorker> => {
        try {
          const found = await this.#worker(pid).inspect({ method: 'stack' }, async () => {}, gone);
          return { pid, thread: found as MainThread | null };
        } catch (error) {
          return { pid, reason: describeError(error) };
        }
      }),
    );
    return { status, blocked };
  }

  #worker(pid: number): WorkerHandle<Boot> {
    const worker = this.#supervisor.workers.find((each) => each.pid === pid);
    if (!worker) throw this.#noWorker(pid);
    return worker;
  }

  #noWorker(pid: number): RunError {
    return new RunError('PASTER_NO_WORKER', `process ${pid} is not a worker of server ${process.pid}`, {
      hint: `workers: ${this.#supervisor.workers.map((each) => each.pid).join(', ')}`,
    });
  }
}

/** For a request that a client of the same version does not send. */
export function unknownCommand({ command }: { readonly command: string }): RunError {
  return new RunError('PASTER_CONTROL', `a server does not know the command "${command}"`);
}
