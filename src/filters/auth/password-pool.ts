/**
 * Verifies passwords in a few threads, because a slow hash would keep the event loop from serving anything else. All
 * filters of the process share the threads. They start with the first password and never keep an idle process running.
 */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { PACKAGE_ROOT } from '../../own-files.ts';
import { FairQueue } from './fair-queue.ts';
import type { PasswordJob } from './password.ts';

/** `busy`: too many others are waiting, so the password was not looked at. */
export type Verdict = 'right' | 'wrong' | 'busy';

/** @param client what the client is counted by: clients take turns */
export type VerifyPassword = (client: string, job: PasswordJob) => Promise<Verdict>;

// Node loads it by its path, and cannot read TypeScript before version 22.18.
const PASSWORD_THREAD = join(PACKAGE_ROOT, 'dist/filters/auth/password-thread.js');

/** The event loop keeps a processor where there are two, and the process has siblings that need theirs. */
const MOST_THREADS = Math.max(1, Math.min(2, availableParallelism() - 1));
const MOST_WAITING = 64;

interface Waiting {
  readonly job: PasswordJob;
  resolve(verdict: Verdict): void;
  reject(error: unknown): void;
}

class PasswordPool {
  readonly #queue = new FairQueue<Waiting>(MOST_WAITING);
  readonly #idle: Worker[] = [];
  #threads = 0;

  verify: VerifyPassword = (client, job) =>
    new Promise((resolve, reject) => {
      const dropped = this.#queue.push(client, { job, resolve, reject });
      dropped?.resolve('busy');
      this.#next();
    });

  #next(): void {
    const thread = this.#idle.pop() ?? (this.#threads < MOST_THREADS ? this.#start() : undefined);
    if (thread === undefined) return;
    const waiting = this.#queue.shift();
    if (waiting) this.#run(thread, waiting);
    else this.#idle.push(thread);
  }

  /** Neither the options of this process nor its environment are for the thread: NODE_OPTIONS may load a whole application. */
  #start(): Worker {
    this.#threads++;
    const thread = new Worker(PASSWORD_THREAD, { execArgv: [], env: {} });
    thread.unref();
    return thread;
  }

  #run(thread: Worker, { job, resolve, reject }: Waiting): void {
    const onMessage = (isRight: boolean): void => {
      thread.off('error', onError);
      thread.unref();
      this.#idle.push(thread);
      resolve(isRight ? 'right' : 'wrong');
      this.#next();
    };
    // It ends the thread; the next job starts another one.
    const onError = (error: unknown): void => {
      thread.off('message', onMessage);
      this.#threads--;
      reject(error);
      this.#next();
    };
    thread.once('message', onMessage);
    thread.once('error', onError);
    // A CGI program has nothing else that keeps it running until the verdict.
    thread.ref();
    thread.postMessage(job);
  }
}

const pool = new PasswordPool();

/** Verifies a password in a thread of this process. */
export const verifyInThread: VerifyPassword = (client, job) => pool.verify(client, job);
