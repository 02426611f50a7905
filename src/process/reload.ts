/**
 * `--reload` in the supervisor: from a change of files to a change of workers. Decides when, and leaves how to whoever
 * exchanges the workers. One exchange at a time; what changes meanwhile causes the next one.
 */
import { existsSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Logger } from '../log.ts';
import { isOwnFile } from '../own-files.ts';
import { Watcher } from './watch.ts';

export interface ReloadOptions {
  /** Files that are watched whatever the workers report, absolute. */
  readonly files?: readonly string[];
  /** Milliseconds without a further change before anything happens. */
  readonly debounce?: number | undefined;
  /** Look at the files so often (milliseconds) instead of waiting for the system to tell: for network file systems. */
  readonly polling?: number | undefined;
  /** Seconds that a predecessor may take for what is in flight. */
  readonly drain?: number | undefined;
  /** Told about each reload that worked: the files, and milliseconds from the notice of the change. */
  readonly onReload?: ((changed: readonly string[], milliseconds: number) => void) | undefined;
}

const PACKAGES = `${sep}node_modules${sep}`;

export class Reload {
  readonly #options: ReloadOptions;
  readonly #log: Logger;
  readonly #exchange: () => Promise<{ readonly ok: boolean }>;
  readonly #interrupt: () => void;
  readonly #watcher: Watcher;
  #changed = new Set<string>();
  #running = false;
  #closed = false;

  /** @param interrupt gives up what an exchange is starting, as it is out of date. */
  constructor(
    options: ReloadOptions,
    log: Logger,
    exchange: () => Promise<{ readonly ok: boolean }>,
    interrupt: () => void,
  ) {
    this.#options = options;
    this.#interrupt = interrupt;
    this.#log = log;
    this.#exchange = exchange;
    this.#watcher = new Watcher({
      debounce: options.debounce,
      polling: options.polling,
      onChange: (files) => this.#note(files),
      onError: (error) => log.warn(`watching files: ${error.message}`),
    });
    this.#watcher.add(options.files ?? []);
  }

  /** Resolves when changes are noticed. */
  start(): Promise<void> {
    return this.#watcher.start();
  }

  /** Takes paths, `file:` URLs, and whatever else Node reports as a module; `loaded` is as `Watcher.add` has it. */
  watch(modules: readonly string[], loaded: number): void {
    const files = modules.flatMap((module) => {
      const path = module.startsWith('file:') ? fileURLToPath(module.replace(/[?#].*$/s, '')) : module;
      return path.startsWith(sep) && !path.includes(PACKAGES) && !isOwnFile(path) ? [path] : [];
    });
    this.#watcher.add(files, loaded);
  }

  /** Watches what these patterns match, and no longer what the patterns before them matched. */
  watchPatterns(patterns: readonly string[]): void {
    this.#watcher.setPatterns(patterns);
  }

  /**
   * Called for each worker that serves. While one shows an error instead of the application, saving a file without a
   * change tries again, and so does installing the packages that were missing.
   */
  serves(failure: Error | undefined): void {
    this.#watcher.retrySince = failure && Date.now();
    if (failure) this.#watcher.add(missingPackageFiles(failure));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#watcher.close();
  }

  #note(files: readonly string[]): void {
    for (const file of files) this.#changed.add(file);
    // What is being loaded is out of date, and it may be a version that never comes to an end.
    if (this.#running) this.#interrupt();
    else void this.#run();
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#changed.size > 0 && !this.#closed) {
      const changed = [...this.#changed];
      this.#changed = new Set();
      const begun = performance.now();
      const { ok } = await this.#exchange();
      if (!ok) continue;
      const milliseconds = Math.round(performance.now() - begun);
      const more = changed.length > 1 ? ` and ${changed.length - 1} more` : '';
      this.#log.info(`reloaded in ${milliseconds} ms: ${changed[0]}${more}`);
      this.#options.onReload?.(changed, milliseconds);
    }
    this.#running = false;
  }
}

/** What Node says of a package that it cannot find, and what paster says of one that an INI file names. */
const MISSING_PACKAGE = [
  /^Cannot find (?:package|module) '([^'./][^']*)' imported from (\/.+)$/gm,
  /^Cannot find module '([^'./][^']*)'\nRequire stack:\n- (\/.+)$/gm,
  /the package "([^"]+)" is not installed for (\/[^\n]+?)(?: \(|$)/gm,
];

/**
 * The files whose appearance means that a missing package is installed: its package.json, in each directory where it was
 * looked for, and the file that npm, pnpm or yarn writes when it is done.
 */
function missingPackageFiles(failure: Error): string[] {
  const files = new Set<string>();
  for (let error: unknown = failure; error instanceof Error; error = error.cause) {
    const { message } = error;
    for (const [, specifier = '', from = ''] of MISSING_PACKAGE.flatMap((each) => [...message.matchAll(each)])) {
      const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
      for (const directory of projectDirectories(from)) {
        for (const file of [`${name}/package.json`, ...INSTALLED]) files.add(join(directory, 'node_modules', file));
      }
    }
  }
  return [...files];
}

const INSTALLED = ['.package-lock.json', '.modules.yaml', '.yarn-state.yml', '.yarn-integrity'];

/** From where a package is asked for up to the outermost package.json: further up nothing is installed for it. */
function projectDirectories(from: string): string[] {
  const directories: string[] = [];
  let outermost = 1;
  for (let at = from; ; at = dirname(at)) {
    directories.push(at);
    if (existsSync(join(at, 'package.json'))) outermost = directories.length;
    if (at === dirname(at)) return directories.slice(0, outermost);
  }
}
