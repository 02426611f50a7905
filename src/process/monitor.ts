/**
 * `--monitor-restart`: a process that does nothing but start the server again when it dies. Unlike a supervisor, which
 * holds the sockets while workers come and go, it holds nothing: between a death and the next start connections are
 * refused. It is for what a supervisor cannot survive, its own death.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { RunError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { backoffMs, HEALTHY_AFTER_MS } from './backoff.ts';
import { unpackError } from './error-transfer.ts';
import { describeExit, type Exit } from './exit-codes.ts';
import type { LogFile } from './logfile.ts';
import { onReport, rerun } from './rerun.ts';
import { arrivingSignals, type Signal } from './signals.ts';

export interface MonitorOptions {
  readonly logFile: LogFile | undefined;
  readonly log: Logger;
  /** The server accepts connections; called at each start, with what the terminal is to show. */
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
 * Runs the server until it ends as it should: told to stop, or by itself with status 0.
 * @returns The exit status.
 * @throws The server's own reason if it fails at its first start.
 */
export async function monitor(options: MonitorOptions): Promise<number> {
  const told = new Told();
  let deaths = 0;
  let everListened = false;
  for (;;) {
    const run = await runOnce(options, told);
    everListened ||= run.listened;
    const { code } = run.exit;
    if (told.toStop || code === 0) return code ?? 0;
    if (!everListened) {
      throw (
        run.failure ?? new RunError('PASTER_MONITOR', `the server ended ${describeExit(run.exit)} before it listened`)
      );
    }
    deaths = run.listened && run.milliseconds >= HEALTHY_AFTER_MS ? 1 : deaths + 1;
    const reason = run.failure ? `: ${run.failure.message}` : '';
    options.log.error(`the server ended ${describeExit(run.exit)}${reason}; it is started again`);
    await Promise.race([sleep(backoffMs(deaths)), told.stop]);
    if (told.toStop) return 0;
  }
}

async function runOnce({ logFile, onListening }: MonitorOptions, told: Told): Promise<Run> {
  const begun = performance.now();
  let failure: Error | undefined;
  let listened = false;
  const child = rerun('monitored', { output: logFile?.fd ?? 'inherit', detached: false });
  onReport(child, (message) => {
    if (message.paster === 'failed') {
      failure = unpackError(message.error);
      return;
    }
    listened = true;
    onListening(message.lines);
  });
  told.forwardTo(child, logFile);
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  // Its last words may come after its end.
  if (child.connected) await Promise.race([once(child, 'disconnect'), sleep(500)]);
  told.forwardTo(undefined, logFile);
  return { exit: { code, signal }, failure, listened, milliseconds: performance.now() - begun };
}

/** The signals that the monitor gets: all of them are the server's, and some of them end the monitor too. */
class Told {
  readonly stop: Promise<void>;
  toStop = false;
  #child: ChildProcess | undefined;
  #logFile: LogFile | undefined;
  #setStop = () => {};

  constructor() {
    this.stop = new Promise((resolve) => {
      this.#setStop = resolve;
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
      this.toStop = true;
      this.#setStop();
    }
  }

  #reopen(): void {
    try {
      this.#logFile?.reopen();
    } catch {
      // The server has the same file and says what is wrong with it.
    }
  }
}
