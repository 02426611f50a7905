/**
 * A directory that stays the same while files in it are made, moved and removed, whatever becomes of its path in the
 * meantime: on Linux it is held open and reached by its descriptor. Other systems have no such paths.
 */
import { closeSync, constants, fstatSync, openSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { exposureOf, isExposed, O_PATH } from '../path-steps.ts';

export class HeldDirectory {
  /** Whether users other than root and this process's own can put files into it, or make its path lead elsewhere. */
  readonly exposed: boolean;
  readonly #path: string;
  readonly #fd: number | undefined;

  /**
   * Opens the directory of a file.
   * @throws Error where another user controls the way to a directory that is root's or this user's own: it may have been
   *   led there.
   */
  constructor(file: string) {
    this.#path = dirname(file);
    this.#fd = process.platform === 'linux' ? openSync(this.#path, O_PATH | constants.O_DIRECTORY) : undefined;
    try {
      const stat = this.#fd === undefined ? statSync(this.#path) : fstatSync(this.#fd);
      if (!stat.isDirectory()) throw new Error(`${this.#path} is not a directory`);
      const { way, inside } = exposureOf(this.#path);
      if (way !== undefined && process.geteuid?.() === 0 && !isExposed(stat)) {
        throw new Error(`another user controls ${way} and can make the path lead elsewhere`);
      }
      this.exposed = way !== undefined || inside;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** A path for a file in the directory; only its last component counts. */
  at(file: string): string {
    return join(this.#fd === undefined ? this.#path : `/proc/self/fd/${this.#fd}`, basename(file));
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
  }
}
