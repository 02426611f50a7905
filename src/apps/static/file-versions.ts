/**
 * The versions of files: a hash of each one's content, as Tornado's `static_url` has it. A hash is kept until the file
 * changes, and to know that costs no input or output for a file that does not: the directories are watched. An exchange
 * that no watch sees (a parent of the whole tree renamed, another machine writing to a network disk) comes out when the
 * file is served, for whoever serves it has its size and times in hand and compares them.
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
import { DocumentRoot } from '../document-root.ts';
import { closeFile, isBelow, type OpenedFile, openFound, openFoundSync } from '../opened-file.ts';

export interface FileVersion {
  /** The first 80 bits of the content's SHA-256, in hexadecimal. */
  readonly hash: string;
  /** What the file was when it was hashed, in the words of `fileIdentity`. */
  readonly identity: string;
}

interface Kept extends FileVersion {
  readonly real: string;
  /** A change will be told; otherwise each use asks for the file's size and times. */
  readonly watched: boolean;
}

const HASH_LENGTH = 20;
/** What a version looks like. */
export const VERSION = /^[0-9a-f]{20}$/;
const CHUNK = 256 * 1024;

/** Two different contents of a path differ in this, but for writes within one tick of the file system's clock. */
export function fileIdentity(stat: Stats): string {
  return `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeMs}:${stat.ctimeMs}`;
}

export class FileVersions {
  readonly #root: DocumentRoot;
  readonly #keep: boolean;
  readonly #kept = new Map<string, Kept>();
  readonly #watches = new Map<string, FSWatcher>();
  #changes = 0;

  /**
   * @param root no directory above it is watched, and nothing outside it is read.
   * @param keep false: each hash is made again (`debug`).
   */
  constructor(root: string, keep: boolean) {
    this.#root = new DocumentRoot(root);
    this.#keep = keep;
  }

  /**
   * For templates, which cannot wait: reads the file here and now, unless its hash is known. Undefined: no such file, or
   * one outside the root, of which a hash would tell something.
   */
  now(path: string): FileVersion | undefined {
    try {
      const known = this.#kept.get(path);
      if (known && (known.watched || known.identity === fileIdentity(statSync(path)))) return known;
      const real = realpathSync(path);
      const root = realpathSync(this.#root.path);
      if (!isBelow(real, root)) return undefined;
      const watched = this.#watch(path, real);
      const changes = this.#changes;
      const file = openFoundSync({ real, root });
      return file && this.#remember(path, real, watched, changes, hashSync(file));
    } catch {
      return undefined;
    }
  }

  /** The same for whoever can wait. */
  async later(path: string): Promise<FileVersion | undefined> {
    try {
      const known = this.#kept.get(path);
      // Not asked for anew where nothing is watched: it is about to be served, and so to be compared.
      if (known) return known;
      const found = await this.#root.find(path);
      if (found === undefined) return undefined;
      const watched = this.#watch(path, found.real);
      const changes = this.#changes;
      const file = await openFound(found);
      return file && this.#remember(path, found.real, watched, changes, await hash(file));
    } catch {
      return undefined;
    }
  }

  /** The file is another one than that which was hashed. */
  forget(path: string): void {
    this.#kept.delete(path);
  }

  close(): void {
    for (const watcher of this.#watches.values()) watcher.close();
    this.#watches.clear();
    this.#kept.clear();
  }

  #remember(
    path: string,
    real: string,
    watched: boolean,
    changes: number,
    made: FileVersion | undefined,
  ): FileVersion | undefined {
    // A change that was told while the file was being read may be a change of this file.
    if (made && this.#keep && changes === this.#changes) this.#kept.set(path, { ...made, real, watched });
    return made;
  }

  /** Watches the file's directory, those above it, and that of the file behind a symbolic link. */
  #watch(path: string, real: string): boolean {
    if (!this.#keep) return false;
    const directories = [dirname(real)];
    for (let directory = dirname(path); isBelow(directory, this.#root.path); directory = dirname(directory)) {
      directories.push(directory);
    }
    return directories.every((directory) => this.#watches.has(directory) || this.#watchDirectory(directory));
  }

  #watchDirectory(directory: string): boolean {
    try {
      const watcher = watch(directory, { persistent: false }, (_event, name) => this.#changed(directory, name));
      watcher.on('error', () => this.#changed(directory, null));
      this.#watches.set(directory, watcher);
      return true;
    } catch {
      // Too many watches, or a file system that has none.
      return false;
    }
  }

  #changed(directory: string, name: string | null): void {
    this.#changes++;
    // A directory that is moved or removed tells of itself by its own name.
    const changed = name === null || name === basename(directory) ? directory : join(directory, name);
    for (const [path, { real }] of this.#kept) {
      if (isBelow(path, changed) || isBelow(real, changed)) this.#kept.delete(path);
    }
    // Another directory may have come in its place.
    for (const [watched, watcher] of this.#watches) {
      if (!isBelow(watched, changed)) continue;
      watcher.close();
      this.#watches.delete(watched);
    }
  }
}

/** Undefined where the file changed while it was read. */
function versionOf({ fd, stats }: OpenedFile, digest: string): FileVersion | undefined {
  const identity = fileIdentity(stats);
  return identity === fileIdentity(fstatSync(fd)) ? { hash: digest.slice(0, HASH_LENGTH), identity } : undefined;
}

/** Closes the file. */
function hashSync(file: OpenedFile): FileVersion | undefined {
  try {
    if (!file.stats.isFile()) return undefined;
    const digest = createHash('sha256');
    const chunk = Buffer.allocUnsafe(Math.min(CHUNK, file.stats.size + 1));
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
