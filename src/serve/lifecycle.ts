/**
 * What goes on around a server while it serves: the lines on the terminal, the pid file, the log file, systemd, and
 * whoever started this process and waits. One for each process that answers for a server, alone or with workers.
 */
import { errorMessage, printableLine } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Address } from '../net/address.ts';
import type { LogFile } from '../process/logfile.ts';
import type { SystemdNotify } from '../process/notify.ts';
import { writePidFile } from '../process/pidfile.ts';
import { report } from '../process/rerun.ts';
import { ownVersion } from '../version.ts';
import { announcement } from './announce.ts';
import type { ConfiguredLogging } from './logging.ts';

export interface LifecycleOptions {
  readonly out: (line: string) => void;
  readonly log: Logger;
  readonly pidFile: string | undefined;
  readonly logging?: ConfiguredLogging | undefined;
  readonly logFile: LogFile | undefined;
  readonly notify: SystemdNotify | undefined;
  /** Called once it listens, with what it speaks and where. */
  readonly onListening?: ((scheme: string, addresses: readonly Address[]) => void) | undefined;
  /** Shown to a person before the lines that scripts read: the version, then these, with dots between. */
  readonly title: readonly string[] | undefined;
}

export interface Listening {
  readonly scheme: string;
  readonly addresses: readonly Address[];
}

export class Lifecycle {
  readonly log: Logger;
  readonly logFile: LogFile | undefined;
  readonly #options: LifecycleOptions;

  constructor(options: LifecycleOptions) {
    this.#options = options;
    this.log = options.log;
    this.logFile = options.logFile;
  }

  /**
   * Writes the pid file: sockets are open, and this is still the user that was started.
   * @throws RunError when it cannot be written, or is that of another live server.
   */
  claim(graceful: number): void {
    const { pidFile } = this.#options;
    if (pidFile === undefined) return;
    const file = writePidFile(pidFile, graceful);
    // However the process ends, short of SIGKILL.
    process.once('exit', () => file.remove());
  }

  /** Tells everybody that connections are accepted. */
  listening({ scheme, addresses }: Listening): void {
    const { out, title, notify, onListening } = this.#options;
    const lines = announcement(process.pid, scheme, addresses);
    if (title) out(printableLine([`paster ${ownVersion()}`, ...title].join(' · ')));
    for (const line of lines) out(line);
    notify?.ready();
    void report({ paster: 'listening', pid: process.pid, lines }).then(() => onListening?.(scheme, addresses));
  }

  /** Around a reload. */
  async reloading<T>(reload: () => Promise<T>): Promise<T> {
    this.#options.notify?.reloading();
    try {
      return await reload();
    } finally {
      this.#options.notify?.ready();
    }
  }

  stopping(): Promise<void> {
    return this.#options.notify?.stopping() ?? Promise.resolve();
  }

  /** USR1. */
  reopenLogs(): void {
    const { logging } = this.#options;
    logging?.reopen();
    if (!this.logFile && !logging) this.log.info('USR1: there is no log file to open again');
    try {
      this.logFile?.reopen();
    } catch (error) {
      this.log.error(errorMessage(error));
    }
  }
}
