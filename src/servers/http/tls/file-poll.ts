/**
 * Notices that files have changed, with a look at each once a second: it costs a few system calls, works on every file system, and
 * sees a symbolic link on the path that leads elsewhere now, as with certbot and Kubernetes.
 */
import { stat } from 'node:fs/promises';
import { errorCode } from '../../../errors.ts';

const PERIOD_MS = 1000;
/** Files that have changed are read when they have stayed the same for this long: several may be written one after another. */
const SETTLED_MS = 250;

export class FilePoll {
  readonly #files: readonly string[];
  readonly #read: () => boolean;
  #timer: NodeJS.Timeout | undefined;
  #stamp: string | undefined;
  #isUnread = false;
  #isStopped = false;

  /** @param read called when the files have changed; false: it is called again until it returns true */
  constructor(files: readonly string[], read: () => boolean) {
    this.#files = [...new Set(files)];
    this.#read = read;
    this.#lookIn(PERIOD_MS);
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  #lookIn(milliseconds: number): void {
    this.#timer = setTimeout(() => void this.#look(), milliseconds);
    this.#timer.unref();
  }

  async #look(): Promise<void> {
    const stamp = (await Promise.all(this.#files.map(stampOf))).join('\n');
    if (this.#isStopped) return;
    const isNew = stamp !== this.#stamp;
    this.#stamp = stamp;
    if (isNew) this.#isUnread = true;
    else if (this.#isUnread) this.#isUnread = !this.#read();
    this.#lookIn(isNew ? SETTLED_MS : PERIOD_MS);
  }
}

/** Differs after every change of what is at the path; times alone could be those of an older file. */
async function stampOf(file: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
  } catch (error) {
    return errorCode(error) ?? 'unknown';
  }
}
