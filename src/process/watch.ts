/**
 * Watches files and patterns, and tells about those whose content has changed. Each file is watched by way of its
 * directory, so that it makes no difference how an editor saves: into the file, by renaming another one over it, or by
 * moving the old one away first. Content is compared by hash: touching a file, or saving it unchanged, is no change.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  type Stats,
  statSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { type FSWatcher, watch } from 'chokidar';
import { asError } from '../errors.ts';
import { type Glob, parseGlob } from './glob.ts';

export interface WatcherOptions {
  /** Milliseconds of quiet before changes are told. */
  readonly debounce?: number | undefined;
  /** Milliseconds between looks, where the system does not tell. */
  readonly polling?: number | undefined;
  readonly onChange: (files: readonly string[]) => void;
  readonly onError: (error: Error) => void;
}

const DEFAULT_DEBOUNCE_MS = 10;
/** An editor that truncates and then writes leaves an empty file, or none, for a moment. */
const INCOMPLETE_MS = 100;
/**
 * When files are looked at again that are newly watched, since they may have changed before their watch stood, or that
 * have just changed, since the watching library reads a directory at most once a second: a save that follows another
 * one closely is now and then not told.
 */
const SETTLED_MS = [200, 1000, 2000];
const SKIPPED = /[\\/](?:node_modules|\.git|\.hg|\.svn)(?:[\\/]|$)/;

export class Watcher {
  /**
   * A save after this time (milliseconds since 1970) counts as a change even if the content stays the same. Undefined:
   * only the content counts.
   */
  retrySince: number | undefined;
  readonly #options: WatcherOptions;
  #globs: readonly Glob[] = [];
  readonly #watched: FSWatcher;
  readonly #files = new Map<string, string>();
  /** Those of the files that are watched whatever the patterns are. */
  readonly #named = new Set<string>();
  readonly #directories = new Set<string>();
  /** Links to directories on the way to what is watched, and the directories that were looked at for links. */
  readonly #links = new Set<string>();
  readonly #lookedAt = new Set<string>();
  /** Paths that are missing, each with what to do when it appears. */
  readonly #missing = new Map<string, Set<() => void>>();
  readonly #pending = new Map<string, number>();
  /** When what was added first is watched. Never, as long as there is nothing. */
  readonly #ready: Promise<void>;
  #timer: NodeJS.Timeout | undefined;
  #started = false;
  #closed = false;

  constructor(options: WatcherOptions) {
    this.#options = options;
    this.#watched = watch([], {
      ignoreInitial: true,
      // It would hold an unlink back for 100 ms, to join it with what follows; the hash does that here.
      atomic: false,
      ignored: (path) => !this.#concerns(path),
      ...(options.polling === undefined ? {} : { usePolling: true, interval: options.polling }),
    });
    this.#ready = new Promise((resolve) => {
      this.#watched.once('ready', () => resolve());
    });
    this.#watched.on('all', (_event, path) => this.#note(path));
    // The library keeps back what leaves the size and the time of a file as they were.
    this.#watched.on('raw', (_event, name, details) => this.#noteRaw(name, details));
    this.#watched.on('error', (error) => options.onError(asError(error)));
  }

  /** Resolves when changes are noticed. */
  async start(): Promise<void> {
    if (this.#directories.size > 0 || this.#globs.length > 0) await this.#ready;
    this.#started = true;
    // What has changed while the first workers started.
    if (this.#pending.size > 0) this.#schedule(0);
  }

  /** Watches what these match, in the place of the patterns before. */
  setPatterns(patterns: readonly string[]): void {
    const known = new Set(this.#globs.map(({ source }) => source));
    this.#globs = patterns.map(parseGlob);
    for (const path of this.#files.keys()) if (!this.#named.has(path) && !this.#matches(path)) this.#files.delete(path);
    if (this.#closed) return;
    const added = this.#globs.filter(({ source }) => !known.has(source));
    this.add(added.filter((glob) => !glob.magic).map((glob) => glob.base));
    for (const { base } of added.filter((glob) => glob.magic)) this.#watchTree(base);
  }

  #watchTree(tree: string): void {
    this.#watchLinks(tree);
    const missing = firstMissing(tree);
    if (missing !== undefined) {
      this.#await(missing, () => {
        this.#watchTree(tree);
        for (const file of this.#matching(tree)) {
          this.#files.set(file, MISSING);
          this.#note(file);
        }
      });
      return;
    }
    const files = this.#matching(tree);
    for (const path of files) this.#files.set(path, hashOf(path));
    // One by one: the library does not read a directory again that it watches already, and it ignored these files then.
    this.#watched.add([tree, ...directoriesBelow(tree), ...files]);
    this.#lookAgain(() => this.#matching(tree));
  }

  /**
   * Watches more files, which need not exist yet, nor their directories.
   * @param loaded when they were read at the earliest (milliseconds since 1970): what was saved later may be newer than
   *   what was read, and counts as a change
   */
  add(files: readonly string[], loaded: number = Number.POSITIVE_INFINITY): void {
    const added = files.filter((file) => !this.#named.has(file));
    if (added.length === 0 || this.#closed) return;
    for (const file of added) {
      if (!this.#files.has(file)) this.#files.set(file, savedAt(file) > loaded ? UNKNOWN : hashOf(file));
      const target = realPath(file);
      for (const name of [file, target]) this.#named.add(name);
      // A link in the place of a module: its own name and what it leads to both count.
      if (target !== file && !this.#files.has(target)) {
        this.#files.set(target, hashOf(target));
        this.#watchDirectoryOf(target);
      }
      this.#watchDirectoryOf(file);
    }
    this.#lookAgain(() => added);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#watched.close();
  }

  #watchDirectoryOf(file: string): void {
    const directory = dirname(file);
    this.#watchLinks(directory);
    const missing = firstMissing(directory);
    if (missing !== undefined) {
      this.#await(missing, () => {
        this.#watchDirectoryOf(file);
        this.#note(file);
      });
      return;
    }
    this.#directories.add(directory);
    // The file by itself too: the library may have read the directory when it was to ignore the file.
    this.#watched.add([directory, file]);
  }

  /** Runs `then` when a path appears whose directory exists. */
  #await(path: string, then: () => void): void {
    const waiting = this.#missing.get(path);
    if (waiting) {
      waiting.add(then);
      return;
    }
    this.#missing.set(path, new Set([then]));
    const directory = dirname(path);
    this.#directories.add(directory);
    this.#watched.add(directory);
    this.#lookAgain(() => [path]);
  }

  /** Watches the links on the way to a directory: `current -> releases/2` changes all that is below `current`. */
  #watchLinks(directory: string): void {
    if (this.#lookedAt.has(directory)) return;
    this.#lookedAt.add(directory);
    const parent = dirname(directory);
    if (parent === directory) return;
    this.#watchLinks(parent);
    if (linkTarget(directory) === undefined) return;
    this.#links.add(directory);
    this.#named.add(directory);
    this.#files.set(directory, hashOf(directory));
    this.#directories.add(parent);
    this.#watched.add(parent);
  }

  /** For what changes between the first look at a file and the moment when its watch stands. */
  #lookAgain(files: () => readonly string[]): void {
    for (const milliseconds of SETTLED_MS) {
      setTimeout(() => {
        if (!this.#closed) for (const file of files()) this.#note(file);
      }, milliseconds).unref();
    }
  }

  /** What the patterns match below a directory. */
  #matching(directory: string): string[] {
    return list(directory).flatMap((entry) => {
      const path = join(directory, entry.name);
      if (SKIPPED.test(path)) return [];
      if (entry.isDirectory()) return this.#matching(path);
      return this.#matches(path) ? [path] : [];
    });
  }

  #matches(path: string): boolean {
    return this.#globs.some((glob) => glob.matches(path));
  }

  #concerns(path: string): boolean {
    if (this.#files.has(path) || this.#directories.has(path) || this.#missing.has(path)) return true;
    if (SKIPPED.test(path)) return false;
    return this.#globs.some((glob) => {
      if (!glob.magic) return false;
      if (path === glob.base || glob.matches(path)) return true;
      return path.startsWith(glob.base === '/' ? '/' : `${glob.base}/`) && isDirectory(path);
    });
  }

  /**
   * What `fs.watch` says has a name within the watched path, and what `fs.watchFile` says the whole path.
   * @param name null where the system does not tell
   */
  #noteRaw(name: string | null, details: unknown): void {
    const isNative = typeof details === 'object' && details !== null && 'watchedPath' in details;
    const watched = isNative && typeof details.watchedPath === 'string' ? details.watchedPath : undefined;
    if (watched !== undefined) {
      this.#note(watched);
      if (name !== null) this.#note(join(watched, name));
    } else if (name !== null) {
      for (const path of [name, ...this.#missingIn(name)]) this.#note(path);
    }
  }

  #missingIn(directory: string): string[] {
    return [...this.#missing.keys()].filter((path) => dirname(path) === directory);
  }

  #note(path: string): void {
    if (this.#closed) return;
    const waiting = this.#missing.get(path);
    if (waiting && existsSync(path)) {
      this.#missing.delete(path);
      for (const then of waiting) then();
    }
    if (!(this.#files.has(path) || this.#matches(path))) return;
    if (!this.#pending.has(path)) this.#pending.set(path, performance.now());
    this.#schedule(this.#options.debounce ?? DEFAULT_DEBOUNCE_MS);
  }

  #schedule(milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#tell(), milliseconds);
  }

  #tell(): void {
    if (!this.#started) return;
    const now = performance.now();
    const changed: string[] = [];
    let incomplete = false;
    for (const [path, since] of this.#pending) {
      const hash = hashOf(path);
      const isNew = hash !== (this.#files.get(path) ?? MISSING);
      if (isNew && (hash === EMPTY || hash === MISSING) && now - since < INCOMPLETE_MS) {
        incomplete = true;
        continue;
      }
      this.#pending.delete(path);
      if (!isNew && !this.#isRetry(path)) continue;
      if (this.#links.has(path)) this.#watchAgainBelow(path);
      this.#files.set(path, hash);
      changed.push(path);
    }
    if (incomplete) this.#schedule(INCOMPLETE_MS / 4);
    if (changed.length === 0) return;
    if (this.retrySince !== undefined) this.retrySince = Date.now();
    this.#lookAgain(() => changed);
    this.#options.onChange(changed);
  }

  #isRetry(path: string): boolean {
    return this.retrySince !== undefined && (statOf(path)?.ctimeMs ?? 0) > this.retrySince;
  }

  /** What a link led to before is what is being watched. */
  #watchAgainBelow(link: string): void {
    const below = [...this.#directories].filter((path) => path === link || path.startsWith(`${link}/`));
    this.#watched.unwatch(below);
    this.#watched.add(below.filter((path) => existsSync(path)));
  }
}

const MISSING = 'missing';
const UNKNOWN = 'unknown';
const EMPTY = digest('');

/** Of a link, where it leads counts too: to another directory, or to another file of the same content. */
function hashOf(file: string): string {
  const target = linkTarget(file);
  const content = contentOf(file);
  if (target === undefined) return content ? digest(content) : MISSING;
  return digest(`${target}\n${content ? digest(content) : MISSING}`);
}

/** Waits for no FIFO, which has no content either. */
function contentOf(file: string): Buffer | undefined {
  let fd: number | undefined;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    return fstatSync(fd).isFile() ? readFileSync(fd) : undefined;
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

function digest(content: string | Buffer): string {
  return createHash('sha1').update(content).digest('base64');
}

function savedAt(file: string): number {
  return statOf(file)?.mtimeMs ?? 0;
}

function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

function realPath(file: string): string {
  try {
    return realpathSync(file);
  } catch {
    return file;
  }
}

function isDirectory(path: string): boolean {
  return statOf(path)?.isDirectory() ?? false;
}

/** The outermost directory on the way to one that is not there, itself included; undefined if it is there. */
function firstMissing(directory: string): string | undefined {
  let missing: string | undefined;
  for (let at = directory; !existsSync(at); at = dirname(at)) missing = at;
  return missing;
}

function directoriesBelow(directory: string): string[] {
  return list(directory).flatMap((entry) => {
    const path = join(directory, entry.name);
    return entry.isDirectory() && !SKIPPED.test(path) ? [path, ...directoriesBelow(path)] : [];
  });
}

function list(directory: string) {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch {
    return [];
  }
}
