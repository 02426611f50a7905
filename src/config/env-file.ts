/**
 * The environment variables that files and settings give to an application, on top of those that this process was started
 * with. Files such as `.env` are read with Node's own parser; unlike there, an invalid line is an error.
 */
import { ConfigError, errorCode, errorMessage, type Location } from '../errors.ts';
import { decidesCode } from '../files/program-variables.ts';
import { readConfiguration } from '../files/user-files.ts';
import { requireOwn } from '../own-files.ts';
import { setReferenceEnvironment } from './ini/interpolate.ts';
import type { SettingType } from './settings/setting-types.ts';

export type Variables = Readonly<Record<string, string>>;

const NONE: Variables = {};

/** From `--dotenv`: as with `node --env-file`, for variables that this process was started without. */
let optionVariables = NONE;
/** From an INI file. They override the variables that this process was started with. */
let settingVariables = NONE;
/** For what is not set anywhere else. */
let defaultVariables = NONE;

/** Whether variables that decide which code a program runs are kept out of the environment of this process. */
let isProtected = false;

/** The variables that are set from these three sources, with their values. */
const applied = new Map<string, string>();
/** What these variables were before; undefined: not set. */
const replaced = new Map<string, string | undefined>();

/**
 * Reads the files of `--dotenv` and sets their variables; the last file wins. A second call removes the variables of the first
 * one.
 *
 * @param files absolute paths
 * @throws ConfigError for a file that cannot be read, or an invalid line; then no variable has changed.
 */
export function applyEnvFiles(files: readonly string[]): void {
  optionVariables = mergeVariables(files.map((file) => readEnvFile(file)));
  setVariables();
}

/** Sets the variables of an INI file, instead of those of an earlier call. @returns a function that undoes this */
export function applySettingVariables(settings: Variables, defaults: Variables = NONE): () => void {
  const before = [settingVariables, defaultVariables] as const;
  settingVariables = settings;
  defaultVariables = defaults;
  setVariables();
  return () => void applySettingVariables(...before);
}

/**
 * Keeps the configured variables that decide which code a program runs out of the environment of this process if it is root:
 * another user may control the file that they are in. Processes of the application get them by `configuredVariables()`.
 */
export function protectRoot(): void {
  isProtected = process.geteuid?.() === 0;
  setVariables();
}

/** Sets all configured variables in this process: it runs the application now, and starts nothing else as root. */
export function releaseVariables(): void {
  isProtected = false;
  for (const [name, value] of applied) setVariable(name, value);
  setReferenceEnvironment(process.env);
}

/** The variables that files and settings give to the application, with their values. */
export function configuredVariables(): Variables {
  return Object.fromEntries(applied);
}

/** The environment that this process was started with: a child process reads or gets the configured variables itself. */
export function outerEnvironment(): NodeJS.ProcessEnv {
  const outer = { ...process.env };
  for (const [name, value] of replaced) {
    if (value === undefined) delete outer[name];
    else outer[name] = value;
  }
  return outer;
}

function setVariables(): void {
  for (const [name, value] of replaced) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
  replaced.clear();
  applied.clear();
  const { env } = process;
  const options = Object.entries(optionVariables).filter(([name]) => !(name in env));
  const named = { ...settingVariables, ...Object.fromEntries(options) };
  const defaults = Object.entries(defaultVariables).filter(([name]) => !(name in env || name in named));
  for (const [name, value] of Object.entries({ ...named, ...Object.fromEntries(defaults) })) {
    applied.set(name, value);
    if (!(isProtected && decidesCode(name, value))) setVariable(name, value);
  }
  setReferenceEnvironment(isProtected ? { ...env, ...configuredVariables() } : env);
}

function setVariable(name: string, value: string): void {
  if (!replaced.has(name)) replaced.set(name, process.env[name]);
  process.env[name] = value;
}

/** The variables of several sources; the last one wins. */
export function mergeVariables(sources: readonly Variables[]): Variables {
  return Object.fromEntries(sources.flatMap((each) => Object.entries(each)));
}

/** Where an INI file names a file of variables. */
export interface FileSetting {
  /** `[server:main] `, for messages. */
  readonly section: string;
  readonly location: Location | undefined;
}

/**
 * @param setting the `env_file` that names the file; undefined: an option does
 * @throws ConfigError for a file that cannot be read, or an invalid line
 */
export function readEnvFile(file: string, setting?: FileSetting): Variables {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(readConfiguration(file)).replaceAll('\r\n', '\n');
  } catch (error) {
    throw envFileReadError(file, setting, error);
  }
  checkLines(file, text);
  const { parseEnv }: typeof import('node:util') = requireOwn('node:util');
  return parseEnv(text) as Variables;
}

function envFileReadError(file: string, setting: FileSetting | undefined, error: unknown): ConfigError {
  const code = errorCode(error);
  const reason =
    code === 'ENOENT'
      ? 'there is no such file'
      : code === 'ERR_ENCODING_INVALID_ENCODED_DATA'
        ? 'it is not UTF-8 text'
        : errorMessage(error);
  const what = setting ? `${setting.section}env_file: ${file}` : `--dotenv ${file}`;
  return new ConfigError('PASTER_ENV_FILE', `${what}: ${reason}`, {
    location: setting?.location,
    hint: code === 'EACCES' ? 'the user who starts paster must be able to read it, also with --user' : undefined,
  });
}

const ASSIGNMENT = /[ \t]*(?:export[ \t]+)?([A-Za-z_][\w.-]*)[ \t]*=[ \t]*/y;

/** Node ignores invalid lines. No message quotes a line, since it may be a secret. */
function checkLines(file: string, text: string): void {
  for (let start = 0; start < text.length; ) {
    const end = lineEnd(text, start);
    const line = text.slice(start, end).trim();
    if (line === '' || line.startsWith('#')) {
      start = end + 1;
      continue;
    }
    ASSIGNMENT.lastIndex = start;
    const [assignment, name] = ASSIGNMENT.exec(text) ?? [];
    if (assignment === undefined || line.includes('\0')) {
      throw malformed(file, text, start, 'this line is neither NAME=value nor a comment', 'a comment begins with "#"');
    }
    const value = start + assignment.length;
    const quote = text[value] ?? '';
    if (!/["'`]/.test(quote)) {
      start = end + 1;
      continue;
    }
    const close = text.indexOf(quote, value + 1);
    if (close === -1) {
      throw malformed(file, text, value, `the value of ${name} has no closing ${quote}`, 'quote it with another quote');
    }
    start = lineEnd(text, close) + 1;
  }
}

function lineEnd(text: string, from: number): number {
  const end = text.indexOf('\n', from);
  return end === -1 ? text.length : end;
}

function malformed(file: string, text: string, offset: number, message: string, hint: string): ConfigError {
  const before = text.slice(0, offset).split('\n');
  return new ConfigError('PASTER_ENV_FILE', message, {
    location: { file, line: before.length, column: (before.at(-1) ?? '').length + 1 },
    hint,
  });
}

const SETTING_LINE = /^([A-Za-z_][\w.-]*)[ \t]*=[ \t]*(.*)$/;

/** The variables in a setting, as they are: without quotes and escapes. No message quotes a line, since it may be a secret. */
export const variables: SettingType<Variables> = {
  allowed: 'a line NAME=value for each variable',
  parse(value) {
    const lines = value.split('\n').map((line) => line.trim());
    const pairs = lines.flatMap((line, index) => {
      if (line === '') return [];
      const [, name, text] = SETTING_LINE.exec(line) ?? [];
      if (name === undefined || text === undefined || text.includes('\0')) {
        throw new Error(`line ${index + 1} is not NAME=value`);
      }
      return [[name, text] as const];
    });
    return Object.fromEntries(pairs);
  },
};
