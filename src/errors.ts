/**
 * The errors that paster reports to people: each knows its exit status, the place in a file it is about, and how to
 * write itself down without a stack trace. Anything else that is thrown is a defect and keeps its stack.
 */
import { relative } from 'node:path';
import { printable, printableLine, printableMessage } from './printable.ts';
import { withoutSecrets } from './secrets.ts';
import { workingDirectory } from './working-directory.ts';

export { printable, printableLine, printableMessage };

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
  /** The setting that is at fault, for one who knows that and not where it is written. */
  readonly setting?: string | undefined;
  /** The file or directory that is at fault: `--reload` waits for a change of it. */
  readonly path?: string | undefined;
  readonly cause?: unknown;
}

/** Exit statuses of the command (DESIGN section 2). */
export const EXIT_OK = 0;
export const EXIT_FAILURE = 1;
export const EXIT_MISTAKE = 2;

/** Base of every error whose message is written for the user. */
export abstract class PasterError extends Error {
  /** A stable, machine-readable name such as `PASTER_INI_SYNTAX`. */
  readonly code: string;
  /** Filled in by the first caller that knows it: see `locate`. */
  location: Location | undefined;
  /** The section that it is about, likewise. */
  section: string | undefined;
  readonly hint: string | undefined;
  /** The setting that is at fault: whoever knows its section finds the place by it. */
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

/** A mistake in a configuration file or in what it names. */
export class ConfigError extends PasterError {
  readonly exitStatus: number = EXIT_MISTAKE;
}

/** A mistake in the command line. */
export class UsageError extends PasterError {
  readonly exitStatus: number = EXIT_MISTAKE;
}

/** The configuration is right, but the world is not: a port in use, a module that throws, a missing directory. */
export class RunError extends PasterError {
  readonly exitStatus: number = EXIT_FAILURE;
}

/** Several mistakes that were found in one go; each is reported on a line of its own. */
export class ErrorList extends PasterError {
  readonly exitStatus: number;
  readonly errors: readonly PasterError[];

  constructor(errors: readonly PasterError[]) {
    super('PASTER_SEVERAL', errors.map((error) => error.message).join('\n'));
    this.errors = errors;
    this.exitStatus = Math.max(...errors.map((error) => error.exitStatus));
  }
}

/** Gives an error of this family a place and a section if it has none yet; returns the same error, to be thrown. */
export function locate(error: unknown, location: Location | undefined, section?: string): unknown {
  if (error instanceof ErrorList) for (const each of error.errors) locate(each, location, section);
  else if (error instanceof PasterError) {
    error.location ??= location;
    error.section ??= section;
  }
  return error;
}

/** Says that an error is about an option of the command line, which has no place in a file; returns the same error. */
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

/** Whatever was thrown, as an Error. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/** The message of whatever was thrown, without passwords in URLs. */
export function errorMessage(error: unknown): string {
  return withoutSecrets(error instanceof Error ? error.message : String(error));
}

/** The stack of whatever was thrown, or its message where it has none, without passwords in URLs. */
export function errorStack(error: unknown): string {
  return error instanceof Error ? withoutSecrets(error.stack ?? error.message) : errorMessage(error);
}

/** What V8 writes before a message: a name, which Node follows by a code. */
const NAME_IN_STACK = /^[\w$.]+(?: \[\w+\])?(?:: |$)$/;

/**
 * The lines of a stack that are call sites. A message may quote lines that look like some, so only what is behind it
 * counts, and nothing of a stack that does not begin with it or goes on with anything else.
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

/** `file:line:column` for people, the file as seen from `cwd` when it lies below it. */
export function formatLocation(location: Location, cwd: string = workingDirectory()): string {
  const fromHere = relative(cwd, location.file);
  const file = fromHere !== '' && !fromHere.startsWith('..') ? fromHere : location.file;
  return printableLine(`${file}:${location.line}:${location.column}`);
}

/** Errors whose messages quote those of other code, of several lines perhaps. */
const WITH_FOREIGN_LINES = new Set([
  'PASTER_MODULE_FAILED',
  'PASTER_FACTORY_FAILED',
  'PASTER_NOT_READY',
  'PASTER_DAEMON',
]);

const LONGEST_MESSAGE = 2000;

/** A value of megabytes that a message quotes is of use to nobody. */
function shortened(message: string): string {
  if (message.length <= LONGEST_MESSAGE) return message;
  return `${message.slice(0, LONGEST_MESSAGE)}... (${message.length - LONGEST_MESSAGE} characters more)`;
}

/**
 * What to show a user for an error of this family: `file:line:col: [section] message (hint)`. A line for each error of
 * a list; what belongs to the line before it is indented.
 */
export function formatError(error: PasterError, cwd?: string): string {
  if (error instanceof ErrorList) return error.errors.map((each) => formatError(each, cwd)).join('\n');
  const place = error.location ? `${formatLocation(error.location, cwd)}: ` : '';
  const hint = error.hint ? ` (${error.hint})` : '';
  // Errors about a value name their section themselves.
  const section = error.section === undefined || error.message.startsWith('[') ? '' : `[${error.section}] `;
  const message = withoutSecrets(shortened(error.message));
  const shown = WITH_FOREIGN_LINES.has(error.code) ? printableMessage(message) : printableLine(message);
  return `${place}${printableLine(section)}${shown}${printableLine(hint)}`;
}
