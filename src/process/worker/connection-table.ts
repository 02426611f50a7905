/** The file in which workers note how many connections they hold: the supervisor's side of `accept-balancer.ts`. */
import { closeSync, ftruncateSync, mkdtempSync, openSync, readSync, rmdirSync, unlinkSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Bytes of the entry of a worker. */
export const ENTRY_BYTES = 4;
/** Further workers are not balanced. */
export const SLOTS = 256;
/** The entry of a worker that does not accept. The entry of one that does is the number of its connections plus 1. */
export const ABSENT = 0;
/** Added to the entry of a worker that refuses requests. */
export const BUSY = 2 ** 30;

/** The file, and which worker writes where. */
export class ConnectionTable {
  readonly fd: number;
  readonly #reserved = new Set<number>();
  #isClosed = false;

  private constructor(fd: number) {
    this.fd = fd;
  }

  /** Undefined if a temporary file cannot be created; then connections are not balanced. */
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

  /** Reserves a slot for a worker. */
  reserve(): number | undefined {
    for (let slot = 0; slot < SLOTS; slot++) {
      if (this.#reserved.has(slot)) continue;
      this.#reserved.add(slot);
      return slot;
    }
    return undefined;
  }

  /** Frees the slot of a worker that has ended. */
  release(slot: number | undefined): void {
    if (slot === undefined || this.#isClosed) return;
    writeEntry(this.fd, slot, ABSENT);
    this.#reserved.delete(slot);
  }

  /** How many connections a worker holds, by its own entry. */
  connections(slot: number): number {
    const entry = Buffer.alloc(ENTRY_BYTES);
    if (!this.#isClosed) readSync(this.fd, entry, 0, ENTRY_BYTES, slot * ENTRY_BYTES);
    const value = entry.readInt32LE() % BUSY;
    return value === ABSENT ? 0 : value - 1;
  }

  close(): void {
    this.#isClosed = true;
    closeSync(this.fd);
  }
}

/** A worker's slot in the table, with the descriptor that it inherits. */
export interface TablePlace {
  readonly fd: number;
  readonly slot: number;
}

/** Sets the entry of a worker. */
export function writeEntry(fd: number, slot: number, value: number): void {
  const entry = Buffer.allocUnsafe(ENTRY_BYTES);
  entry.writeInt32LE(value);
  try {
    writeSync(fd, entry, 0, ENTRY_BYTES, slot * ENTRY_BYTES);
  } catch {
    // The disk is full: connections are not balanced.
  }
}
