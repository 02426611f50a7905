/**
 * How connections spread over workers. They all accept on the same sockets, and whoever is quickest takes the next
 * connection: alternately as long as few come, but a burst may go to one of them whole. So each worker writes down how
 * many connections it holds, in a file that all of them share (there is no other memory that processes of Node share),
 * and one that holds more than its share steps back for a moment before it accepts again.
 *
 * No connection pays a hop: it is handed from one to another only where a worker goes (relay.ts). The class of the
 * supervisor is first here, then that of the workers.
 */
import { closeSync, ftruncateSync, mkdtempSync, openSync, readSync, rmdirSync, unlinkSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ENTRY_BYTES = 4;
/** More workers than these are not balanced. */
const SLOTS = 256;
/** What a worker writes that accepts nothing; one that does writes the number of its connections and 1. */
const ABSENT = 0;

/** The supervisor's side: the file, and who writes where. */
export class ConnectionTable {
  readonly fd: number;
  readonly #taken = new Set<number>();
  #isClosed = false;

  private constructor(fd: number) {
    this.fd = fd;
  }

  /** A new one; undefined where no temporary file can be made, and then nothing is balanced. */
  static open(): ConnectionTable | undefined {
    try {
      const directory = mkdtempSync(join(tmpdir(), 'paster-'));
      const file = join(directory, 'connections');
      const fd = openSync(file, 'wx+', 0o600);
      unlinkSync(file);
      rmdirSync(directory);
      ftruncateSync(fd, SLOTS * ENTRY_BYTES);
      return new ConnectionTable(fd);
    } catch {
      return undefined;
    }
  }

  /** A place for one worker. */
  take(): number | undefined {
    for (let slot = 0; slot < SLOTS; slot++) {
      if (this.#taken.has(slot)) continue;
      this.#taken.add(slot);
      return slot;
    }
    return undefined;
  }

  /** For a worker that has ended, however it did. */
  release(slot: number | undefined): void {
    if (slot === undefined || this.#isClosed) return;
    write(this.fd, slot, ABSENT);
    this.#taken.delete(slot);
  }

  /** How many connections a worker holds, as far as it has said so. */
  connections(slot: number): number {
    const entry = Buffer.alloc(ENTRY_BYTES);
    if (!this.#isClosed) readSync(this.fd, entry, 0, ENTRY_BYTES, slot * ENTRY_BYTES);
    const value = entry.readInt32LE();
    return value === ABSENT ? 0 : value - 1;
  }

  close(): void {
    this.#isClosed = true;
    closeSync(this.fd);
  }
}

/** A worker's place in the table, as it inherits it. */
export interface TablePlace {
  readonly fd: number;
  readonly slot: number;
}

/** How long a worker steps back at most before it accepts once more. */
const STEP_BACK_MS = 5;
/** It looks whether the others have caught up after so long, then after twice as long, and so on. */
const FIRST_LOOK_MS = 0.1;
const LONGEST_LOOK_MS = 1;
/** Enough for a burst on a busy machine; then this part of the time, for when the others take nothing. */
const ALLOWANCE_MS = 40;
const ALLOWANCE_PART = 0.05;
/** Accepted and ended connections are remembered over about so many. */
const MEMORY = 16;
/** What was before a pause of this length says nothing about what comes now. */
const FORGET_MS = 250;

/** A worker's side. */
export class ConnectionShare {
  readonly #place: TablePlace;
  readonly #table = Buffer.alloc(SLOTS * ENTRY_BYTES);
  readonly #sleeper = new Int32Array(new SharedArrayBuffer(4));
  #connections = 0;
  #said = -1;
  #isOpen = false;
  #accepted = 0;
  #acceptedAt = 0;
  #ended = 0;
  #allowance = ALLOWANCE_MS;
  #steppedBackAt = 0;

  constructor(place: TablePlace) {
    this.#place = place;
  }

  /** From now on this worker accepts. */
  open(): void {
    this.#isOpen = true;
    this.#say();
  }

  /** It accepts nothing more. */
  close(): void {
    this.#isOpen = false;
    write(this.#place.fd, this.#place.slot, ABSENT);
  }

  /** To be called when a connection has come, and what it returns when the connection has ended. */
  accept(): () => void {
    this.#connections++;
    const now = performance.now();
    if (now - this.#acceptedAt > FORGET_MS) {
      this.#accepted = 0;
      this.#ended = 0;
    }
    this.#acceptedAt = now;
    if (++this.#accepted > MEMORY) {
      this.#accepted /= 2;
      this.#ended /= 2;
    }
    if (!this.#isShortLived()) {
      this.#say();
      if (this.#hasMoreThanItsShare()) this.#stepBack();
    }
    return () => this.#end();
  }

  /** Likewise for a connection that was given to this worker: no other one could take it. */
  adopt(): () => void {
    this.#connections++;
    this.#say();
    return () => this.#end();
  }

  #end(): void {
    this.#connections--;
    this.#ended++;
    if (this.#connections === 0 || !this.#isShortLived()) this.#say();
  }

  /** Connections that end soon after they came spread by themselves, and would pay for nothing, not even for a write. */
  #isShortLived(): boolean {
    return this.#ended * 2 > this.#accepted;
  }

  #say(): void {
    if (!this.#isOpen || this.#said === this.#connections) return;
    this.#said = this.#connections;
    write(this.#place.fd, this.#place.slot, this.#connections + 1);
  }

  #hasMoreThanItsShare(): boolean {
    return this.#connections > this.#fewestElsewhere() + 1 + (this.#connections >> 3);
  }

  /** The connections of the worker that has the fewest, of the others. */
  #fewestElsewhere(): number {
    const { fd, slot } = this.#place;
    const length = readSync(fd, this.#table, 0, this.#table.length, 0);
    let fewest = Number.POSITIVE_INFINITY;
    for (let each = 0; each * ENTRY_BYTES < length; each++) {
      const value = this.#table.readInt32LE(each * ENTRY_BYTES);
      if (each !== slot && value !== ABSENT) fewest = Math.min(fewest, value - 1);
    }
    return fewest;
  }

  /** Stands still: what waits in the kernel's queue is another one's then. Nothing else keeps Node from accepting. */
  #stepBack(): void {
    const start = performance.now();
    const earned = (start - this.#steppedBackAt) * ALLOWANCE_PART;
    this.#allowance = Math.min(ALLOWANCE_MS, this.#allowance + earned);
    const end = start + Math.min(STEP_BACK_MS, this.#allowance);
    let look = FIRST_LOOK_MS;
    while (performance.now() < end && this.#hasMoreThanItsShare()) {
      Atomics.wait(this.#sleeper, 0, 0, look);
      look = Math.min(LONGEST_LOOK_MS, look * 2);
    }
    this.#steppedBackAt = performance.now();
    this.#allowance -= this.#steppedBackAt - start;
  }
}

function write(fd: number, slot: number, value: number): void {
  const entry = Buffer.allocUnsafe(ENTRY_BYTES);
  entry.writeInt32LE(value);
  try {
    writeSync(fd, entry, 0, ENTRY_BYTES, slot * ENTRY_BYTES);
  } catch {
    // The disk is full: connections spread as they come.
  }
}
