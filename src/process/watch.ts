/**
 * Watches files and patterns, and tells about those whose content has changed. Each file is watched by way of its
 * directory, so that it makes no difference how an editor saves: into the file, by renaming another one over it, or by
 * moving the old one away first. Content is compared by hash: touching a file, or saving it unchanged, is no change.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type FSWatcher, watch } from 'chokidar';
import { asError } from '../errors.ts';
import { type Glob, parseGlob } from './glob.ts';

export interface WatcherOptions {
  readonly patterns: readonly string[];
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
  readonly #options: WatcherOptions;
  #globs: readonly Glob[] = [];
  readonly #watched: FSWatcher;
  readonly #files = new Map<string, string>();
  /** Those of the files that are watched whatever the patterns are. */
  readonly #named = new Set<string>();
  readonly #directories = new Set<string>();
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
    this.#watched.on('error', (error) => options.onError(asError(error)));
    this.setPatterns(options.patterns);
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
    const trees = added.filter((glob) => glob.magic).map((glob) => glob.base);
    if (trees.length === 0) return;
    const matching = () => trees.flatMap((tree) => this.#matching(tree));
    const files = matching();
    for (const path of files) this.#files.set(path, hashOf(path));
    // One by one: a directory that is watched already is not read again, and what is in it concerned nobody then.
    this.#watched.add([...trees.flatMap((tree) => [tree, ...directoriesBelow(tree)]), ...files]);
    this.#lookAgain(matching);
  }

  /**
   * Watches more files, which need not exist yet; their directories have to.
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
    if (!existsSync(directory)) return;
    this.#directories.add(directory);
    // The file by itself too: its directory may have been read when the file did not concern anybody.
    this.#watched.add([directory, file]);
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
    if (this.#files.has(path) || this.#directories.has(path)) return true;
    if (SKIPPED.test(path)) return false;
    return this.#globs.some((glob) => {
      if (!glob.magic) return false;
      if (path === glob.base || glob.matches(path)) return true;
      return path.startsWith(glob.base === '/' ? '/' : `${glob.base}/`) && isDirectory(path);
    });
  }

  #note(path: string): void {
    if (this.#closed || !(this.#files.has(path) || this.#matches(path))) return;
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
      if (!isNew) continue;
      this.#files.set(path, hash);
      changed.push(path);
    }
    if (incomplete) this.#schedule(INCOMPLETE_MS / 4);
    if (changed.length === 0) return;
    this.#lookAgain(() => changed);
    this.#options.onChange(changed);
  }
}

const MISSING = 'missing';
const UNKNOWN = 'unknown';
const EMPTY = digest('');

function hashOf(file: string): string {
  try {
    return digest(readFileSync(file));
  } catch {
    return MISSING;
  }
}

function digest(content: string | Buffer): string {
  return createHash('sha1').update(content).digest('base64');
}

function savedAt(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function realPath(file: string): string {
  try {
    return realpathSync(file);
  } catch {
    return file;
  }
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
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
