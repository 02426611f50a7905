/**
 * A file that any number of processes append lines to. Lines wait up to a tenth of a second and are written together in one
 * write in append mode, so that no process's line ends up inside another's.
 */
import { closeSync, fstatSync, type Stats, statSync, writeSync } from 'node:fs';
import { errorMessage } from '../../errors.ts';
import { asUserOf, type FileUser, openToAppend } from '../../files/user-files.ts';
import { printableLine } from '../../printable.ts';

/** How long a line may wait, in milliseconds, which is the most that a killed process loses. */
const MAX_WAIT_MS = 100;
/** A batch of this many UTF-16 units, which are bytes in most lines, is written at once. */
const BATCH_LENGTH = 131_072;
/** The most bytes that are kept while the file cannot be written. */
const LONGEST_BACKLOG = 1_048_576;
/** Milliseconds before the next attempt to write a file that could not be written, if no new line comes. */
const RETRY_MS = 1000;
const LINE_END = 10;

export interface LineFileOptions {
  /** Whether to empty the file first. */
  readonly truncate?: boolean;
  /** Whether to open the file only when the first line comes. */
  readonly delay?: boolean;
  /** The user that root serves as: the file is opened, and rotated, with that user's rights. */
  readonly user?: FileUser | undefined;
  /** Fewer bytes than this may be written together. Called for the first line of a batch. */
  readonly room?: () => number;
  /** Called before lines are written, with their length in bytes, so that the file can be rotated. */
  readonly beforeWrite?: (length: number) => void;
}

export class LineFile {
  readonly path: string;
  readonly #options: LineFileOptions;
  #fd: number | undefined;
  readonly #batch = new LineBatch();
  #batchBegan = 0;
  /** Bytes for which the file has room after those that wait. */
  #room = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  /** Bytes that could not be written yet; they may begin in the middle of a line. */
  #unwritten: Buffer = Buffer.alloc(0);
  #dropped = 0;
  #isFailing = false;
  #isRotationFailing = false;

  /** @throws Error (a system error) if the file cannot be opened, unless `delay` is set. */
  constructor(path: string, options: LineFileOptions = {}) {
    this.path = path;
    this.#options = options;
    if (!options.delay) this.#open(options.truncate);
  }

  /** @param line without its line end. @param now milliseconds since 1970 */
  add(line: string, now: number): void {
    if (this.#batch.length > 0 && this.#sizeOf(line) >= this.#room) this.flush();
    if (this.#batch.length === 0) {
      this.#batchBegan = now;
      this.#room = this.#options.room?.() ?? Number.POSITIVE_INFINITY;
      this.#timer ??= setTimeout(() => this.#onTimer(), MAX_WAIT_MS).unref();
    }
    this.#batch.add(line);
    this.#room -= this.#sizeOf(line);
    // The timer cannot fire while the application computes. A negative time means that the clock was set back.
    const waited = now - this.#batchBegan;
    if (this.#batch.length >= BATCH_LENGTH || waited >= MAX_WAIT_MS || waited < 0) this.flush();
  }

  /** In bytes, which are counted only if the room is limited. */
  #sizeOf(line: string): number {
    return this.#room === Number.POSITIVE_INFINITY ? 0 : Buffer.byteLength(line) + 1;
  }

  #onTimer(): void {
    this.#timer = undefined;
    this.flush();
  }

  /** Writes what waits. A failure is reported once, and lines are kept for later up to LONGEST_BACKLOG. */
  flush(): void {
    if (this.#batch.length > 0) this.#queue(this.#batch.take());
    const batch = this.#unwritten;
    if (batch.length === 0) return;
    try {
      if (this.#fd === undefined) this.#open();
      this.#rotate(batch.length);
      this.#write();
      // Another process renamed and removed the file between the check of its name and the write, so the lines are written again.
      if (this.stat()?.nlink === 0) {
        this.#unwritten = batch;
        this.reopen();
        this.#write();
      }
      this.#recover();
    } catch (error) {
      this.#fail(error);
      this.#timer ??= setTimeout(() => this.#onTimer(), RETRY_MS).unref();
    }
  }

  /** Adds a batch to the unwritten bytes, or drops it and counts its lines if there are too many. */
  #queue(batch: Buffer): void {
    // As long as no write has failed, a batch is written however long it is.
    if (this.#unwritten.length > 0 && this.#unwritten.length + batch.length > LONGEST_BACKLOG) {
      for (const byte of batch) if (byte === LINE_END) this.#dropped++;
    } else {
      this.#unwritten = this.#unwritten.length > 0 ? Buffer.concat([this.#unwritten, batch]) : batch;
    }
  }

  /** Keeps the rest if an almost full disk takes only a part. @throws Error (a system error) */
  #write(): void {
    while (this.#fd !== undefined && this.#unwritten.length > 0) {
      this.#unwritten = this.#unwritten.subarray(writeSync(this.#fd, this.#unwritten));
    }
  }

  /** If the file cannot be rotated, lines are still written to the open one. */
  #rotate(length: number): void {
    try {
      this.#options.beforeWrite?.(length);
      this.#isRotationFailing = false;
    } catch (error) {
      if (!this.#isRotationFailing) this.#report('rotate', error);
      this.#isRotationFailing = true;
    }
  }

  /** Does work on files next to this one with the rights that this file is opened with. */
  asUser<T>(work: () => T): T {
    return asUserOf(this.path, this.#options.user, work);
  }

  /** The status of the open file; undefined if none is open. */
  stat(): Stats | undefined {
    return this.#fd === undefined ? undefined : fstatSync(this.#fd);
  }

  /** Whether the name means another file than the open one, or none. */
  hasMoved(): boolean {
    const open = this.stat();
    if (!open) return false;
    const named = statSync(this.path, { throwIfNoEntry: false });
    return named === undefined || named.ino !== open.ino || named.dev !== open.dev;
  }

  /** Opens the file that has the name now. @throws Error if it cannot be opened; then the old one stays open. */
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
    this.#report('write', error);
  }

  #recover(): void {
    if (!this.#isFailing) return;
    this.#isFailing = false;
    const lost = this.#dropped === 0 ? '' : `; ${this.#dropped} lines were dropped`;
    this.#dropped = 0;
    process.stderr.write(`${printableLine(`paster: the log file ${this.path} can be written again${lost}`)}\n`);
  }

  #report(verb: string, error: unknown): void {
    process.stderr.write(
      `${printableLine(`paster: cannot ${verb} the log file ${this.path}: ${errorMessage(error)}`)}\n`,
    );
  }
}

/** How many lines are converted to bytes at once, which costs hardly more than converting one. */
const LINES_PER_CONVERSION = 16;
/** The size of the first buffer: enough for a process that logs little. */
const FIRST_SIZE = 16_384;
/** A buffer that a huge line has made larger than this is dropped afterwards. */
const LARGEST_KEPT = 262_144;
const MAX_BYTES_PER_UNIT = 3;

/**
 * Lines that wait to be written together. They are converted to bytes early: V8 keeps a string that is joined piece by piece
 * as a tree until it is read, and keeping and walking these trees costs more than everything else about a line.
 */
export class LineBatch {
  #lines: string[] = [];
  #bytes = Buffer.allocUnsafeSlow(FIRST_SIZE);
  #filled = 0;
  #length = 0;

  /** In UTF-16 units, which are bytes in most lines. */
  get length(): number {
    return this.#length;
  }

  /** @param line without its line end */
  add(line: string): void {
    this.#length += line.length + 1;
    if (this.#lines.push(line) === LINES_PER_CONVERSION) this.#fill();
  }

  /** Returns what has waited, as bytes, and empties the batch. */
  take(): Buffer {
    this.#fill();
    const taken = Buffer.from(this.#bytes.subarray(0, this.#filled));
    this.#filled = 0;
    this.#length = 0;
    if (this.#bytes.length > LARGEST_KEPT) this.#bytes = Buffer.allocUnsafeSlow(FIRST_SIZE);
    return taken;
  }

  #fill(): void {
    if (this.#lines.length === 0) return;
    // So that the last line has an end too.
    this.#lines.push('');
    const text = this.#lines.join('\n');
    this.#lines = [];
    const most = this.#filled + text.length * MAX_BYTES_PER_UNIT;
    if (most > this.#bytes.length) this.#grow(most);
    this.#filled += this.#bytes.write(text, this.#filled);
  }

  #grow(least: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(least, 2 * this.#bytes.length));
    this.#bytes.copy(larger, 0, 0, this.#filled);
    this.#bytes = larger;
  }
}
