/** One thing that was logged, as every handler is given it, and the fields that a format can name (Python's LogRecord). */
import { basename, extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { format } from 'node:util';
import { threadId } from 'node:worker_threads';
import { printable, printableLine } from '../printable.ts';
import { type Level, levelName } from './levels.ts';

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
  /** As it was logged, line feeds and all: for formats that quote it. */
  readonly text: string;
  /** On one line: whatever a client has put into it can forge no other record. */
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

/** Most lines hold nothing to escape, and that is found out faster. */
export function isPlain(text: string): boolean {
  return PLAIN.test(text);
}

export function oneLine(text: string): string {
  return isPlain(text) ? text : printableLine(text);
}

/** The record's error as lines of their own: its message on one of them, its frames indented as V8 writes them. */
export function errorText(error: Error): string {
  const { name, message, stack = '' } = error;
  const frames = stack
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .map((line) => `    ${printable(line.trim())}`);
  // A message that looks like a frame is none: frames come after the head, which holds the whole message.
  const inMessage = message.split('\n').filter((line) => /^\s+at /.test(line)).length;
  const cause = error.cause instanceof Error ? `\n  caused by ${errorText(error.cause)}` : '';
  return [oneLine(`${name}: ${message}`), ...frames.slice(inMessage)].join('\n') + cause;
}

/** A field of a format: a text or a number, as `%s` and `%d` want to know. */
type ReadField = (record: LogRecord) => string | number;

// A property of `process` is looked up anew each time.
const PID = process.pid;

const STARTED = Date.now() - performance.now();

/** Python's names of the fields, but for `asctime`, which depends on the formatter. */
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

/** The fields that can only be had by looking at the stack, which costs more than the rest of a record. */
export const CALLER_FIELDS: ReadonlySet<string> = new Set(['pathname', 'filename', 'module', 'lineno', 'funcName']);

/** Who called `logging`, a function of a logger. Undefined where the stack does not say. */
export function findCaller(logging: (...args: never[]) => unknown): Caller | undefined {
  const { stackTraceLimit, prepareStackTrace } = Error;
  let site: NodeJS.CallSite | undefined;
  Error.stackTraceLimit = 1;
  Error.prepareStackTrace = (_error, sites) => {
    site = sites[0];
    return '';
  };
  try {
    const holder: { stack?: unknown } = {};
    Error.captureStackTrace(holder, logging);
    // V8 asks `prepareStackTrace` when the property is read.
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
