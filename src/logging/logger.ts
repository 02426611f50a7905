/**
 * Loggers by dotted names, each of which hands what it is told to its own handlers and to those of the loggers above it:
 * Python's `logging`, as far as an application and an INI file need it. Before anything is configured, warnings and
 * worse go to standard error.
 */
import { CRITICAL, DEBUG, ERROR, INFO, type Level, NOTSET, WARNING } from './levels.ts';
import { type Caller, errorText, findCaller, LogRecord } from './record.ts';

/** Takes records somewhere. */
export interface Handler {
  readonly level: Level;
  /** Whether what it writes says who logged. */
  readonly needsCaller: boolean;
  handle(record: LogRecord): void;
  /** Everything that was handled is where it belongs when this returns. */
  flush(): void;
  /** USR1: goes on in the file that has the name now. @throws Error where that cannot be opened; the old one stays. */
  reopen(): void;
  close(): void;
}

/** What a logger is told to be. */
export interface LoggerSetup {
  readonly level: Level;
  readonly handlers: readonly Handler[];
  readonly propagate: boolean;
}

const FRESH: LoggerSetup = { level: NOTSET, handlers: [], propagate: true };
const ROOT: LoggerSetup = { ...FRESH, level: WARNING };

type Logging = (...args: never[]) => unknown;

/** Further details of a record. */
export interface LogDetails {
  /** Shown below the message, with its stack. */
  readonly error?: Error | undefined;
  /** Who logged, for one who knows it without a look at the stack. */
  readonly caller?: Caller | undefined;
  /** The function whose caller logged, for one that logs for others. */
  readonly by?: Logging | undefined;
  /** The message is known to hold printable characters only: nobody looks for others. */
  readonly isOneLine?: boolean | undefined;
}

/**
 * A logger of the hierarchy; get one from `getLogger`. A message is a text with `%s`, `%d`, `%o`, ... for the arguments
 * (`util.format`), which is done only if somebody listens. An Error as the last argument, which no `%` asks for, is
 * shown with its stack.
 */
export class NamedLogger {
  readonly name: string;
  readonly #hierarchy: Hierarchy;
  readonly #parent: NamedLogger | undefined;
  #setup = FRESH;
  // Worked out when first needed, and again after each change of any logger.
  #version = -1;
  #effectiveLevel: Level = NOTSET;
  #reached: readonly Handler[] = [];
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

  /** An error that was caught, in Python's order: what it means, then the error itself. */
  exception(message: unknown, error: unknown, ...args: unknown[]): void {
    if (!this.isEnabledFor(ERROR)) return;
    if (error instanceof Error) this.#emit(ERROR, message, args, { error }, this.exception);
    else this.#emit(ERROR, message, [error, ...args], {}, this.exception);
  }

  /** For a level that is a number: 10 is DEBUG, 50 CRITICAL. */
  log(level: Level, message: unknown, ...args: unknown[]): void {
    if (this.isEnabledFor(level)) this.#log(level, message, args, this.log);
  }

  /** A message with what else is known of it. */
  report(level: Level, message: string, details: LogDetails): void {
    if (this.isEnabledFor(level)) this.#emit(level, message, [], details, details.by ?? this.report);
  }

  /** Whether a message of this level would go to the handlers: for what is costly to put together. */
  isEnabledFor(level: Level): boolean {
    if (this.#version !== this.#hierarchy.version) this.#settle();
    return level >= this.#effectiveLevel;
  }

  /** Its own level, or that of the nearest logger above it which has one. */
  get effectiveLevel(): Level {
    if (this.#version !== this.#hierarchy.version) this.#settle();
    return this.#effectiveLevel;
  }

  /** Gives it a level if nobody has given it one. */
  setDefaultLevel(level: Level): void {
    if (this.#setup.level === NOTSET) this.configure({ ...this.#setup, level });
  }

  /** Changes what it is; for configuration. */
  configure(setup: LoggerSetup): void {
    this.#setup = setup;
    this.#hierarchy.changed();
  }

  #settle(): void {
    this.#version = this.#hierarchy.version;
    this.#effectiveLevel = this.#settledLevel();
    const reached: Handler[] = [];
    for (let at: NamedLogger | undefined = this; at; at = at.#setup.propagate ? at.#parent : undefined) {
      reached.push(...at.#setup.handlers);
    }
    this.#reached = reached.length > 0 ? reached : [lastResort];
    this.#needsCaller = reached.some(({ needsCaller }) => needsCaller);
  }

  #settledLevel(): Level {
    for (let at: NamedLogger | undefined = this; at; at = at.#parent) {
      if (at.#setup.level !== NOTSET) return at.#setup.level;
    }
    return NOTSET;
  }

  #log(level: Level, message: unknown, args: readonly unknown[], method: Logging): void {
    if (message instanceof Error && args.length === 0) {
      this.#emit(level, message.message, [], { error: message }, method);
      return;
    }
    const last = args.at(-1);
    const isAsked = typeof message === 'string' && countPlaces(message) >= args.length;
    if (last instanceof Error && !isAsked) this.#emit(level, message, args.slice(0, -1), { error: last }, method);
    else this.#emit(level, message, args, {}, method);
  }

  #emit(
    level: Level,
    message: unknown,
    args: readonly unknown[],
    { error, caller, isOneLine }: LogDetails,
    method: Logging,
  ): void {
    const from = caller ?? (this.#needsCaller ? findCaller(method) : undefined);
    const record = new LogRecord(this.name, level, message, args, error, from, isOneLine);
    for (const handler of this.#reached) if (level >= handler.level) handler.handle(record);
  }
}

/** The places of a message that `util.format` fills. */
function countPlaces(message: string): number {
  return message.match(/%[sdifjoOc%]/g)?.filter((place) => place !== '%%').length ?? 0;
}

/** For what reaches no handler, as in Python: what matters is not lost. */
const lastResort: Handler = {
  level: WARNING,
  needsCaller: false,
  handle: ({ message, error }) => {
    process.stderr.write(`${message}${error ? `\n${errorText(error)}` : ''}\n`);
  },
  flush() {},
  reopen() {},
  close() {},
};

/** All loggers of a process. */
export class Hierarchy {
  readonly root: NamedLogger = new NamedLogger('root', undefined, this);
  readonly #loggers = new Map<string, NamedLogger>();
  #handlers: readonly Handler[] = [];
  version = 0;
  /** Whether somebody has said where records go. */
  isConfigured = false;

  constructor() {
    this.root.configure(ROOT);
    // However the process ends, short of SIGKILL.
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

  /** Puts a whole configuration in the place of the one before, whose handlers are closed. */
  configure(handlers: readonly Handler[], setups: ReadonlyMap<string, LoggerSetup>): void {
    const before = this.#handlers;
    this.#handlers = handlers;
    this.isConfigured = true;
    this.root.configure(ROOT);
    for (const logger of this.#loggers.values()) logger.configure(FRESH);
    for (const [name, setup] of setups) this.get(name).configure(setup);
    for (const handler of before) handler.close();
  }

  flush(): void {
    for (const handler of this.#handlers) handler.flush();
  }

  /** @throws Error, the first of them, after all have been tried. */
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

// Of the process, whichever copy of paster an application has imported: the command may be installed elsewhere.
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
