/** The processes of one `[process:*]` section: how they start, and how they are reloaded with the others. */
import { dirname, join } from 'node:path';
import { LoadSession } from '../../deploy/session.ts';
import { describeError, errorCode, RunError } from '../../errors.ts';
import { prefixedLogger } from '../../log.ts';
import { OWN_CODE } from '../../own-files.ts';
import { type Exit, WORKER_DONE } from '../../process/ipc/child-exit.ts';
import { pollingPeriod } from '../../process/reload/polling-filesystems.ts';
import { Supervisor } from '../../process/supervisor/supervisor.ts';
import type { SupervisorSettings } from '../../process/supervisor/supervisor-options.ts';
import { SUPERSEDED } from '../../process/supervisor/worker-changes.ts';
import type { DeadWorker } from '../../process/supervisor/worker-handle.ts';
import { servedName } from '../announce.ts';
import { deathDetails } from '../death-details.ts';
import type { WorkerPlan } from '../plan.ts';
import type { Service } from '../service.ts';
import { type ProcessPlan, supervisorSettings } from './process-plan.ts';
import type { Reloading } from './reload-together.ts';

/** What a section needs of the set that it is in. */
export interface SectionOwner {
  readonly service: Service;
  readonly isStopping: () => boolean;
  /** Whether the section is still in the set: a reload may have removed it. */
  readonly has: (section: ProcessSection) => boolean;
  /** With `--reload`: starts and ends sections after a change of the INI file. */
  readonly update: () => Promise<void>;
}

export class ProcessSection {
  readonly name: string;
  /** Undefined while it starts for the first time, and while it is stopped. */
  supervisor: Supervisor<ProcessPlan> | undefined;
  /** Stopped by `paster control`, until `paster control` starts it again. */
  isStopped = false;
  /** Whether it is starting although the server has started already: then a newer reload starts it instead. */
  isStarting = false;
  readonly #owner: SectionOwner;

  constructor(name: string, owner: SectionOwner) {
    this.name = name;
    this.#owner = owner;
  }

  get title(): string {
    return `[process:${this.name}]`;
  }

  /**
   * Reads the section and starts its processes. If a predecessor runs, those that are exclusive start when it has ended its own.
   * @throws The reason if they do not start
   */
  async start(): Promise<void> {
    const { service, isStopping, has } = this.#owner;
    const { predecessor, plan, log } = service;
    const session = new LoadSession(plan.globalConf);
    const first = await supervisorSettings(service, this.name, session);
    if (isStopping()) return;
    if (!has(this)) throw SUPERSEDED.error;
    if (this.isStopped) return;
    session.logWarnings(log);
    const supervisor = this.#supervisor(first, [...session.files, ...first.boot.envFiles]);
    this.supervisor = supervisor;
    if (!predecessor?.isServing) return supervisor.start();
    if (!supervisor.isExclusive) {
      return supervisor.start().catch((error: unknown) => {
        throw withExclusiveHint(error);
      });
    }
    // By then, the predecessor has ended its own.
    void predecessor.handedOver
      .then(() => this.supervisor?.start())
      .catch((error: unknown) => {
        if (!isStopping()) log.error(`${this.title} does not start: ${describeError(error)}`);
      });
  }

  #supervisor(first: SupervisorSettings<ProcessPlan>, watched: readonly string[]): Supervisor<ProcessPlan> {
    const { service, update } = this.#owner;
    const { plan, request, logFile, log } = service;
    const { reload, reloadInterval } = request;
    const supervisor: Supervisor<ProcessPlan> = new Supervisor<ProcessPlan>({
      ...first,
      served: servedName(plan),
      role: this.name,
      entry: join(OWN_CODE, 'worker.js'),
      revise: async (current, onlyCode) => {
        if (onlyCode) return { ...current };
        if (reload) await update();
        return supervisorSettings(service, this.name, new LoadSession(plan.globalConf));
      },
      reload: reload
        ? {
            files: watched,
            debounce: reloadInterval,
            polling: pollingPeriod([plan.directory, ...watched.map(dirname)], reloadInterval),
          }
        : undefined,
      output: logFile && (() => logFile.fd),
      explainFailure: (error) => (supervisor.isExclusive ? error : withExclusiveHint(error)),
      describeDeath: (worker, exit) => `${deathDetails(worker, exit)}${endHint(worker, exit, supervisor.isExclusive)}`,
      log: prefixedLogger(log, `${this.title} `),
    });
    return supervisor;
  }

  /**
   * Its part in a reload; undefined if it has no processes. `paster control` may stop the section meanwhile: then the others are
   * reloaded without it.
   */
  reloading(): ReloadingSupervisor | undefined {
    const { supervisor } = this;
    if (!supervisor) return undefined;
    const { reload, ...of } = reloadingSupervisor(this.title, supervisor);
    return {
      ...of,
      reload: async (reason, confirm = async () => {}) => {
        let confirmed: Promise<void> | undefined;
        const confirmOnce = (): Promise<void> => {
          confirmed ??= confirm();
          return confirmed;
        };
        const result = await reload(reason, confirmOnce);
        if (result.ok || this.supervisor === supervisor) return result;
        return confirmOnce().then(
          () => ({ ok: true }),
          (error: unknown) => ({ ok: false, error }),
        );
      },
    };
  }
}

export interface ReloadingSupervisor extends Reloading {
  /** Whether a worker ends before its successor loads. */
  readonly isExclusive: boolean;
}

export function reloadingSupervisor(
  name: string,
  supervisor: Supervisor<WorkerPlan> | Supervisor<ProcessPlan>,
): ReloadingSupervisor {
  const { isExclusive } = supervisor;
  return { name, isExclusive, reload: (reason, confirm) => supervisor.reload(reason, confirm) };
}

const EXCLUSIVE_HINT = 'set exclusive = true: the old process then ends first';

function isAddressInUse(error: unknown): boolean {
  return /(?:^|_)EADDRINUSE$/.test(errorCode(error) ?? '');
}

/** For an error of a process that starts while the old one runs, which may have its port. */
function withExclusiveHint(cause: unknown): unknown {
  if (!isAddressInUse(cause)) return cause;
  return new RunError('PASTER_PROCESS_EADDRINUSE', describeError(cause), { hint: EXCLUSIVE_HINT, cause });
}

/**
 * Hints for two common errors: a job that ends is started again, which its author may not expect; and at a reload, a port is in
 * use until the old process has ended.
 */
function endHint({ failure }: DeadWorker, { code }: Exit, isExclusive: boolean): string {
  if (failure && !isExclusive && isAddressInUse(failure)) return `\n  if this happened at a reload, ${EXCLUSIVE_HINT}`;
  return code === WORKER_DONE && !failure
    ? ': it is started again (code that ends by itself belongs in a [task:...] section)'
    : '';
}
