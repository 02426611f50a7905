/** A directory whose files are served or run, and none outside it: symbolic links are followed as long as they stay inside. */
import { realpath, type Stats } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';
import { promisify } from 'node:util';
import { errorCode } from '../errors.ts';

/** The operating system's own; that of `fs/promises` costs more. */
const nativeRealPath = promisify(realpath.native);

/** Where a path leads. */
export interface Found {
  /** Without symbolic links. */
  readonly real: string;
  /** The directory that it lies below, likewise. */
  readonly root: string;
  /** Its path below that, as the path of a URL. */
  readonly url: string;
  /** Of one that was looked up some time ago: which file that was, in the words of `fileOf`. */
  readonly remembered: string | undefined;
}

interface Remembered {
  readonly found: Found;
  readonly until: number;
}

/** Two files are never the same in this at one time. */
export function fileOf({ dev, ino }: Stats): string {
  return `${dev}:${ino}`;
}

/** So that paths that clients make up (there are many ways to write one) do not fill the memory. */
const MAX_REMEMBERED = 10_000;

export class DocumentRoot {
  readonly path: string;
  readonly #milliseconds: number;
  readonly #remembered = new Map<string, Remembered>();
  #real: string | undefined;

  /** @param milliseconds for so long it is remembered where a path leads. */
  constructor(path: string, milliseconds: number = 0) {
    this.path = resolve(path);
    this.#milliseconds = milliseconds;
  }

  /** The path of `names`, before symbolic links are followed. */
  join(names: readonly string[]): string {
    return join(this.path, ...names);
  }

  /**
   * Follows symbolic links. The directory itself may be one that is exchanged while it is served (`current ->
   * releases/7`), so where a path seems to leave it, the directory is looked up anew.
   * @returns undefined for what is not there, or not inside.
   */
  async find(path: string): Promise<Found | undefined> {
    const known = this.#remembered.get(path);
    if (known && performance.now() < known.until) return known.found;
    const real = await realPath(path);
    if (real === undefined) return undefined;
    if (this.#real === undefined || !isBelow(real, this.#real)) this.#real = await realPath(this.path);
    const root = this.#real;
    if (root === undefined || !isBelow(real, root)) return undefined;
    return { real, root, url: urlPath(real, root), remembered: undefined };
  }

  /**
   * Remembers where a path leads, and which file that is: a directory on the way can become a symbolic link that leads out,
   * so what is served by heart has to be the file that it was.
   */
  remember(path: string, found: Found, stats: Stats): void {
    if (this.#milliseconds === 0) return;
    if (this.#remembered.size >= MAX_REMEMBERED) this.#remembered.clear();
    const known = { ...found, remembered: fileOf(stats) };
    this.#remembered.set(path, { found: known, until: performance.now() + this.#milliseconds });
  }

  /** What was found there is not there any more. */
  forget(path: string): void {
    this.#remembered.delete(path);
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

/** Whether a path is a directory, or lies in it. */
export function isBelow(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory.endsWith(sep) ? directory : directory + sep);
}

/** A path below a directory as the path of a URL. */
export function urlPath(path: string, root: string): string {
  return `/${relative(root, path).split(sep).map(encodeURIComponent).join('/')}`;
}
