/**
 * A file that lines are added to, by any number of processes at once. Lines wait for others for a tenth of a second at
 * most and go out in one write in append mode, so that no process's line ends up inside another's.
 */
import { closeSync, fstatSync, type Stats, statSync, writeSync } from 'node:fs';
import { errorMessage, printableLine } from '../errors.ts';
import { asUserOf, type FileUser, openToAppend } from '../user-files.ts';
import { LineBatch } from './line-batch.ts';

/** How long a line may wait, in milliseconds: what a process that is killed loses at most. */
const LONGEST_WAIT_MS = 100;
/** After so many bytes, or what are bytes of most lines, nothing waits. */
const BATCH_LENGTH = 131_072;
/** Bytes that are kept while the file cannot be written. */
const LONGEST_BACKLOG = 1_048_576;
/** How long to wait before a file that cannot be written is tried again without a new line, in milliseconds. */
const RETRY_MS = 1000;
const LINE_END = 10;

export interface LineFileOptions {
  /** Empties the file first. */
  readonly truncate?: boolean;
  /** Opens the file when the first line comes. */
  readonly delay?: boolean;
  /** The user that root serves as: the file is opened, and rotated, with that user's rights. */
  readonly user?: FileUser | undefined;
  /** How many bytes may be written together: less than that. Asked when the first of them comes. */
  readonly room?: () => number;
  /** Called before lines are written, with their length in bytes: the moment to go over to another file. */
  readonly beforeWrite?: (length: number) => void;
}

export class LineFile {
  readonly path: string;
  readonly #options: LineFileOptions;
  #fd: number | undefined;
  readonly #batch = new LineBatch();
  #batchBegan = 0;
  /** Bytes that the file has room for behind those that wait. */
  #room = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  /** What could not be written yet; it may begin within a line. */
  #unwritten: Buffer = Buffer.alloc(0);
  #dropped = 0;
  #isFailing = false;
  #isStuck = false;

  /** @throws Error (a system error) where it cannot be opened, unless it is opened later. */
  constructor(path: string, options: LineFileOptions = {}) {
    this.path = path;
    this.#options = options;
    if (!options.delay) this.#open(options.truncate);
  }

  /** @param line without its end. @param now milliseconds since 1970 */
  add(line: string, now: number): void {
    if (this.#batch.length > 0 && this.#sizeOf(line) >= this.#room) this.flush();
    if (this.#batch.length === 0) {
      this.#batchBegan = now;
      this.#room = this.#options.room?.() ?? Number.POSITIVE_INFINITY;
      this.#timer ??= setTimeout(() => this.#tick(), LONGEST_WAIT_MS).unref();
    }
    this.#batch.add(line);
    this.#room -= this.#sizeOf(line);
    // A timer says nothing while the application computes; a clock that is set back says nothing either.
    const waited = now - this.#batchBegan;
    if (this.#batch.length >= BATCH_LENGTH || waited >= LONGEST_WAIT_MS || waited < 0) this.flush();
  }

  /** In bytes, which are counted only where room is not without end. */
  #sizeOf(line: string): number {
    return this.#room === Number.POSITIVE_INFINITY ? 0 : Buffer.byteLength(line) + 1;
  }

  #tick(): void {
    this.#timer = undefined;
    this.flush();
  }

  /** Writes what waits. A failure is reported once; lines are kept for later as long as they are few. */
  flush(): void {
    if (this.#batch.length > 0) this.#keep(this.#batch.take());
    const batch = this.#unwritten;
    if (batch.length === 0) return;
    try {
      if (this.#fd === undefined) this.#open();
      this.#goOver(batch.length);
      this.#write();
      // Renamed and removed by others between the look at its name and the write: nobody has seen these lines.
      if (this.stat()?.nlink === 0) {
        this.#unwritten = batch;
        this.reopen();
        this.#write();
      }
      this.#recover();
    } catch (error) {
      this.#fail(error);
      this.#timer ??= setTimeout(() => this.#tick(), RETRY_MS).unref();
    }
  }

  /** Adds to what is not written yet, or counts the lines if that is too much. */
  #keep(batch: Buffer): void {
    // What has not failed yet is written, however long it is.
    if (this.#unwritten.length > 0 && this.#unwritten.length + batch.length > LONGEST_BACKLOG) {
      for (const byte of batch) if (byte === LINE_END) this.#dropped++;
    } else {
      this.#unwritten = this.#unwritten.length > 0 ? Buffer.concat([this.#unwritten, batch]) : batch;
    }
  }

  /** A disk that is almost full takes a part; the rest stays. @throws Error (a system error) */
  #write(): void {
    while (this.#fd !== undefined && this.#unwritten.length > 0) {
      this.#unwritten = this.#unwritten.subarray(writeSync(this.#fd, this.#unwritten));
    }
  }

  /** If the file cannot be rotated, lines go on in the one that is open. */
  #goOver(length: number): void {
    try {
      this.#options.beforeWrite?.(length);
      this.#isStuck = false;
    } catch (error) {
      if (!this.#isStuck) this.#say('rotate', error);
      this.#isStuck = true;
    }
  }

  /** Does file work beside this file with the rights that the file is opened with. */
  asUser<T>(work: () => T): T {
    return asUserOf(this.path, this.#options.user, work);
  }

  /** The file that is open, if one is: its size, and by its number which one it is. */
  stat(): Stats | undefined {
    return this.#fd === undefined ? undefined : fstatSync(this.#fd);
  }

  /** Whether the file of this name is another one than the one that is open, or gone. */
  hasMoved(): boolean {
    const open = this.stat();
    if (!open) return false;
    const named = statSync(this.path, { throwIfNoEntry: false });
    return named === undefined || named.ino !== open.ino || named.dev !== open.dev;
  }

  /** Goes on in the file that has the name now. @throws Error where that cannot be opened; the old one stays. */
  reopen(): void {
    if (this.#fd === undefined) return;
    const before = this.#fd;
    this.#open();
    closeSync(before);
  }

  close(): void {
    this.flush();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #open(truncate = false): void {
    const { user } = this.#options;
    this.#fd = openToAppend(this.path, { user, giveToUser: true, truncate });
  }

  #fail(error: unknown): void {
    if (this.#isFailing) return;
    this.#isFailing = true;
    this.#say('write', error);
  }

  #recover(): void {
    if (!this.#isFailing) return;
    this.#isFailing = false;
    const lost = this.#dropped === 0 ? '' : `; ${this.#dropped} lines were dropped`;
    this.#dropped = 0;
    process.stderr.write(`${printableLine(`paster: the log file ${this.path} can be written again${lost}`)}\n`);
  }

  #say(verb: string, error: unknown): void {
    process.stderr.write(
      `${printableLine(`paster: cannot ${verb} the log file ${this.path}: ${errorMessage(error)}`)}\n`,
    );
  }
}
