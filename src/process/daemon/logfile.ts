/**
 * `--log-file`: sends the standard output and error of a process to a file. After a USR1, opens the file of this name again, so
 * that the old one can be rotated. Runs in the supervisor, in its workers, and in a process that serves alone.
 *
 * Node has no `dup2`, so the descriptors 1 and 2 stay the same; only `process.stdout` and `process.stderr` follow. A library
 * that writes to descriptor 1 by number keeps writing to the file that the process was started with, until the process is
 * replaced (HUP).
 */
import { closeSync, fstatSync, readFileSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { errorCode, errorMessage, RunError } from '../../errors.ts';
import { type FileUser, openToAppend, openToRead } from '../../files/user-files.ts';

type Write = typeof process.stdout.write;

export class LogFile {
  readonly path: string;
  readonly #user: FileUser | undefined;
  #fd: number;
  #lost = 0;
  #restore: (() => void) | undefined;

  /**
   * Opens the file to append.
   * @param user the user that root serves as, with whose rights a file is opened if others can change its directory
   * @throws RunError when it cannot be opened.
   */
  constructor(path: string, user?: FileUser) {
    this.path = path;
    this.#user = user;
    this.#fd = open(path, user);
  }

  /** For the standard output of children. */
  get fd(): number {
    return this.#fd;
  }

  /** In bytes. */
  get size(): number {
    return fstatSync(this.#fd).size;
  }

  /** The text after the first `start` bytes of the file that has the name now; empty if it cannot be read. */
  textSince(start: number): string {
    try {
      const fd = openToRead(this.path, this.#user);
      try {
        return fstatSync(fd).isFile() ? readFileSync(fd).subarray(start).toString() : '';
      } finally {
        closeSync(fd);
      }
    } catch {
      return '';
    }
  }

  write(text: string | Uint8Array): void {
    try {
      if (this.#lost > 0) writeSync(this.#fd, `paster: ${this.#lost} writes to this file were lost\n`);
      this.#lost = 0;
      if (typeof text === 'string') writeSync(this.#fd, text);
      else writeSync(this.#fd, text);
    } catch {
      // The disk is full: serving matters more.
      this.#lost++;
    }
  }

  /** Sends this process's standard output and error to the file. */
  capture(): void {
    if (this.#restore) return;
    const streams = [process.stdout, process.stderr];
    const before = streams.map((stream) => ({ write: stream.write, isTTY: stream.isTTY }));
    const write: Write = (text, encodingOrDone?: unknown, done?: unknown) => {
      const encoding = typeof encodingOrDone === 'string' ? (encodingOrDone as BufferEncoding) : 'utf8';
      this.write(typeof text === 'string' && encoding !== 'utf8' ? Buffer.from(text, encoding) : text);
      const callback = typeof encodingOrDone === 'function' ? encodingOrDone : done;
      if (typeof callback === 'function') process.nextTick(callback);
      return true;
    };
    for (const stream of streams) Object.assign(stream, { write, isTTY: false });
    this.#restore = () => {
      for (const [index, stream] of streams.entries()) Object.assign(stream, before[index]);
    };
  }

  /** Undoes `capture`: for a message to the terminal. */
  release(): void {
    this.#restore?.();
    this.#restore = undefined;
  }

  /** Opens the file again after it was renamed. @throws RunError, and keeps the old file, when it cannot be opened. */
  reopen(): void {
    const fd = open(this.path, this.#user);
    closeSync(this.#fd);
    this.#fd = fd;
  }
}

function open(path: string, user: FileUser | undefined): number {
  try {
    return openToAppend(path, { user });
  } catch (cause) {
    throw new RunError('PASTER_LOG_FILE', `cannot write the log file ${path}: ${errorMessage(cause)}`, {
      hint: errorCode(cause) === 'ENOENT' ? `create its directory: mkdir -p ${dirname(path)}` : undefined,
      cause,
    });
  }
}
