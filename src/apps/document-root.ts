/** A directory whose files are served or run, and none outside it: symbolic links are followed as long as they stay inside. */
import { realpath } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { errorCode } from '../errors.ts';
import { fromWorkingDirectory } from '../working-directory.ts';
import { type Found, isBelow, type OpenedFile, openFound } from './opened-file.ts';

/** The operating system's own; that of `fs/promises` costs more. */
const nativeRealPath = promisify(realpath.native);

interface Remembered {
  readonly found: Found;
  readonly until: number;
}

/** So that paths that clients make up (there are many ways to write one) do not fill the memory. */
const MAX_REMEMBERED = 10_000;

export class DocumentRoot {
  readonly path: string;
  readonly #milliseconds: number;
  readonly #remembered = new Map<string, Remembered>();
  #real: string | undefined;

  /** @param milliseconds how long `open` remembers where a path leads. */
  constructor(path: string, milliseconds: number = 0) {
    this.path = fromWorkingDirectory(path);
    this.#milliseconds = milliseconds;
  }

  /** The path of `names`, before symbolic links are followed. */
  join(names: readonly string[]): string {
    return join(this.path, ...names);
  }

  /**
   * Follows symbolic links. The root itself may be a link that is changed while it is served (`current -> releases/7`),
   * so the root is resolved again when a path seems to leave it.
   * @returns undefined for what is not there, or not inside.
   */
  async find(path: string): Promise<Found | undefined> {
    const real = await realPath(path);
    if (real === undefined) return undefined;
    if (this.#real === undefined || !isBelow(real, this.#real)) this.#real = await realPath(this.path);
    const root = this.#real;
    return root === undefined || !isBelow(real, root) ? undefined : { real, root };
  }

  /**
   * Opens what a path leads to. The caller closes it.
   * @returns undefined for what is not there, or not inside.
   * @throws the operating system's error where it cannot be opened.
   */
  async open(path: string): Promise<OpenedFile | undefined> {
    const known = this.#remembered.get(path);
    if (known && performance.now() < known.until) {
      const file = await openFound(known.found);
      if (file) return file;
      // A link on the way leads elsewhere by now, such as to the next release.
      this.#remembered.delete(path);
    }
    const found = await this.find(path);
    const file = found && (await openFound(found));
    if (file && this.#milliseconds > 0) this.#remember(path, file);
    return file;
  }

  #remember(path: string, { real, root }: Found): void {
    if (this.#remembered.size >= MAX_REMEMBERED) this.#remembered.clear();
    this.#remembered.set(path, { found: { real, root }, until: performance.now() + this.#milliseconds });
  }
}

/** @returns undefined for what is not there, or cannot be reached. */
export async function realPath(path: string): Promise<string | undefined> {
  try {
    return await nativeRealPath(path);
  } catch (error) {
    if (NOT_THERE.has(errorCode(error) ?? '')) return undefined;
    throw error;
  }
}

const NOT_THERE: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG', 'EACCES', 'EINVAL']);
