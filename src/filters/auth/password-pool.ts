/**
 * Verifies passwords in a few threads, because a slow hash would block the event loop. All filters of the process share the
 * threads. The first password starts them, and idle threads do not keep the process running.
 */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { PACKAGE_ROOT } from '../../own-files.ts';
import type { PasswordJob } from './password.ts';

/** `busy`: too many passwords are waiting, so this one was not verified. */
export type Verdict = 'right' | 'wrong' | 'busy';

/** @param client identifies the client, since clients take turns */
export type VerifyPassword = (client: string, job: PasswordJob) => Promise<Verdict>;

// From dist/, because Node before 22.18 cannot load a TypeScript file.
const PASSWORD_THREAD = join(PACKAGE_ROOT, 'dist/filters/auth/password-thread.js');

/** Leaves a core to the event loop if there are two or more, and is small because the other workers need cores too. */
const MAX_THREADS = Math.max(1, Math.min(2, availableParallelism() - 1));
const MAX_WAITING = 64;

interface WaitingJob {
  readonly job: PasswordJob;
  resolve(verdict: Verdict): void;
  reject(error: unknown): void;
}

/**
 * A bounded queue that no single client can fill. Clients take turns; when the queue is full, the client with the most items
 * loses its newest one.
 */
export class FairQueue<T> {
  readonly #limit: number;
  /** Clients in the order of their turns, each with its items from the oldest to the newest. */
  readonly #byClient = new Map<string, T[]>();
  #size = 0;

  /** @param limit how many items may wait, of all clients together */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * Adds an item.
   * @returns the item dropped because the queue was full, if any: the newest of the client that has the most items. It may be
   * the one just added.
   */
  push(client: string, item: T): T | undefined {
    const items = this.#byClient.get(client);
    if (items) items.push(item);
    else this.#byClient.set(client, [item]);
    this.#size++;
    return this.#size > this.#limit ? this.#drop(client) : undefined;
  }

  /** Removes and returns the oldest item of the client whose turn it is. */
  shift(): T | undefined {
    const [turn] = this.#byClient;
    if (turn === undefined) return undefined;
    const [client, items] = turn;
    const item = items.shift();
    this.#size--;
    this.#byClient.delete(client);
    if (items.length > 0) this.#byClient.set(client, items);
    return item;
  }

  /** If several clients have the most items, the one that has just added an item loses it again. */
  #drop(newcomer: string): T | undefined {
    let [client, most] = [newcomer, this.#byClient.get(newcomer)?.length ?? 0];
    for (const [each, { length }] of this.#byClient) if (length > most) [client, most] = [each, length];
    const dropped = this.#byClient.get(client)?.pop();
    this.#size--;
    if (most === 1) this.#byClient.delete(client);
    return dropped;
  }
}

class PasswordPool {
  readonly #queue = new FairQueue<WaitingJob>(MAX_WAITING);
  readonly #idle: Worker[] = [];
  #threads = 0;

  verify: VerifyPassword = (client, job) =>
    new Promise((resolve, reject) => {
      const dropped = this.#queue.push(client, { job, resolve, reject });
      dropped?.resolve('busy');
      this.#next();
    });

  #next(): void {
    const thread = this.#idle.pop() ?? (this.#threads < MAX_THREADS ? this.#start() : undefined);
    if (thread === undefined) return;
    const waiting = this.#queue.shift();
    if (waiting) this.#run(thread, waiting);
    else this.#idle.push(thread);
  }

  /** The thread gets neither this process's options nor its environment: NODE_OPTIONS may load a whole application. */
  #start(): Worker {
    this.#threads++;
    const thread = new Worker(PASSWORD_THREAD, { execArgv: [], env: {} });
    thread.unref();
    return thread;
  }

  #run(thread: Worker, { job, resolve, reject }: WaitingJob): void {
    const onMessage = (isRight: boolean): void => {
      thread.off('error', onError);
      thread.unref();
      this.#idle.push(thread);
      resolve(isRight ? 'right' : 'wrong');
      this.#next();
    };
    // An error ends the thread; the next job starts another one.
    const onError = (error: unknown): void => {
      thread.off('message', onMessage);
      this.#threads--;
      reject(error);
      this.#next();
    };
    thread.once('message', onMessage);
    thread.once('error', onError);
    // Nothing else keeps a CGI program running until the verdict.
    thread.ref();
    thread.postMessage(job);
  }
}

const pool = new PasswordPool();

/** Verifies a password in a thread of this process. */
export const verifyInThread: VerifyPassword = (client, job) => pool.verify(client, job);
