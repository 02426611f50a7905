/**
 * Loggers by dotted names. Each passes records to its own handlers and to those of the loggers above it, as Python's
 * `logging` does, which is reproduced as far as an application and an INI file need it. Before anything is configured,
 * warnings and errors go to standard error.
 */
import { writeRecord } from '../output/console-output.ts';
import {
  type Caller,
  CRITICAL,
  DEBUG,
  ERROR,
  errorText,
  findCaller,
  INFO,
  type Level,
  LogRecord,
  NOTSET,
  WARNING,
} from './record.ts';

/** Writes records somewhere. */
export interface Handler {
  readonly level: Level;
  /** Whether its lines show the caller. */
  readonly needsCaller: boolean;
  /** Whether it writes to standard output or standard error. Default: false. */
  readonly isConsole?: boolean;
  handle(record: LogRecord): void;
  /** Writes everything that still waits, before it returns. */
  flush(): void;
  /** For USR1: opens the file that has the name now. @throws Error if it cannot be opened; then the old one stays open. */
  reopen(): void;
  close(): void;
}

/** The configuration of a logger. */
export interface LoggerSetup {
  readonly level: Level;
  readonly handlers: readonly Handler[];
  readonly propagate: boolean;
}

const DEFAULT_SETUP: LoggerSetup = { level: NOTSET, handlers: [], propagate: true };
const ROOT_SETUP: LoggerSetup = { ...DEFAULT_SETUP, level: WARNING };

type LogFunction = (...args: never[]) => unknown;

/** Further details of a record. */
export interface LogDetails {
  /** Shown below the message, with its stack. */
  readonly error?: Error | undefined;
  /** The caller, if it is known without a stack trace. */
  readonly caller?: Caller | undefined;
  /** A function that logs for others: its caller is the caller of the record. */
  readonly by?: LogFunction | undefined;
  /** The message is known to consist of printable characters, and is not searched for others. */
  readonly isOneLine?: boolean | undefined;
}

/**
 * A logger of the hierarchy; get one from `getLogger`. A message is a text with `%s`, `%d`, `%o`, ... for the arguments
 * (`util.format`); it is formatted only if a handler writes it. An Error as the last argument, if no `%` stands for it, is
 * shown with its stack.
 */
export class NamedLogger {
  readonly name: string;
  readonly #hierarchy: Hierarchy;
  readonly #parent: NamedLogger | undefined;
  #setup = DEFAULT_SETUP;
  // Computed when first needed, and again after a change of any logger.
  #version = -1;
  #effectiveLevel: Level = NOTSET;
  #effectiveHandlers: readonly Handler[] = [];
  #needsCaller = false;

  constructor(name: string, parent: NamedLogger | undefined, hierarchy: Hierarchy) {
    this.name = name;
    this.#parent = parent;
    this.#hierarchy = hierarchy;
  }

  debug(message: unknown, ...args: unknown[]): void {
    if (this.isEnabledFor(DEBUG)) this.#log(DEBUG, message, args, this.debug);
  }

  info(message: unknown, ...args: unknown[]): void {
    if (this.isEnabledFor(INFO)) this.#log(INFO, message, args, this.info);
  }

  warn(message: unknown, ...args: unknown[]): void {
    if (this.isEnabledFor(WARNING)) this.#log(WARNING, message, args, this.warn);
  }

  warning(message: unknown, ...args: unknown[]): void {
    if (this.isEnabledFor(WARNING)) this.#log(WARNING, message, args, this.warning);
  }

  error(message: unknown, ...args: unknown[]): void {
    if (this.isEnabledFor(ERROR)) this.#log(ERROR, message, args, this.error);
  }

  critical(message: unknown, ...args: unknown[]): void {
    if (this.isEnabledFor(CRITICAL)) this.#log(CRITICAL, message, args, this.critical);
  }

  /** Logs a caught error, with the arguments in Python's order: the message, then the error. */
  exception(message: unknown, error: unknown, ...args: unknown[]): void {
    if (!this.isEnabledFor(ERROR)) return;
    if (error instanceof Error) this.#emit(ERROR, message, args, { error }, this.exception);
    else this.#emit(ERROR, message, [error, ...args], {}, this.exception);
  }

  /** For a level that is a number: 10 is DEBUG, 50 CRITICAL. */
  log(level: Level, message: unknown, ...args: unknown[]): void {
    if (this.isEnabledFor(level)) this.#log(level, message, args, this.log);
  }

  /** Logs a message with further details. */
  report(level: Level, message: string, details: LogDetails): void {
    if (this.isEnabledFor(level)) this.#emit(level, message, [], details, details.by ?? this.report);
  }

  /** Whether a message of this level would be written; for messages that are costly to make. */
  isEnabledFor(level: Level): boolean {
    if (this.#version !== this.#hierarchy.version) this.#resolve();
    return level >= this.#effectiveLevel;
  }

  /** Whether a message of this level would be written to standard output or standard error. */
  reachesConsole(level: Level): boolean {
    return (
      this.isEnabledFor(level) && this.#effectiveHandlers.some((each) => each.isConsole === true && level >= each.level)
    );
  }

  /** Its own level, or that of the nearest logger above it that has one. */
  get effectiveLevel(): Level {
    if (this.#version !== this.#hierarchy.version) this.#resolve();
    return this.#effectiveLevel;
  }

  /** Sets the level if none is configured. */
  setDefaultLevel(level: Level): void {
    if (this.#setup.level === NOTSET) this.configure({ ...this.#setup, level });
  }

  /** Replaces its configuration. */
  configure(setup: LoggerSetup): void {
    this.#setup = setup;
    this.#hierarchy.changed();
  }

  #resolve(): void {
    this.#version = this.#hierarchy.version;
    this.#effectiveLevel = this.#resolveLevel();
    const handlers: Handler[] = [];
    for (let at: NamedLogger | undefined = this; at; at = at.#setup.propagate ? at.#parent : undefined) {
      handlers.push(...at.#setup.handlers);
    }
    this.#effectiveHandlers = [...(handlers.length > 0 ? handlers : [lastResort]), ...this.#hierarchy.followers];
    this.#needsCaller = handlers.some(({ needsCaller }) => needsCaller);
  }

  #resolveLevel(): Level {
    for (let at: NamedLogger | undefined = this; at; at = at.#parent) {
      if (at.#setup.level !== NOTSET) return at.#setup.level;
    }
    return NOTSET;
  }

  #log(level: Level, message: unknown, args: readonly unknown[], method: LogFunction): void {
    if (message instanceof Error && args.length === 0) {
      this.#emit(level, message.message, [], { error: message }, method);
      return;
    }
    const last = args.at(-1);
    const isFormatted = typeof message === 'string' && countPlaceholders(message) >= args.length;
    if (last instanceof Error && !isFormatted) this.#emit(level, message, args.slice(0, -1), { error: last }, method);
    else this.#emit(level, message, args, {}, method);
  }

  #emit(
    level: Level,
    message: unknown,
    args: readonly unknown[],
    { error, caller, isOneLine }: LogDetails,
    method: LogFunction,
  ): void {
    const from = caller ?? (this.#needsCaller ? findCaller(method) : undefined);
    const record = new LogRecord(this.name, level, message, args, error, from, isOneLine);
    for (const handler of this.#effectiveHandlers) if (level >= handler.level) handler.handle(record);
  }
}

/** How many arguments `util.format` puts into a message. */
function countPlaceholders(message: string): number {
  return message.match(/%[sdifjoOc%]/g)?.filter((placeholder) => placeholder !== '%%').length ?? 0;
}

/** For records that reach no handler, as in Python, so that warnings are not lost. */
const lastResort: Handler = {
  level: WARNING,
  needsCaller: false,
  isConsole: true,
  handle: ({ message, error }) => {
    writeRecord('stderr', `${message}${error ? `\n${errorText(error)}` : ''}\n`);
  },
  flush() {},
  reopen() {},
  close() {},
};

/** All loggers of a process. */
export class Hierarchy {
  readonly root: NamedLogger = new NamedLogger('root', undefined, this);
  readonly #loggers = new Map<string, NamedLogger>();
  /** Get the records of all loggers, besides their handlers, whatever is configured. */
  readonly followers = new Set<Handler>();
  #handlers: readonly Handler[] = [];
  version = 0;
  /** Whether logging has been configured. */
  isConfigured = false;

  constructor() {
    this.root.configure(ROOT_SETUP);
    // Runs however the process ends, except with SIGKILL.
    process.on('exit', () => this.flush());
  }

  get(name: string): NamedLogger {
    if (name === '' || name === 'root') return this.root;
    const known = this.#loggers.get(name);
    if (known) return known;
    const dot = name.lastIndexOf('.');
    const logger = new NamedLogger(name, dot === -1 ? this.root : this.get(name.slice(0, dot)), this);
    this.#loggers.set(name, logger);
    return logger;
  }

  changed(): void {
    this.version++;
  }

  /** Adds a follower. @returns a function that removes it */
  follow(handler: Handler): () => void {
    this.followers.add(handler);
    this.changed();
    return () => {
      this.followers.delete(handler);
      this.changed();
    };
  }

  /** Replaces the whole configuration and closes the handlers of the previous one. */
  configure(handlers: readonly Handler[], setups: ReadonlyMap<string, LoggerSetup>): void {
    const before = this.#handlers;
    this.#handlers = handlers;
    this.isConfigured = true;
    this.root.configure(ROOT_SETUP);
    for (const logger of this.#loggers.values()) logger.configure(DEFAULT_SETUP);
    for (const [name, setup] of setups) this.get(name).configure(setup);
    for (const handler of before) handler.close();
  }

  flush(): void {
    for (const handler of this.#handlers) handler.flush();
  }

  /** @throws the first Error, after all handlers have been tried */
  reopen(): void {
    const errors: unknown[] = [];
    for (const handler of this.#handlers) {
      try {
        handler.reopen();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }
}

// Shared by all copies of paster in a process: the command may be another installation than the one an application imports.
const KEY: unique symbol = Symbol.for('paster.logging');
const shared: typeof globalThis & { [KEY]?: Hierarchy } = globalThis;

/** The loggers of this process. */
export function hierarchy(): Hierarchy {
  shared[KEY] ??= new Hierarchy();
  return shared[KEY];
}

/**
 * The logger of a name, always the same one. Dots make it a child: `getLogger('shop.cart')` is below `shop`, and all are
 * below the root, which is `getLogger()`.
 *
 * ```js
 * const log = getLogger('shop.cart')
 * log.info('%s items for %s', items.length, user)
 * log.exception('cannot pay', error)
 * ```
 */
export function getLogger(name = ''): NamedLogger {
  return hierarchy().get(name);
}
