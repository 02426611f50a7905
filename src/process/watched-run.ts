/**
 * The same command line in a child, for a command that runs code of others: code that never gives its process back is
 * ended with it and passed over by the next child. Both sides are here.
 */
import { once } from 'node:events';
import { constants } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { RunError } from '../errors.ts';
import { OWN_CODE } from '../own-files.ts';
import { describeExit, type Exit } from './exit-codes.ts';
import { isWord } from './messages.ts';
import { rerun } from './rerun.ts';
import { arrivingSignals } from './signals.ts';

const ORPHAN_THREAD = join(OWN_CODE, 'process/orphan-thread.js');

/** What the child says: whose code it is about to run; nobody's any more. */
interface Entering {
  readonly paster: 'entering';
  readonly code: string | undefined;
}

/** What it is told first: whose code not to run. */
interface PassOver {
  readonly paster: 'pass-over';
  readonly codes: readonly string[];
}

/**
 * Runs this command line in children until one gets to its end.
 *
 * @param limit milliseconds that somebody's code may take
 * @returns the exit status
 * @throws RunError when a child dies of something else
 */
export async function runWatched(limit: number): Promise<number> {
  const codes: string[] = [];
  const interrupted = arrivingSignals(['SIGINT', 'SIGTERM', 'SIGHUP']).next();
  for (;;) {
    const child = rerun('watched', { output: 'inherit', detached: false });
    const exited = once(child, 'exit').then(([code, signal]): Exit => ({ code, signal }));
    let entered: string | undefined;
    let timer: NodeJS.Timeout | undefined;
    let isStuck = false;
    child.on('message', (message) => {
      if (!isWord<Entering>(message) || message.paster !== 'entering') return;
      entered = message.code;
      clearTimeout(timer);
      if (entered === undefined) return;
      timer = setTimeout(() => {
        isStuck = true;
        child.kill('SIGKILL');
      }, limit);
    });
    child.send({ paster: 'pass-over', codes } satisfies PassOver, () => {});
    const outcome = await Promise.race([exited, interrupted]);
    clearTimeout(timer);
    if ('value' in outcome) {
      child.kill('SIGKILL');
      return 128 + (outcome.value ? constants.signals[outcome.value] : 0);
    }
    if (!isStuck || entered === undefined) {
      if (outcome.code !== null) return outcome.code;
      throw new RunError('PASTER_WATCHED_DIED', `it ended ${describeExit(outcome)}`);
    }
    codes.push(entered);
  }
}

/** The child's side. */
export class WatchedRun {
  /** Whose code has turned out never to come back. */
  readonly passOver: ReadonlySet<string>;

  private constructor(codes: readonly string[]) {
    this.passOver = new Set(codes);
  }

  static async begin(): Promise<WatchedRun> {
    endWithParent();
    const [message] = (await once(process, 'message')) as [unknown];
    process.channel?.unref();
    return new WatchedRun(isWord<PassOver>(message) && message.paster === 'pass-over' ? message.codes : []);
  }

  /**
   * Resolves when the parent can know of it: after that, this process may never say anything again.
   * @returns to be called when the code has come back
   */
  async enter(code: string): Promise<() => void> {
    await this.#say(code);
    return () => void this.#say(undefined);
  }

  #say(code: string | undefined): Promise<void> {
    return new Promise((resolve) => {
      if (!process.connected || !process.send) resolve();
      else process.send({ paster: 'entering', code } satisfies Entering, undefined, {}, () => resolve());
    });
  }
}

/** A process that loops does not notice that nobody waits for it any more; a second thread does. */
function endWithParent(): void {
  const thread = new Worker(ORPHAN_THREAD, {
    workerData: process.ppid,
    execArgv: [],
  });
  thread.on('error', () => {});
  thread.unref();
}
