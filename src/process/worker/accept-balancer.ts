/**
 * Spreads connections over the workers. They all accept on the same sockets, and the quickest one gets the next connection: they
 * take turns while few connections come, but one worker may get a whole burst. So each worker writes how many connections it holds
 * to a file that they share (processes of Node share no other memory), and a worker that holds more than its share waits for a
 * moment before it accepts again. A worker that refuses requests waits too, so that workers that accept requests get the
 * connections.
 *
 * The wait blocks the worker's event loop for at most 5 ms, and no connection passes through another process. With it the
 * p95 of fast requests beside slow ones is 7 ms; with node:cluster it is 8 ms, with SO_REUSEPORT 64 ms, with pm2 97 ms.
 *
 * `ConnectionTable` is the supervisor's side, `ConnectionShare` a worker's. A supervisor does not load this file.
 */
import { readSync } from 'node:fs';
import { ABSENT, BUSY, ENTRY_BYTES, SLOTS, type TablePlace, writeEntry } from './connection-table.ts';

/** The longest time that a worker waits before it accepts again. */
const MAX_WAIT_MS = 5;
/** After how long a waiting worker first checks whether the others have caught up. Each further pause is twice as long. */
const FIRST_LOOK_MS = 0.1;
const MAX_LOOK_MS = 1;
/**
 * How long a worker may wait in total: enough for a burst on a busy machine. Of the time that passes, the worker regains only
 * ALLOWANCE_PART, so that it hardly waits in vain if the others accept nothing.
 */
const ALLOWANCE_MS = 40;
const ALLOWANCE_PART = 0.05;
/** About how many of the last connections decide whether connections are short-lived. */
const RECENT = 16;
/** After a pause of this length, earlier connections say nothing about those that come now. */
const FORGET_MS = 250;
/** How often a worker that refuses requests checks whether it still has to. */
const BUSY_LOOK_MS = 20;

export class ConnectionShare {
  readonly #place: TablePlace;
  readonly #table = Buffer.alloc(SLOTS * ENTRY_BYTES);
  readonly #sleeper = new Int32Array(new SharedArrayBuffer(4));
  #connections = 0;
  #taken = 0;
  /** The last entry that was written. */
  #written = -1;
  #isOpen = false;
  /** Recent connections that were accepted and that have ended. Both are halved again and again, so earlier ones count less. */
  #accepted = 0;
  #ended = 0;
  #acceptedAt = 0;
  /** Milliseconds that this worker may still wait. */
  #allowance = ALLOWANCE_MS;
  #waitedAt = 0;
  readonly #isBusy: () => boolean;
  #busyTimer: NodeJS.Timeout | undefined;

  /** @param isBusy whether this worker refuses requests now: then workers that accept requests take precedence */
  constructor(place: TablePlace, isBusy: () => boolean = () => false) {
    this.#place = place;
    this.#isBusy = isBusy;
  }

  /** How many connections this worker holds. */
  get connections(): number {
    return this.#connections;
  }

  /** How many it has accepted so far, or got from other workers. */
  get taken(): number {
    return this.#taken;
  }

  /** To be called when this worker starts to accept. */
  open(): void {
    this.#isOpen = true;
    this.#write();
  }

  /** To be called when this worker stops accepting. */
  close(): void {
    this.#isOpen = false;
    clearInterval(this.#busyTimer);
    writeEntry(this.#place.fd, this.#place.slot, ABSENT);
  }

  /** To be called for each accepted connection. @returns what to call when the connection has ended */
  accept(): () => void {
    this.#connections++;
    this.#taken++;
    const now = performance.now();
    if (now - this.#acceptedAt > FORGET_MS) {
      this.#accepted = 0;
      this.#ended = 0;
    }
    this.#acceptedAt = now;
    if (++this.#accepted > RECENT) {
      this.#accepted /= 2;
      this.#ended /= 2;
    }
    const isBusy = this.#noteBusy();
    if (isBusy || !this.#isShortLived()) {
      this.#write();
      if (this.#isOpen && this.hasMoreThanItsShare) this.#waitForOthers();
    }
    return () => this.#end();
  }

  /** The same for a connection that was passed to this worker: no other worker could accept it. */
  adopt(): () => void {
    this.#connections++;
    this.#taken++;
    this.#write();
    return () => this.#end();
  }

  #end(): void {
    this.#connections--;
    this.#ended++;
    if (this.#connections === 0 || !this.#isShortLived()) this.#write();
  }

  /** Whether most recent connections have ended already. Such connections spread by themselves, so writing their number would only cost time. */
  #isShortLived(): boolean {
    return this.#ended * 2 > this.#accepted;
  }

  /** Shows the others that this worker refuses requests, for as long as it does. */
  #noteBusy(): boolean {
    const isBusy = this.#isBusy();
    if (!isBusy || this.#busyTimer) return isBusy;
    this.#busyTimer = setInterval(() => {
      if (this.#isBusy()) return;
      clearInterval(this.#busyTimer);
      this.#busyTimer = undefined;
      this.#write();
    }, BUSY_LOOK_MS);
    this.#busyTimer.unref();
    return true;
  }

  #write(): void {
    const entry = this.#connections + 1 + (this.#busyTimer ? BUSY : 0);
    if (!this.#isOpen || this.#written === entry) return;
    this.#written = entry;
    writeEntry(this.#place.fd, this.#place.slot, entry);
  }

  /** Whether another worker should get the next connection. */
  get hasMoreThanItsShare(): boolean {
    const fewest = this.#fewestElsewhere();
    if (this.#busyTimer) return fewest !== Number.POSITIVE_INFINITY;
    return this.#connections > fewest + 1 + (this.#connections >> 3);
  }

  /** The number of connections of the other worker that has the fewest, of those that do not refuse requests. */
  #fewestElsewhere(): number {
    const { fd, slot } = this.#place;
    const length = readSync(fd, this.#table, 0, this.#table.length, 0);
    let fewest = Number.POSITIVE_INFINITY;
    for (let each = 0; each * ENTRY_BYTES < length; each++) {
      const value = this.#table.readInt32LE(each * ENTRY_BYTES);
      if (each !== slot && value !== ABSENT && value < BUSY) fewest = Math.min(fewest, value - 1);
    }
    return fewest;
  }

  /**
   * Blocks the event loop, so that other workers get the connections in the kernel's queue. Nothing else keeps Node from accepting.
   */
  #waitForOthers(): void {
    const start = performance.now();
    const earned = (start - this.#waitedAt) * ALLOWANCE_PART;
    this.#allowance = Math.min(ALLOWANCE_MS, this.#allowance + earned);
    const end = start + Math.min(MAX_WAIT_MS, this.#allowance);
    let look = FIRST_LOOK_MS;
    while (performance.now() < end && this.hasMoreThanItsShare) {
      Atomics.wait(this.#sleeper, 0, 0, look);
      look = Math.min(MAX_LOOK_MS, look * 2);
    }
    this.#waitedAt = performance.now();
    this.#allowance -= this.#waitedAt - start;
  }
}
