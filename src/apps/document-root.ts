/** A directory whose files are served or run, and none outside it: symbolic links are followed as long as they stay inside. */
import { realpath } from 'node:fs/promises';
import { join, relative, resolve, sep } from 'node:path';
import { errorCode } from '../errors.ts';

/** Where a path leads. */
export interface Found {
  /** Without symbolic links. */
  readonly real: string;
  /** The directory that it lies below, likewise. */
  readonly root: string;
}

export class DocumentRoot {
  readonly path: string;
  #real: string | undefined;

  constructor(path: string) {
    this.path = resolve(path);
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
    const real = await realPath(path);
    if (real === undefined) return undefined;
    if (this.#real === undefined || !isBelow(real, this.#real)) this.#real = await realPath(this.path);
    return this.#real !== undefined && isBelow(real, this.#real) ? { real, root: this.#real } : undefined;
  }
}

/** @returns undefined for what is not there, or cannot be reached. */
export async function realPath(path: string): Promise<string | undefined> {
  try {
    return await realpath(path);
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
