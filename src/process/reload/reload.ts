/**
 * `--reload` in the supervisor: decides when a change of files replaces the workers. One replacement at a time; changes in the
 * meantime cause the next one.
 */
import { existsSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { realPath } from '../../files/existing-path.ts';
import type { Logger } from '../../log.ts';
import { isOwnFile } from '../../own-files.ts';
import { loadedModule } from '../preload/loaded-module.ts';
import { isPackageFile } from '../preload/package-files.ts';
import { parseGlob } from './glob.ts';
import type { IsIgnored } from './ignored.ts';
import type { Watcher } from './watch.ts';

export interface ReloadOptions {
  /** Files to watch in addition to those that the workers report, as absolute paths. */
  readonly files?: readonly string[];
  /** How many milliseconds must pass without another change before a reload. */
  readonly debounce?: number | undefined;
  /** Milliseconds between looks at the files, for file systems that report no changes. */
  readonly polling?: number | undefined;
  /** Seconds that a replaced worker may take for requests in flight. */
  readonly drain?: number | undefined;
  /**
   * Called after each successful reload, with the files and the milliseconds since the change was noticed. No files: the reload
   * was requested. Default: they are logged.
   */
  readonly onReload?: ((changed: readonly string[], milliseconds: number) => void) | undefined;
}

/** Ignores nothing. */
const NOTHING: IsIgnored = () => false;

export class Reload {
  readonly #options: ReloadOptions;
  readonly #log: Logger;
  readonly #replaceWorkers: (changed: readonly string[]) => Promise<{ readonly ok: boolean }>;
  readonly #interrupt: () => void;
  /** Loaded by `start`: loading it earlier would delay the first worker. */
  readonly #watcher: Promise<Watcher>;
  #begin = () => {};
  #hasBegun = false;
  /** Files that are watched even if they are ignored. */
  readonly #named = new Set<string>();
  /** Whether another file causes no reload. Each version may set its own. */
  isIgnored: IsIgnored = NOTHING;
  #changed = new Set<string>();
  #running = false;
  #closed = false;

  /** @param interrupt gives up the workers that a replacement is starting, as they are out of date */
  constructor(
    options: ReloadOptions,
    log: Logger,
    replaceWorkers: (changed: readonly string[]) => Promise<{ readonly ok: boolean }>,
    interrupt: () => void,
  ) {
    this.#options = options;
    this.#interrupt = interrupt;
    this.#log = log;
    this.#replaceWorkers = replaceWorkers;
    const loaded = Date.now();
    this.#watcher = new Promise<void>((resolve) => {
      this.#begin = resolve;
    }).then(() => this.#watch());
    this.watchNamed(options.files ?? [], loaded);
  }

  /** Resolves when changes are noticed. */
  async start(): Promise<void> {
    this.#hasBegun = true;
    this.#begin();
    await (await this.#watcher).start();
  }

  /** Watches files, even if they are ignored. `loaded` is as for `Watcher.add`. */
  watchNamed(files: readonly string[], loaded?: number): void {
    const watched = files.filter(isWatched);
    for (const file of watched) this.#named.add(file).add(realPath(file));
    void this.#watcher.then((watcher) => watcher.add(watched, loaded));
  }

  /** Watches modules: paths, `file:` URLs, and other things that Node reports. */
  watch(modules: readonly string[], loaded: number): void {
    const files = modules.flatMap((module) => {
      const { file } = loadedModule(module, 'import') ?? {};
      return file !== undefined && isWatched(file) && !this.isIgnored(file) ? [file] : [];
    });
    void this.#watcher.then((watcher) => watcher.add(files, loaded));
  }

  /** Watches what these patterns match, instead of what the earlier patterns matched. `loaded` is as for `Watcher.add`. */
  watchPatterns(patterns: readonly string[], loaded?: number): void {
    // A pattern without wildcards names a file.
    for (const { magic, base } of patterns.map(parseGlob)) if (!magic) this.#named.add(base);
    void this.#watcher.then((watcher) => watcher.setPatterns(patterns, loaded));
  }

  /**
   * Must be called for each worker that begins to serve. While a worker serves an error, saving a file without changing it starts
   * another attempt, and so does installing the missing packages.
   */
  serves(failure: Error | undefined): void {
    const since = failure && Date.now();
    void this.#watcher.then((watcher) => {
      watcher.retrySince = since;
      if (!failure) return;
      const { packages, installed } = missingPackageFiles(failure);
      // If a package exists now, it was installed after the worker looked for it, even if its files have an earlier time.
      watcher.add(packages, 0);
      watcher.add(installed);
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#hasBegun) await (await this.#watcher).close();
  }

  async #watch(): Promise<Watcher> {
    const { Watcher } = await import('./watch.ts');
    const { debounce, polling } = this.#options;
    return new Watcher({
      debounce,
      polling,
      onChange: (files) => this.#noteChanges(files),
      onError: (error) => this.#log.warn(`watching files: ${error.message}`),
      isIgnored: (path) => this.isIgnored(path) && !this.#named.has(path),
    });
  }

  #noteChanges(changed: readonly string[]): void {
    // Modules may have been watched before they were ignored.
    const files = changed.filter((file) => this.#named.has(file) || !this.isIgnored(file));
    if (files.length === 0) return;
    for (const file of files) this.#changed.add(file);
    // The version that is loading is out of date, and may never become ready.
    if (this.#running) this.#interrupt();
    else void this.#run();
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#changed.size > 0 && !this.#closed) {
      const changed = [...this.#changed];
      this.#changed = new Set();
      const begun = performance.now();
      const { ok } = await this.#replaceWorkers(changed);
      if (!ok) continue;
      const milliseconds = Math.round(performance.now() - begun);
      const { onReload = this.#logReload } = this.#options;
      onReload(changed, milliseconds);
    }
    this.#running = false;
  }

  readonly #logReload = (changed: readonly string[], milliseconds: number): void => {
    const more = changed.length > 1 ? ` and ${changed.length - 1} more` : '';
    this.#log.info(`reloaded in ${milliseconds} ms: ${changed[0]}${more}`);
  };
}

function isWatched(path: string): boolean {
  return isAbsolute(path) && !isPackageFile(path) && !isOwnFile(path);
}

/** Messages about missing packages: Node's, and paster's about one that an INI file names. */
const MISSING_PACKAGE = [
  /^Cannot find (?:package|module) '([^'./][^']*)' imported from (\/.+)$/gm,
  /^Cannot find module '([^'./][^']*)'\nRequire stack:\n- (\/.+)$/gm,
  /the package "([^"]+)" is not installed for (\/[^\n]+?)(?: \(|$)/gm,
];

interface MissingPackageFiles {
  /** The package.json of missing packages, in each directory where they were looked for. */
  readonly packages: readonly string[];
  /**
   * The files that npm, pnpm or yarn writes at the end of an installation, and the package.json of a package that is installed but
   * lacks a file.
   */
  readonly installed: readonly string[];
}

/** The files that are created when a missing package is installed. */
function missingPackageFiles(failure: Error): MissingPackageFiles {
  const packages = new Set<string>();
  const installed = new Set<string>();
  for (let error: unknown = failure; error instanceof Error; error = error.cause) {
    const { message } = error;
    for (const [, specifier = '', from = ''] of MISSING_PACKAGE.flatMap((each) => [...message.matchAll(each)])) {
      const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
      for (const directory of projectDirectories(from)) {
        const modules = join(directory, 'node_modules');
        (name === specifier ? packages : installed).add(join(modules, name, 'package.json'));
        for (const file of INSTALLED) installed.add(join(modules, file));
      }
    }
  }
  return { packages: [...packages], installed: [...installed] };
}

const INSTALLED = ['.package-lock.json', '.modules.yaml', '.yarn-state.yml', '.yarn-integrity'];

/**
 * The directories from that of the importing file up to the outermost package.json: no package is installed further up. npm makes
 * the first package.json when it installs a package.
 */
function projectDirectories(from: string): string[] {
  const directories: string[] = [];
  let outermost = 2;
  for (let at = from; ; at = dirname(at)) {
    directories.push(at);
    if (existsSync(join(at, 'package.json'))) outermost = directories.length;
    if (at === dirname(at)) return directories.slice(0, outermost);
  }
}
