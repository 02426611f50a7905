/** `serve` in one process: no supervisor, no workers, no reload. */
import { existsSync } from 'node:fs';
import { isatty } from 'node:tty';
import { fileVariables } from '../config/env-file.ts';
import type { LoadedServer } from '../deploy/load.ts';
import type { LoadSession } from '../deploy/session.ts';
import { EXIT_FAILURE, EXIT_OK } from '../errors.ts';
import { meter } from '../metrics/meter.ts';
import { statusLines } from '../metrics/status-lines.ts';
import type { Address, TcpAddress } from '../net/address.ts';
import { type Listener, openListener } from '../net/listener.ts';
import { obeySignals, type Supervised } from '../process/signals.ts';
import { dropPrivileges } from '../process/user.ts';
import type { Running } from '../protocol/types.ts';
import { ownDeathDetails } from './death-details.ts';
import type { Lifecycle } from './lifecycle.ts';
import { type Ownership, openAll } from './listeners.ts';
import { loadPlannedApp, type Prepared, type ServePlan } from './plan.ts';
import { servedContexts } from './served-contexts.ts';
import { answerForPlan } from './status-socket.ts';

export interface SingleOptions {
  readonly ownership: Ownership;
  /** Sockets that systemd has opened. */
  readonly passed: readonly Address[];
  /** Where a debugger finds this process. */
  readonly inspect: TcpAddress | undefined;
}

/** Serves until a signal ends it. @returns The exit status. */
export async function serveSingle(
  plan: ServePlan,
  prepared: Prepared,
  options: SingleOptions,
  lifecycle: Lifecycle,
): Promise<number> {
  const alone = new SingleServer(plan, prepared, options, lifecycle);
  // From now on a signal has to find the sockets.
  const obeyed = obeySignals(alone, () => lifecycle.reopenLogs());
  const ended = Promise.race([alone.serve(), obeyed]).then(() => EXIT_OK);
  return Promise.race([ended, alone.crashed]);
}

/** A server and what a signal can do with it. */
class SingleServer implements Supervised {
  readonly finished: Promise<void>;
  /** Resolves with the exit status when an error ends this process that nobody has caught. */
  readonly crashed: Promise<number>;
  readonly #plan: ServePlan;
  readonly #server: LoadedServer;
  readonly #session: LoadSession;
  readonly #options: SingleOptions;
  readonly #lifecycle: Lifecycle;
  #listeners: readonly Listener[] = [];
  #running: Running | undefined;
  #stopped: { readonly graceful: boolean } | undefined;
  #setFinished = () => {};
  #setCrashed: (status: number) => void = () => {};

  constructor(plan: ServePlan, { server, session }: Prepared, options: SingleOptions, lifecycle: Lifecycle) {
    this.#plan = plan;
    this.#server = server;
    this.#session = session;
    this.#options = options;
    this.#lifecycle = lifecycle;
    this.finished = new Promise((resolve) => {
      this.#setFinished = resolve;
    });
    this.crashed = new Promise((resolve) => {
      this.#setCrashed = resolve;
    });
  }

  /** Resolves when the server has ended by itself or has been stopped. */
  async serve(): Promise<void> {
    const { inspect } = this.#options;
    const { user, group } = this.#options.ownership;
    const { graceful_timeout: graceful } = this.#server.settings;
    const isToChange = user !== undefined || group !== undefined;
    if (!this.#server.oneShot && [0, 1, 2].some(isatty)) {
      const { endOnSecondInterrupt } = await import('../process/second-interrupt.ts');
      endOnSecondInterrupt();
    }
    try {
      if (isToChange) {
        // What only root may do, then no root any more, and only then the application: what connects waits for it.
        if (!this.#server.runner) await this.#open();
        this.#lifecycle.claim(graceful);
        dropPrivileges(user, group);
        Object.assign(process.env, fileVariables());
      }
      if (inspect) await (await import('./inspector.ts')).openInspector(inspect, this.#lifecycle.log);
      meter().isAttended = true;
      const app = await loadPlannedApp(this.#plan, this.#session);
      await servedContexts(this.#plan, this.#session);
      this.#session.tellWarnings(this.#lifecycle.log);
      if (this.#server.runner) {
        await app.ready?.();
        await this.#server.runner(app);
        return;
      }
      this.#running = await this.#server.serveOn(app, async () => this.#open(), this.#lifecycle.log);
      if (!isToChange) this.#lifecycle.claim(graceful);
    } catch (error) {
      if (!this.#running) await this.#server.oneShot?.fail();
      await this.#running?.close({ graceful: false });
      await this.#close();
      throw error;
    }
    if (this.#stopped) return void this.#end(this.#stopped.graceful);
    if (!this.#server.oneShot) await answerForPlan(this.#plan, () => meter().ask(), this.#lifecycle.log);
    this.#tellOfCrash();
    this.#lifecycle.listening({ scheme: this.#server.scheme, addresses: this.#running.addresses });
    const { finished } = this.#running;
    if (!finished) return this.finished;
    try {
      await Promise.race([finished, this.finished]);
    } finally {
      // It has ended by itself: what is left is to close the application.
      if (!this.#stopped) await this.#running.close();
    }
  }

  /** What ends this process, and what is lost with it, in one record: as a supervisor tells it of a worker. */
  #tellOfCrash(): void {
    process.on('uncaughtExceptionMonitor', (error) => {
      // An application that catches it may survive it.
      if (process.listenerCount('uncaughtException') > 0) return;
      const how = `process ${process.pid} ended with status ${EXIT_FAILURE}`;
      this.#lifecycle.log.error(`${how}${ownDeathDetails(error, meter().report())}`);
      // Node would write it down once more, without what was in hand.
      process.once('uncaughtException', () => this.#setCrashed(EXIT_FAILURE));
    });
  }

  async stop({ graceful }: { graceful: boolean }): Promise<void> {
    this.#stopped = { graceful };
    const told = this.#lifecycle.stopping();
    await this.#end(graceful);
    this.#warnOfLeftovers();
    await told;
    this.#setFinished();
  }

  async reload(): Promise<void> {
    this.#lifecycle.log.warn(
      'HUP: one process cannot take over from itself, nothing is reloaded: set workers = 1 or more in the server’s ' +
        'section (or -w 1) to reload without a gap, or restart',
    );
  }

  async addWorker(): Promise<void> {
    this.#lifecycle.log.warn('TTIN and TTOU are for a server with workers');
  }

  removeWorker(): Promise<void> {
    return this.addWorker();
  }

  reopenLogs(): void {}

  async report(): Promise<void> {
    for (const line of statusLines(meter().alone())) this.#lifecycle.log.info(line);
  }

  async #open(): Promise<readonly Listener[]> {
    const { passed, ownership } = this.#options;
    if (this.#listeners.length === 0) {
      this.#listeners = [...(await openAll(this.#server, passed, ownership, openListener)).values()];
    }
    return this.#listeners;
  }

  async #end(graceful: boolean): Promise<void> {
    // Still loading: there is nobody to wait for.
    if (!this.#running) return this.#close();
    await this.#running.close({ graceful, timeout: this.#server.settings.graceful_timeout });
  }

  /** A directory that only root may write to does not let go of the socket's file. */
  #warnOfLeftovers(): void {
    const { user } = this.#options.ownership;
    if (user === undefined) return;
    for (const { address } of this.#listeners) {
      if (address.kind !== 'unix' || !existsSync(address.path)) continue;
      this.#lifecycle.log.warn(
        `${address.path} stays behind: user ${user} may not write to its directory; the next start replaces it`,
      );
    }
  }

  async #close(): Promise<void> {
    await Promise.all(this.#listeners.map((listener) => listener.close()));
  }
}
