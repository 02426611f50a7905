/**
 * A directory that stays the same while paster creates, moves and removes files in it, even if its path changes: on Linux
 * it is held open and reached by its descriptor. Other systems have no such paths.
 */
import { closeSync, constants, fstatSync, openSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { exposureOf, isShared, O_PATH } from './path-steps.ts';

export class DirectoryHandle {
  /** Whether users other than root and the process's own user can create files in it, or make its path lead elsewhere. */
  readonly exposed: boolean;
  readonly #path: string;
  readonly #fd: number | undefined;

  /**
   * Opens the directory of a file.
   * @throws Error if another user controls the path to a directory of root's or of this user's own: that user may have
   *   chosen the directory.
   */
  constructor(file: string) {
    this.#path = dirname(file);
    this.#fd = process.platform === 'linux' ? openSync(this.#path, O_PATH | constants.O_DIRECTORY) : undefined;
    try {
      const stat = this.#fd === undefined ? statSync(this.#path) : fstatSync(this.#fd);
      if (!stat.isDirectory()) throw new Error(`${this.#path} is not a directory`);
      const { exposedAbove, exposedInside } = exposureOf(this.#path);
      if (exposedAbove !== undefined && process.geteuid?.() === 0 && !isShared({ kind: 'directory', stat }, true)) {
        throw new Error(`another user controls ${exposedAbove} and can make the path lead elsewhere`);
      }
      this.exposed = exposedAbove !== undefined || exposedInside;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The path of a file in the directory; only the last component of `file` counts. */
  at(file: string): string {
    return join(this.#fd === undefined ? this.#path : `/proc/self/fd/${this.#fd}`, basename(file));
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
  }
}
