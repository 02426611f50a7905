/**
 * The errors that paster reports to users. Each has an exit status and, where it applies, a location in a file, and is
 * shown without a stack trace. Anything else that is thrown is a defect of paster and keeps its stack.
 */
import { relative } from 'node:path';
import { printableLine, printableMessage } from './printable.ts';
import { withoutSecrets } from './secrets.ts';
import { workingDirectory } from './working-directory.ts';

/** A place in a text file. Lines and columns count from 1; columns count UTF-16 code units. */
export interface Location {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export interface PasterErrorOptions {
  readonly location?: Location | undefined;
  /** What the user probably meant, or what would be accepted: one sentence or a `did you mean ...?`. */
  readonly hint?: string | undefined;
  /** The setting that is wrong, if the thrower does not know where it is written. */
  readonly setting?: string | undefined;
  /** The file or directory that is wrong: `--reload` waits until it changes. */
  readonly path?: string | undefined;
  readonly cause?: unknown;
}

/** The exit statuses of the command. */
export const EXIT_OK = 0;
export const EXIT_FAILURE = 1;
/** The configuration or the command line is invalid. */
export const EXIT_INVALID = 2;

/** Base of every error whose message is written for the user. */
export abstract class PasterError extends Error {
  /** A stable, machine-readable name such as `PASTER_INI_SYNTAX`. */
  readonly code: string;
  /** Set by the first caller that knows it: see `locate`. */
  location: Location | undefined;
  /** The section of the INI file, set likewise. */
  section: string | undefined;
  readonly hint: string | undefined;
  /** The setting that is wrong: a caller that knows the section finds the location by it. */
  readonly setting: string | undefined;
  readonly path: string | undefined;
  abstract readonly exitStatus: number;

  constructor(code: string, message: string, options: PasterErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.location = options.location;
    this.hint = options.hint;
    this.setting = options.setting;
    this.path = options.path;
  }
}

/** An error in a configuration file or in something that it names. */
export class ConfigError extends PasterError {
  readonly exitStatus: number = EXIT_INVALID;
}

/** An error in the command line. */
export class UsageError extends PasterError {
  readonly exitStatus: number = EXIT_INVALID;
}

/** An error outside of a correct configuration: a port in use, a module that throws, a missing directory. */
export class RunError extends PasterError {
  readonly exitStatus: number = EXIT_FAILURE;
}

/**
 * The error for something that was not ready within `start_timeout`.
 * @param what what was loading: `the application`
 * @param likelyCause `an endless loop`
 */
export function startTimeoutError(what: string, seconds: number, likelyCause: string, location?: Location): RunError {
  return new RunError('PASTER_START_TIMEOUT', `${what} was not ready within ${seconds} s`, {
    location,
    hint: `is there ${likelyCause}? start_timeout gives it more time`,
  });
}

/** Several errors that were found at once; each is reported on a line of its own. */
export class ErrorList extends PasterError {
  readonly exitStatus: number;
  readonly errors: readonly PasterError[];

  constructor(errors: readonly PasterError[]) {
    super('PASTER_SEVERAL', errors.map((error) => error.message).join('\n'));
    this.errors = errors;
    this.exitStatus = Math.max(...errors.map((error) => error.exitStatus));
  }
}

/** Adds a location and a section to a PasterError that has none yet; returns the same error, to be thrown. */
export function locate(error: unknown, location: Location | undefined, section?: string): unknown {
  if (error instanceof ErrorList) for (const each of error.errors) locate(each, location, section);
  else if (error instanceof PasterError) {
    error.location ??= location;
    error.section ??= section;
  }
  return error;
}

/** Prefixes the message with an option of the command line, which has no location in a file; returns the same error. */
export function blameOption(error: PasterError, option: string): PasterError {
  error.message = `--${option}: ${error.message}`;
  return error;
}

/** The errno of a Node system error (`'EADDRINUSE'`), or undefined for any other value. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string') {
    return error.code;
  }
  return undefined;
}

/** A thrown value as an Error. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/** The message of a thrown value, with secrets masked. */
export function errorMessage(error: unknown): string {
  return withoutSecrets(error instanceof Error ? error.message : String(error));
}

/** The stack of a thrown value, or its message if it has none, with secrets masked. */
export function errorStack(error: unknown): string {
  // A program may have set the stack to anything.
  return error instanceof Error && typeof error.stack === 'string' ? withoutSecrets(error.stack) : errorMessage(error);
}

/** What V8 writes before a message: a name, which Node extends with a code. */
const NAME_IN_STACK = /^[\w$.]+(?: \[\w+\])?(?:: |$)$/;

/**
 * The lines of a stack that are call sites. A message may contain lines that look like them, so only the lines after it
 * count; there are none if the stack does not begin with the message, or if anything else follows it.
 */
export function stackFrames({ name, message, stack }: Error): string[] {
  if (typeof stack !== 'string' || typeof message !== 'string') return [];
  const head = [name, message].filter((part) => part !== '').join(': ');
  const nameEnd = message === '' ? stack.search(/\n|$/) : stack.indexOf(message);
  let rest = '';
  if (stack.startsWith(head)) rest = stack.slice(head.length);
  else if (NAME_IN_STACK.test(stack.slice(0, Math.max(0, nameEnd)))) rest = stack.slice(nameEnd + message.length);
  const [end, ...lines] = rest.trimEnd().split('\n');
  return end === '' && lines.every((line) => /^\s+at /.test(line)) ? lines : [];
}

/** `file:line:column` for users; the file is relative to `cwd` if it is below it. */
export function formatLocation(location: Location, cwd: string = workingDirectory()): string {
  const fromHere = relative(cwd, location.file);
  const file = fromHere !== '' && !fromHere.startsWith('..') ? fromHere : location.file;
  return printableLine(`${file}:${location.line}:${location.column}`);
}

/** Errors that quote messages of other code, which may have several lines. */
const MULTILINE_CODES = new Set(['PASTER_MODULE_FAILED', 'PASTER_FACTORY_FAILED', 'PASTER_NOT_READY', 'PASTER_DAEMON']);

const LONGEST_MESSAGE = 2000;

/** A message may quote a value of megabytes, which would be useless. */
function shortened(message: string): string {
  if (message.length <= LONGEST_MESSAGE) return message;
  return `${message.slice(0, LONGEST_MESSAGE)}... (${message.length - LONGEST_MESSAGE} more characters)`;
}

/**
 * Formats an error for users: `file:line:col: [section] message (hint)`. An ErrorList has a line for each error; further
 * lines of one error are indented.
 */
export function formatError(error: PasterError, cwd?: string): string {
  if (error instanceof ErrorList) return error.errors.map((each) => formatError(each, cwd)).join('\n');
  const location = error.location ? `${formatLocation(error.location, cwd)}: ` : '';
  const hint = error.hint ? ` (${error.hint})` : '';
  // The messages of errors about a value name the section themselves.
  const section = error.section === undefined || error.message.startsWith('[') ? '' : `[${error.section}] `;
  const message = withoutSecrets(shortened(error.message));
  const shown = MULTILINE_CODES.has(error.code) ? printableMessage(message) : printableLine(message);
  return `${location}${printableLine(section)}${shown}${printableLine(hint)}`;
}

/** As `formatError`, for an error that may not be paster's: that has its message alone. */
export function describeError(error: unknown): string {
  return error instanceof PasterError ? formatError(error) : errorMessage(error);
}
