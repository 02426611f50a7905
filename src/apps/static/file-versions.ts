/**
 * Versions of static files, and URLs that contain them: a version is a hash of the content, as in Tornado's `static_url`. A
 * hash is cached until the file changes. The directories are watched, so an unchanged file costs no input or output. A change
 * that the watch does not report (a parent of the whole tree is renamed, another machine writes to a network disk) is detected
 * when the file is served, because its size and times are compared then.
 */
import { createHash } from 'node:crypto';
import {
  createReadStream,
  type FSWatcher,
  fstatSync,
  readSync,
  realpathSync,
  type Stats,
  statSync,
  watch,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { closeFile, isBelow, type OpenedFile, openFound, openFoundSync } from '../../files/opened-file.ts';
import { DocumentRoot } from '../document-root.ts';

export interface FileVersion {
  /** The first 80 bits of the content's SHA-256, in hexadecimal. */
  readonly hash: string;
  /** The file's `fileIdentity` when it was hashed. */
  readonly identity: string;
}

interface CachedVersion extends FileVersion {
  readonly real: string;
  /** Whether a watch reports changes; otherwise each use compares the file's size and times. */
  readonly watched: boolean;
}

const HASH_LENGTH = 20;
/** The form of a version. */
export const VERSION_HASH = /^[0-9a-f]{20}$/;
const CHUNK_SIZE = 256 * 1024;

/** A text that changes with the file's content, except for writes within one tick of the file system's clock. */
export function fileIdentity(stat: Stats): string {
  return `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeMs}:${stat.ctimeMs}`;
}

export class FileVersions {
  readonly #root: DocumentRoot;
  readonly #isCaching: boolean;
  readonly #cache = new Map<string, CachedVersion>();
  readonly #watches = new Map<string, FSWatcher>();
  #changes = 0;

  /**
   * @param root nothing outside it is read, and no directory above it is watched.
   * @param isCaching false: compute each hash again (`debug`).
   */
  constructor(root: string, isCaching: boolean) {
    this.#root = new DocumentRoot(root);
    this.#isCaching = isCaching;
  }

  /**
   * Reads the file synchronously if its hash is not cached, for templates, which cannot wait.
   * @returns undefined if there is no such file, or if it is outside the root, since the hash would reveal something about it.
   */
  getSync(path: string): FileVersion | undefined {
    try {
      const known = this.#cache.get(path);
      if (known && (known.watched || known.identity === fileIdentity(statSync(path)))) return known;
      const real = realpathSync(path);
      const root = realpathSync(this.#root.path);
      if (!isBelow(real, root)) return undefined;
      const watched = this.#watch(path, real);
      const changes = this.#changes;
      const file = openFoundSync({ real, root });
      return file && this.#addToCache(path, real, watched, changes, hashSync(file));
    } catch {
      return undefined;
    }
  }

  /** The same, asynchronously. */
  async get(path: string): Promise<FileVersion | undefined> {
    try {
      const known = this.#cache.get(path);
      // No comparison here even if nothing is watched: the file is about to be served, and is compared then.
      if (known) return known;
      const found = await this.#root.find(path);
      if (found === undefined) return undefined;
      const watched = this.#watch(path, found.real);
      const changes = this.#changes;
      const file = await openFound(found);
      return file && this.#addToCache(path, found.real, watched, changes, await hash(file));
    } catch {
      return undefined;
    }
  }

  /** Drops a cached hash, because the file has changed. */
  invalidate(path: string): void {
    this.#cache.delete(path);
  }

  close(): void {
    for (const watcher of this.#watches.values()) watcher.close();
    this.#watches.clear();
    this.#cache.clear();
  }

  #addToCache(
    path: string,
    real: string,
    watched: boolean,
    changes: number,
    version: FileVersion | undefined,
  ): FileVersion | undefined {
    // A change reported while the file was being read may be a change of this file.
    if (version && this.#isCaching && changes === this.#changes) this.#cache.set(path, { ...version, real, watched });
    return version;
  }

  /** Watches the file's directory, those above it, and the directory of the target of a symbolic link. */
  #watch(path: string, real: string): boolean {
    if (!this.#isCaching) return false;
    const directories = [dirname(real)];
    for (let directory = dirname(path); isBelow(directory, this.#root.path); directory = dirname(directory)) {
      directories.push(directory);
    }
    return directories.every((directory) => this.#watches.has(directory) || this.#watchDirectory(directory));
  }

  #watchDirectory(directory: string): boolean {
    try {
      const watcher = watch(directory, { persistent: false }, (_event, name) => this.#onChange(directory, name));
      watcher.on('error', () => this.#onChange(directory, null));
      this.#watches.set(directory, watcher);
      return true;
    } catch {
      // There are too many watches, or the file system does not support them.
      return false;
    }
  }

  #onChange(directory: string, name: string | null): void {
    this.#changes++;
    // The event of a directory that is moved or removed has the directory's own name.
    const changed = name === null || name === basename(directory) ? directory : join(directory, name);
    for (const [path, { real }] of this.#cache) {
      if (isBelow(path, changed) || isBelow(real, changed)) this.#cache.delete(path);
    }
    // The directory may have been replaced by another one.
    for (const [watched, watcher] of this.#watches) {
      if (!isBelow(watched, changed)) continue;
      watcher.close();
      this.#watches.delete(watched);
    }
  }
}

/** Undefined if the file changed while it was read. */
function versionOf({ fd, stats }: OpenedFile, digest: string): FileVersion | undefined {
  const identity = fileIdentity(stats);
  return identity === fileIdentity(fstatSync(fd)) ? { hash: digest.slice(0, HASH_LENGTH), identity } : undefined;
}

/** Closes the file. */
function hashSync(file: OpenedFile): FileVersion | undefined {
  try {
    if (!file.stats.isFile()) return undefined;
    const digest = createHash('sha256');
    const chunk = Buffer.allocUnsafe(Math.min(CHUNK_SIZE, file.stats.size + 1));
    for (let length = readSync(file.fd, chunk); length > 0; length = readSync(file.fd, chunk)) {
      digest.update(chunk.subarray(0, length));
    }
    return versionOf(file, digest.digest('hex'));
  } finally {
    closeFile(file);
  }
}

/** Closes the file. */
async function hash(file: OpenedFile): Promise<FileVersion | undefined> {
  try {
    if (!file.stats.isFile()) return undefined;
    const digest = createHash('sha256');
    for await (const chunk of createReadStream('', { fd: file.fd, autoClose: false })) digest.update(chunk);
    return versionOf(file, digest.digest('hex'));
  } finally {
    closeFile(file);
  }
}

/**
 * Returns the URL of a file below the document root: `staticUrl('images/logo.png')` is `/static/images/logo.png?v=HASH`. The
 * URL of a file that does not exist has no version.
 */
export type StaticUrl = (path: string) => string;

/** Options of `makeStaticUrl`. */
export interface StaticUrlOptions {
  /** The directory with the files. */
  readonly documentRoot: string;
  /** The URL of that directory: a path, or `https://host/path`. Default: `/static`. */
  readonly urlPrefix?: string;
  /** False: hash the file at each call, as with `debug`. Default: true, hash it again when it has changed. */
  readonly hashCache?: boolean;
}

/**
 * Makes the function that templates call for the URLs of static files. The version in the URL is a hash of the file's content.
 * The file is read again only when it has changed. `npm:paster#static` lets browsers cache such a URL for a year.
 *
 * @see `tornado.web.RequestHandler.static_url`
 */
export function makeStaticUrl(options: StaticUrlOptions): StaticUrl {
  const { documentRoot, urlPrefix = '/static', hashCache = true } = options;
  return versionedUrl(documentRoot, urlPrefix, new FileVersions(documentRoot, hashCache));
}

export function versionedUrl(documentRoot: string, urlPrefix: string, versions: FileVersions): StaticUrl {
  const prefix = urlPrefix.replace(/\/$/, '');
  return (path) => {
    const names = path.split('/').filter((name) => name !== '');
    const url = `${prefix}/${names.map(encodeURIComponent).join('/')}`;
    const version = versions.getSync(join(documentRoot, ...names));
    return version === undefined ? url : `${url}?v=${version.hash}`;
  };
}
