/**
 * `--monitor-restart`: a process that only starts the server again when it dies. Unlike a supervisor it does not hold the
 * sockets: between a death and the next start connections are refused. It covers the death of the supervisor itself.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { RunError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { backoffMs, describeExit, type Exit, HEALTHY_AFTER_MS } from '../ipc/child-exit.ts';
import { unpackError } from '../ipc/error-transfer.ts';
import { onReport, type ServerFiles, spawnSelf } from '../program/self-spawn.ts';
import { arrivingSignals, type Signal } from '../program/signals.ts';
import type { LogFile } from './logfile.ts';

export interface MonitorOptions {
  /** For the server. */
  readonly files: ServerFiles;
  readonly logFile: LogFile | undefined;
  readonly log: Logger;
  /** Called at each start when the server accepts connections, with the lines for the terminal. */
  readonly onListening: (lines: readonly string[]) => void;
}

interface Run {
  readonly exit: Exit;
  readonly failure: Error | undefined;
  readonly listened: boolean;
  readonly milliseconds: number;
}

const ENDING: readonly Signal[] = ['SIGTERM', 'SIGINT', 'SIGQUIT'];

/**
 * Runs the server until it ends on a signal, or by itself with status 0.
 * @returns The exit status.
 * @throws The server's own reason if it fails at its first start.
 */
export async function monitor(options: MonitorOptions): Promise<number> {
  const signals = new SignalForwarder();
  let deaths = 0;
  let everListened = false;
  for (;;) {
    const run = await runOnce(options, signals);
    everListened ||= run.listened;
    const { code } = run.exit;
    if (signals.isStopping || code === 0) return code ?? 0;
    if (!everListened) {
      throw (
        run.failure ?? new RunError('PASTER_MONITOR', `the server ended ${describeExit(run.exit)} before it listened`)
      );
    }
    deaths = run.listened && run.milliseconds >= HEALTHY_AFTER_MS ? 1 : deaths + 1;
    const reason = run.failure ? `: ${run.failure.message}` : '';
    options.log.error(`the server ended ${describeExit(run.exit)}${reason}; it is started again`);
    await Promise.race([sleep(backoffMs(deaths)), signals.stopping]);
    if (signals.isStopping) return 0;
  }
}

async function runOnce({ files, logFile, onListening }: MonitorOptions, signals: SignalForwarder): Promise<Run> {
  const begun = performance.now();
  let failure: Error | undefined;
  let listened = false;
  const child = spawnSelf({ name: 'monitored', files }, { output: logFile?.fd ?? 'inherit', detached: false });
  onReport(child, (message) => {
    if (message.paster === 'failed') {
      failure = unpackError(message.error);
      return;
    }
    listened = true;
    onListening(message.lines);
  });
  signals.forwardTo(child, logFile);
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  // Its last messages may arrive after its end.
  if (child.connected) await Promise.race([once(child, 'disconnect'), sleep(500)]);
  signals.forwardTo(undefined, logFile);
  return { exit: { code, signal }, failure, listened, milliseconds: performance.now() - begun };
}

/** Forwards the signals of the monitor to the server. Some of them end the monitor too. */
class SignalForwarder {
  /** Resolves on a signal that ends the monitor. */
  readonly stopping: Promise<void>;
  isStopping = false;
  #child: ChildProcess | undefined;
  #logFile: LogFile | undefined;
  #setStopping = () => {};

  constructor() {
    this.stopping = new Promise((resolve) => {
      this.#setStopping = resolve;
    });
    void this.#listen();
  }

  forwardTo(child: ChildProcess | undefined, logFile: LogFile | undefined): void {
    this.#child = child;
    this.#logFile = logFile;
  }

  async #listen(): Promise<void> {
    for await (const signal of arrivingSignals()) {
      if (signal === 'SIGUSR1') this.#reopen();
      this.#child?.kill(signal);
      if (!ENDING.includes(signal)) continue;
      this.isStopping = true;
      this.#setStopping();
    }
  }

  #reopen(): void {
    try {
      this.#logFile?.reopen();
    } catch {
      // The server opens the same file and reports the error.
    }
  }
}
