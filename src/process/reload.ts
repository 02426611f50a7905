/**
 * `--reload` in the supervisor: from a change of files to a change of workers. Decides when, and leaves how to whoever
 * exchanges the workers. One exchange at a time; what changes meanwhile causes the next one.
 */
import { sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Logger } from '../log.ts';
import { isOwnFile } from '../own-files.ts';
import { Watcher } from './watch.ts';

export interface ReloadOptions {
  /** Files and patterns that are watched whatever the workers report, absolute. */
  readonly patterns?: readonly string[];
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
      patterns: options.patterns ?? [],
      debounce: options.debounce,
      polling: options.polling,
      onChange: (files) => this.#note(files),
      onError: (error) => log.warn(`watching files: ${error.message}`),
    });
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

  /** What workers say of patterns, in the place of what they said before; those of `ReloadOptions` stay. */
  watchPatterns(patterns: readonly string[]): void {
    this.#watcher.setPatterns([...(this.#options.patterns ?? []), ...patterns]);
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
