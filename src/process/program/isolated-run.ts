/**
 * Runs a command that imports modules of the user in a child process. A module that never gives control back is ended with
 * the child, and the next child skips it: a timer in the same process would never fire.
 */
import { once } from 'node:events';
import { constants } from 'node:os';
import { RunError } from '../../errors.ts';
import { describeExit, type Exit } from '../ipc/child-exit.ts';
import { isPasterMessage } from '../ipc/messages.ts';
import { killWithParent } from './end-with-parent.ts';
import { type Role, spawnSelf } from './self-spawn.ts';
import { arrivingSignals } from './signals.ts';

/** What the child sends before it imports a module, and, without a module, after that. */
interface EnteringMessage {
  readonly paster: 'entering';
  readonly module: string | undefined;
}

/**
 * Runs this command line in children until one of them ends by itself.
 *
 * @param limit milliseconds that one module may take
 * @returns the exit status
 * @throws RunError when a child dies of anything else
 */
export async function runIsolated(limit: number): Promise<number> {
  const skipped: string[] = [];
  const interrupted = arrivingSignals(['SIGINT', 'SIGTERM', 'SIGHUP']).next();
  for (;;) {
    const child = spawnSelf({ name: 'isolated', skipped }, { output: 'inherit', detached: false });
    const exited = once(child, 'exit').then(([code, signal]): Exit => ({ code, signal }));
    let entered: string | undefined;
    let timer: NodeJS.Timeout | undefined;
    let isStuck = false;
    child.on('message', (message) => {
      if (!isPasterMessage<EnteringMessage>(message) || message.paster !== 'entering') return;
      entered = message.module;
      clearTimeout(timer);
      if (entered === undefined) return;
      timer = setTimeout(() => {
        isStuck = true;
        child.kill('SIGKILL');
      }, limit);
    });
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
    skipped.push(entered);
  }
}

/** The child's side. */
export class IsolatedRun {
  /** The modules that have turned out never to give control back. */
  readonly skipped: ReadonlySet<string>;

  constructor({ skipped }: Role) {
    this.skipped = new Set(skipped);
    killWithParent();
  }

  /**
   * Resolves when the parent knows of the module. After that, this process may never send anything again.
   * @returns to be called when the module has given control back
   */
  async enter(module: string): Promise<() => void> {
    await this.#send(module);
    return () => void this.#send(undefined);
  }

  #send(module: string | undefined): Promise<void> {
    return new Promise((resolve) => {
      if (!process.connected || !process.send) resolve();
      else process.send({ paster: 'entering', module } satisfies EnteringMessage, undefined, {}, () => resolve());
    });
  }
}
