/**
 * Watches files and patterns, and reports those whose content has changed. Each file is watched through its directory, so
 * it makes no difference how an editor saves: into the file, by renaming another one over it, or by moving the old one away
 * first. Content is compared by hash: touching a file, or saving it unchanged, is no change.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type FSWatcher, watch } from 'chokidar';
import { asError } from '../../errors.ts';
import { realPath } from '../../files/existing-path.ts';
import {
  changedAt,
  contentHash,
  EMPTY,
  firstMissing,
  isDirectory,
  isSkipped,
  MISSING,
  statOf,
  treeBelow,
  UNKNOWN,
} from './file-state.ts';
import { type Glob, parseGlob } from './glob.ts';
import { DirectoryLinks, MissingPaths } from './path-changes.ts';

export interface WatcherOptions {
  /**
   * How many milliseconds must pass without a change before changes are reported. Default: 2 for a single file, 10 for several.
   */
  readonly debounce?: number | undefined;
  /** Milliseconds between checks, where the system does not report changes. */
  readonly polling?: number | undefined;
  readonly onChange: (files: readonly string[]) => void;
  readonly onError: (error: Error) => void;
  /** Whether a path is ignored although a pattern matches it. */
  readonly isIgnored?: (path: string) => boolean;
}

/**
 * After this time without a change, a burst of changes is over, as when a branch is checked out or a compiler writes its files.
 */
const BURST_MS = 10;
/** The same after changes of a single file, which an editor may write in several steps. */
const SINGLE_MS = 2;
/** An editor that truncates and then writes leaves an empty file, or none, for a moment. */
const INCOMPLETE_MS = 100;
/**
 * When files are checked again without an event. Newly watched ones may have changed before their watch was in effect. For
 * those that have just changed, chokidar reads a directory at most once a second: now and then it does not report a save that
 * closely follows another one.
 */
const CHECK_AGAIN_MS = [200, 1000, 2000];

export class Watcher {
  /**
   * A save after this time (milliseconds since 1970) counts as a change even if the content stays the same. Undefined:
   * only the content counts.
   */
  retrySince: number | undefined;
  readonly #options: WatcherOptions;
  readonly #watched: FSWatcher;
  #globs: readonly Glob[] = [];
  /** The hash of each watched file. */
  readonly #files = new Map<string, string>();
  /** The files that are watched even if no pattern matches them. */
  readonly #named = new Set<string>();
  readonly #directories = new Set<string>();
  readonly #links = new DirectoryLinks();
  readonly #missing = new MissingPaths();
  /** Files with an event, and the time of the event. */
  readonly #pending = new Map<string, number>();
  /** Resolves when the files that were added first are watched. It does not resolve before a file is added. */
  readonly #ready: Promise<void>;
  #timer: NodeJS.Timeout | undefined;
  #started = false;
  #closed = false;

  constructor(options: WatcherOptions) {
    this.#options = options;
    this.#watched = watch([], {
      ignoreInitial: true,
      // chokidar would delay an unlink by 100 ms, to join it with the event that follows. Here the hash makes that unnecessary.
      atomic: false,
      ignored: (path) => !this.#isRelevant(path),
      ...(options.polling === undefined ? {} : { usePolling: true, interval: options.polling }),
    });
    this.#ready = new Promise((resolve) => {
      this.#watched.once('ready', () => resolve());
    });
    this.#watched.on('all', (_event, path) => this.#noteEvent(path, { isEcho: true }));
    // chokidar reports no change that keeps the size and time of a file.
    this.#watched.on('raw', (_event, name, details) => this.#noteRawEvent(name, details));
    this.#watched.on('error', (error) => options.onError(asError(error)));
  }

  /** Resolves when changes are noticed. */
  async start(): Promise<void> {
    if (this.#directories.size > 0 || this.#globs.length > 0) await this.#ready;
    this.#started = true;
    // Files that have changed while the first workers started.
    if (this.#pending.size > 0) this.#schedule(0);
  }

  /** Watches what these patterns match, instead of what the earlier patterns matched. `loaded` is as for `add`. */
  setPatterns(patterns: readonly string[], loaded: number = Number.POSITIVE_INFINITY): void {
    const known = new Set(this.#globs.map(({ source }) => source));
    this.#globs = patterns.map(parseGlob);
    for (const path of this.#files.keys()) if (!this.#named.has(path) && !this.#matches(path)) this.#files.delete(path);
    if (this.#closed) return;
    const added = this.#globs.filter(({ source }) => !known.has(source));
    const paths = added.filter((glob) => !glob.magic).map((glob) => glob.base);
    this.add(paths, loaded);
    for (const { base } of added) this.#watchTree(base, loaded);
  }

  #watchTree(tree: string, loaded: number): void {
    this.#watchLinks(tree, loaded);
    const missing = firstMissing(tree);
    if (missing !== undefined) {
      this.#whenCreated(missing, () => {
        this.#watchTree(tree, loaded);
        for (const file of this.#matchesBelow(tree)) {
          this.#files.set(file, MISSING);
          this.#noteEvent(file);
        }
      });
      return;
    }
    if (!isDirectory(tree)) return;
    const { files: all, directories: below } = treeBelow(tree);
    const directories = below.filter((path) => !this.#isSkipped(path));
    const files = all.filter((path) => this.#matches(path));
    for (const path of files) this.#files.set(path, hashWhenLoaded(path, loaded));
    // One by one: chokidar does not read a directory again that it watches already, and it ignored these files before.
    this.#watched.add([tree, ...directories, ...files]);
    this.#checkAgain(() => this.#matchesBelow(tree));
  }

  /**
   * Watches more files. They need not exist yet, nor their directories.
   * @param loaded when they were read at the earliest (milliseconds since 1970): what was saved later may be newer than
   *   what was read, and counts as a change
   */
  add(files: readonly string[], loaded: number = Number.POSITIVE_INFINITY): void {
    const added = files.filter((file) => !this.#named.has(file));
    if (added.length === 0 || this.#closed) return;
    for (const file of added) {
      if (!this.#files.has(file)) this.#files.set(file, hashWhenLoaded(file, loaded));
      const target = realPath(file);
      for (const name of [file, target]) this.#named.add(name);
      // If the module is a link, both its own name and its target count.
      if (target !== file && !this.#files.has(target)) {
        this.#files.set(target, contentHash(target));
        this.#watchDirectoryOf(target, loaded);
      }
      this.#watchDirectoryOf(file, loaded);
    }
    this.#checkAgain(() => added);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#watched.close();
  }

  #watchDirectoryOf(file: string, loaded: number): void {
    const directory = dirname(file);
    this.#watchLinks(directory, loaded);
    const missing = firstMissing(directory);
    if (missing !== undefined) {
      this.#whenCreated(missing, () => {
        this.#watchDirectoryOf(file, loaded);
        this.#noteEvent(file);
      });
      return;
    }
    this.#directories.add(directory);
    // The file by itself too: chokidar may have read the directory while it still ignored the file.
    this.#watched.add([directory, file]);
  }

  /** Runs an action when a path is created whose directory exists. */
  #whenCreated(path: string, action: () => void): void {
    if (!this.#missing.add(path, action)) return;
    const directory = dirname(path);
    this.#directories.add(directory);
    this.#watched.add(directory);
    this.#checkAgain(() => [path]);
  }

  #watchLinks(directory: string, loaded: number): void {
    const links = this.#links.findNew(directory);
    for (const link of links) {
      this.#named.add(link);
      this.#files.set(link, hashWhenLoaded(link, loaded));
      this.#directories.add(dirname(link));
      this.#watched.add(dirname(link));
    }
    if (links.length > 0) this.#checkAgain(() => links);
  }

  /** chokidar still watches the directory that the link led to before. */
  #watchAgainBelow(link: string): void {
    const below = [...this.#directories].filter((path) => path === link || path.startsWith(`${link}/`));
    this.#watched.unwatch(below);
    this.#watched.add(below.filter((path) => existsSync(path)));
  }

  #checkAgain(files: () => readonly string[]): void {
    for (const milliseconds of CHECK_AGAIN_MS) {
      setTimeout(() => {
        if (!this.#closed) for (const file of files()) this.#noteEvent(file);
      }, milliseconds).unref();
    }
  }

  #matchesBelow(directory: string): string[] {
    return treeBelow(directory).files.filter((path) => this.#matches(path));
  }

  /** Events come from skipped directories too, while a package is missing there. */
  #matches(path: string): boolean {
    return !this.#isSkipped(path) && this.#globs.some((glob) => glob.matches(path));
  }

  #isSkipped(path: string): boolean {
    return isSkipped(path) || (this.#options.isIgnored?.(path) ?? false);
  }

  /** Whether chokidar should watch a path. */
  #isRelevant(path: string): boolean {
    if (this.#files.has(path) || this.#directories.has(path) || this.#missing.has(path)) return true;
    if (this.#isSkipped(path)) return false;
    return this.#globs.some((glob) => {
      if (path === glob.base || glob.matches(path)) return true;
      return path.startsWith(glob.base === '/' ? '/' : `${glob.base}/`) && isDirectory(path);
    });
  }

  /**
   * `fs.watch` gives a name within the watched path, `fs.watchFile` the whole path.
   * @param name null where the system does not report it
   */
  #noteRawEvent(name: string | null, details: unknown): void {
    const isNative = typeof details === 'object' && details !== null && 'watchedPath' in details;
    const watched = isNative && typeof details.watchedPath === 'string' ? details.watchedPath : undefined;
    if (watched !== undefined) {
      this.#noteEvent(watched);
      if (name !== null) this.#noteEvent(join(watched, name));
    } else if (name !== null) {
      for (const path of [name, ...this.#missing.in(name)]) this.#noteEvent(path);
    }
  }

  /** @param isEcho chokidar has reported the same change as a 'raw' event, and has looked at the file since: do not wait longer */
  #noteEvent(path: string, { isEcho = false } = {}): void {
    if (this.#closed) return;
    this.#missing.check(path);
    if (!(this.#files.has(path) || this.#matches(path))) return;
    if (!this.#pending.has(path)) this.#pending.set(path, performance.now());
    else if (isEcho) return;
    this.#schedule(this.#options.debounce ?? (this.#pending.size > 1 ? BURST_MS : SINGLE_MS));
  }

  #schedule(milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#reportChanges(), milliseconds);
  }

  #reportChanges(): void {
    if (!this.#started) return;
    const now = performance.now();
    const changed: string[] = [];
    let isIncomplete = false;
    for (const [path, since] of this.#pending) {
      const hash = contentHash(path);
      const isNew = hash !== (this.#files.get(path) ?? MISSING);
      if (isNew && (hash === EMPTY || hash === MISSING) && now - since < INCOMPLETE_MS) {
        isIncomplete = true;
        continue;
      }
      this.#pending.delete(path);
      if (!isNew && !this.#isRetry(path)) continue;
      if (this.#links.has(path)) this.#watchAgainBelow(path);
      this.#files.set(path, hash);
      changed.push(path);
    }
    if (isIncomplete) this.#schedule(INCOMPLETE_MS / 4);
    if (changed.length === 0) return;
    if (this.retrySince !== undefined) this.retrySince = Date.now();
    this.#checkAgain(() => changed);
    this.#options.onChange(changed);
  }

  #isRetry(path: string): boolean {
    return this.retrySince !== undefined && (statOf(path)?.ctimeMs ?? 0) > this.retrySince;
  }
}

/** The hash of a file that was read at `loaded` or later; unknown if the file has changed since then. */
function hashWhenLoaded(path: string, loaded: number): string {
  return changedAt(path) > loaded ? UNKNOWN : contentHash(path);
}
