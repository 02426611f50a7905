/** Python's levels and LogRecord: what every handler is given, and the fields that a format can name. */
import { basename, extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { format } from 'node:util';
import { threadId } from 'node:worker_threads';
import { printable, printableLine } from '../../printable.ts';

/** How severe a record is: one of the numbers below, or any between them. */
export type Level = number;

export const DEBUG: Level = 10;
export const INFO: Level = 20;
export const WARNING: Level = 30;
export const ERROR: Level = 40;
export const CRITICAL: Level = 50;
/** A logger of this level has the level of the nearest logger above it that has one. */
export const NOTSET: Level = 0;

/** The names that `level = ` accepts; upper case only, as in Python. */
export const LEVELS: ReadonlyMap<string, Level> = new Map([
  ['NOTSET', NOTSET],
  ['DEBUG', DEBUG],
  ['INFO', INFO],
  ['WARNING', WARNING],
  ['WARN', WARNING],
  ['ERROR', ERROR],
  ['CRITICAL', CRITICAL],
  ['FATAL', CRITICAL],
]);

const NAMES: ReadonlyMap<Level, string> = new Map([
  [NOTSET, 'NOTSET'],
  [DEBUG, 'DEBUG'],
  [INFO, 'INFO'],
  [WARNING, 'WARNING'],
  [ERROR, 'ERROR'],
  [CRITICAL, 'CRITICAL'],
]);

/** The name in a log line: `WARNING`, never `WARN`; `Level 15` for a number between the levels. */
export function levelName(level: Level): string {
  return NAMES.get(level) ?? `Level ${level}`;
}

/** The code that logged. */
export interface Caller {
  readonly functionName: string;
  readonly file: string;
  readonly line: number;
}

const UNKNOWN_CALLER: Caller = { functionName: '(unknown function)', file: '(unknown file)', line: 0 };

export class LogRecord {
  readonly logger: string;
  readonly level: Level;
  /** Milliseconds since 1970. */
  readonly created: number;
  /** As it was logged, including line feeds, for formats that quote it. */
  readonly text: string;
  /** On one line, so that text from a client cannot forge another record. */
  readonly message: string;
  readonly error: Error | undefined;
  readonly caller: Caller;

  /** @param isOneLine the message is known to be a text without anything to escape */
  constructor(
    logger: string,
    level: Level,
    message: unknown,
    args: readonly unknown[],
    error: Error | undefined,
    caller: Caller | undefined,
    isOneLine = false,
  ) {
    this.logger = logger;
    this.level = level;
    this.created = Date.now();
    this.text = typeof message === 'string' && args.length === 0 ? message : format(message, ...args);
    this.message = isOneLine ? this.text : oneLine(this.text);
    this.error = error;
    this.caller = caller ?? UNKNOWN_CALLER;
  }
}

const PLAIN = /^[\x20-\x7e]*$/;

/** Whether there is nothing to escape, as in most lines: a cheaper test than escaping. */
export function isPlain(text: string): boolean {
  return PLAIN.test(text);
}

function oneLine(text: string): string {
  return isPlain(text) ? text : printableLine(text);
}

/** An error as lines: its message on one line, then its stack frames, indented as V8 writes them. */
export function errorText(error: Error): string {
  const { name, message, stack = '' } = error;
  const frames = stack
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .map((line) => `    ${printable(line.trim())}`);
  // Lines of the message that look like frames are not frames: the stack begins with the whole message.
  const inMessage = message.split('\n').filter((line) => /^\s+at /.test(line)).length;
  const cause = error.cause instanceof Error ? `\n  caused by ${errorText(error.cause)}` : '';
  return [oneLine(`${name}: ${message}`), ...frames.slice(inMessage)].join('\n') + cause;
}

/** The value of a field, a text for `%s` or a number for `%d`. */
type ReadField = (record: LogRecord) => string | number;

// Reading a property of `process` is slow.
const PID = process.pid;

const STARTED = Date.now() - performance.now();

/** The fields by Python's names, except `asctime`, which depends on the formatter. */
export const FIELDS: Readonly<Record<string, ReadField>> = {
  name: ({ logger }) => logger,
  msg: ({ message }) => message,
  message: ({ message }) => message,
  levelname: ({ level }) => levelName(level),
  levelno: ({ level }) => level,
  pathname: ({ caller }) => caller.file,
  filename: ({ caller }) => basename(caller.file),
  module: ({ caller }) => basename(caller.file, extname(caller.file)),
  lineno: ({ caller }) => caller.line,
  funcName: ({ caller }) => caller.functionName,
  created: ({ created }) => created / 1000,
  msecs: ({ created }) => created % 1000,
  relativeCreated: ({ created }) => created - STARTED,
  thread: () => threadId,
  threadName: () => (threadId === 0 ? 'MainThread' : `Thread-${threadId}`),
  process: () => PID,
  processName: () => 'MainProcess',
};

/** The fields that need a stack trace, which costs more than everything else about a record. */
export const CALLER_FIELDS: ReadonlySet<string> = new Set(['pathname', 'filename', 'module', 'lineno', 'funcName']);

/** The caller of `method`, a function of a logger; undefined if the stack does not show it. */
export function findCaller(method: (...args: never[]) => unknown): Caller | undefined {
  const { stackTraceLimit, prepareStackTrace } = Error;
  let site: NodeJS.CallSite | undefined;
  Error.stackTraceLimit = 1;
  const takeSite: typeof Error.prepareStackTrace = (_error, sites) => {
    site = sites[0];
    return '';
  };
  Error.prepareStackTrace = takeSite;
  try {
    const holder: { stack?: unknown } = {};
    Error.captureStackTrace(holder, method);
    // V8 calls `prepareStackTrace` when the property is read.
    void holder.stack;
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
    if (prepareStackTrace) Error.prepareStackTrace = prepareStackTrace;
    else Reflect.deleteProperty(Error, 'prepareStackTrace');
  }
  if (!site) return undefined;
  const file = site.getFileName() ?? '(unknown file)';
  return {
    functionName: site.getFunctionName() ?? '<module>',
    file: file.startsWith('file:') ? fileURLToPath(file) : file,
    line: site.getLineNumber() ?? 0,
  };
}
