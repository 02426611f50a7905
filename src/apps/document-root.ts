/** A directory whose files are served or run. Symbolic links are followed as long as they stay inside it. */
import { realpath } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { errorCode } from '../errors.ts';
import { type FoundFile, isBelow, type OpenedFile, openFound } from '../files/opened-file.ts';
import { fromWorkingDirectory } from '../working-directory.ts';

/** The operating system's own function; that of `fs/promises` costs more. */
const nativeRealPath = promisify(realpath.native);

interface CachedPath {
  readonly found: FoundFile;
  readonly until: number;
}

/** Bounds the memory, since clients can make up any number of paths. */
const MAX_CACHED = 10_000;

export class DocumentRoot {
  readonly path: string;
  readonly #cacheMs: number;
  readonly #cache = new Map<string, CachedPath>();
  #real: string | undefined;

  /** @param cacheMs how long `open` remembers where a path leads, in milliseconds. */
  constructor(path: string, cacheMs: number = 0) {
    this.path = fromWorkingDirectory(path);
    this.#cacheMs = cacheMs;
  }

  /** The path of `names` in the directory, before symbolic links are followed. */
  join(names: readonly string[]): string {
    return join(this.path, ...names);
  }

  /**
   * Follows symbolic links. The root itself may be a link that changes while it is served (`current -> releases/7`), so it
   * is resolved again when a path seems to leave it.
   * @returns undefined if the path does not exist or leads outside.
   */
  async find(path: string): Promise<FoundFile | undefined> {
    const real = await findRealPath(path);
    if (real === undefined) return undefined;
    if (this.#real === undefined || !isBelow(real, this.#real)) this.#real = await findRealPath(this.path);
    const root = this.#real;
    return root === undefined || !isBelow(real, root) ? undefined : { real, root };
  }

  /**
   * Opens the file or directory that a path leads to. The caller closes it.
   * @returns undefined if the path does not exist or leads outside.
   * @throws the operating system's error if it cannot be opened.
   */
  async open(path: string): Promise<OpenedFile | undefined> {
    const known = this.#cache.get(path);
    if (known && performance.now() < known.until) {
      const file = await openFound(known.found);
      if (file) return file;
      // A link in the path has changed, for example to the next release.
      this.#cache.delete(path);
    }
    const found = await this.find(path);
    const file = found && (await openFound(found));
    if (file && this.#cacheMs > 0) this.#addToCache(path, file);
    return file;
  }

  #addToCache(path: string, { real, root }: FoundFile): void {
    if (this.#cache.size >= MAX_CACHED) this.#cache.clear();
    this.#cache.set(path, { found: { real, root }, until: performance.now() + this.#cacheMs });
  }
}

/** @returns undefined if the path does not exist or cannot be reached. */
export async function findRealPath(path: string): Promise<string | undefined> {
  try {
    return await nativeRealPath(path);
  } catch (error) {
    if (UNREACHABLE.has(errorCode(error) ?? '')) return undefined;
    throw error;
  }
}

const UNREACHABLE: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG', 'EACCES', 'EINVAL']);
