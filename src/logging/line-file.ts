/**
 * A file that lines are added to, by any number of processes at once. Lines wait for company, a tenth of a second at
 * most, and go out in one write in append mode, so that nobody's line stands within another's.
 */
import { closeSync, fchownSync, fstatSync, openSync, type Stats, statSync } from 'node:fs';
import sonicBoom from 'sonic-boom';
import { errorMessage, printableLine } from '../errors.ts';
import { LineBatch } from './line-batch.ts';

/** How long a line may wait, in milliseconds: what a process that is killed loses at most. */
const LONGEST_WAIT_MS = 100;
/** After so many bytes, or what are bytes of most lines, nothing waits. */
const BATCH_LENGTH = 131_072;
/** Bytes that are kept while a disk is full. */
const LONGEST_BACKLOG = 1_048_576;

export interface FileOwner {
  readonly user: number;
  readonly group: number;
}

/** What is needed of sonic-boom. */
interface BatchWriter {
  write(batch: Buffer): boolean;
  end(): void;
}

export interface LineFileOptions {
  /** Begins anew instead of adding to what is there. */
  readonly truncate?: boolean;
  /** Opens the file when the first line comes. */
  readonly delay?: boolean;
  /** Whose the file is to be, where root opens it for processes that are not root. */
  readonly owner?: FileOwner | undefined;
  /** How many bytes may be written together: less than that. Asked when the first of them comes. */
  readonly room?: () => number;
  /** Called before lines are written, with their length in bytes: the moment to go over to another file. */
  readonly beforeWrite?: (length: number) => void;
}

export class LineFile {
  readonly path: string;
  readonly #options: LineFileOptions;
  #fd: number | undefined;
  #out: BatchWriter | undefined;
  readonly #batch = new LineBatch();
  #batchBegan = 0;
  /** Bytes that the file has room for behind those that wait. */
  #room = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #isFailing = false;
  #isStuck = false;

  /** @throws Error (a system error) where it cannot be opened, unless it is opened later. */
  constructor(path: string, options: LineFileOptions = {}) {
    this.path = path;
    this.#options = options;
    if (!options.delay) this.#open(options.truncate ? 'w' : 'a');
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

  /** Writes what waits. A failure is said once; lines are kept for later, as long as they are few. */
  flush(): void {
    if (this.#batch.length === 0) return;
    const batch = this.#batch.take();
    try {
      if (this.#fd === undefined) this.#open('a');
      this.#goOver(batch.length);
      this.#out?.write(batch);
      // Renamed and removed by others between the look at its name and the write: they had seen none of these lines.
      if (this.#fd !== undefined && fstatSync(this.#fd).nlink === 0) {
        this.reopen();
        this.#out?.write(batch);
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Lines that wait are worth more than a name: where the file cannot be left, they go to the one that is open. */
  #goOver(length: number): void {
    try {
      this.#options.beforeWrite?.(length);
      this.#isStuck = false;
    } catch (error) {
      if (!this.#isStuck) this.#say('put', ' aside', error);
      this.#isStuck = true;
    }
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
    const before = this.#out;
    this.#open('a');
    before?.end();
  }

  close(): void {
    this.flush();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#out?.end();
    this.#out = undefined;
    this.#fd = undefined;
  }

  #open(how: 'a' | 'w'): void {
    // What is written must always go to the end, wherever other processes have brought that.
    if (how === 'w') closeSync(openSync(this.path, 'w', 0o640));
    const fd = openSync(this.path, 'a', 0o640);
    const { owner } = this.#options;
    if (owner && process.getuid?.() === 0) fchownSync(fd, owner.user, owner.group);
    const out = new sonicBoom.SonicBoom({ fd, sync: true, maxLength: LONGEST_BACKLOG, contentMode: 'buffer' });
    out.on('error', (error: Error) => this.#fail(error));
    out.on('write', () => {
      this.#isFailing = false;
    });
    this.#fd = fd;
    // Its declarations know of texts only.
    this.#out = out as unknown as BatchWriter;
  }

  #fail(error: unknown): void {
    if (this.#isFailing) return;
    this.#isFailing = true;
    this.#say('write', '', error);
  }

  #say(verb: string, particle: string, error: unknown): void {
    process.stderr.write(
      `${printableLine(`paster: cannot ${verb} the log file ${this.path}${particle}: ${errorMessage(error)}`)}\n`,
    );
  }
}
