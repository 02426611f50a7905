/**
 * Files of environment variables, such as `.env`, by Node's own parser. As with `node --env-file`, what the environment
 * has already wins, and of several files the last one. Unlike there, a line that means nothing is a mistake.
 */
import { parseEnv } from 'node:util';
import { ConfigError, errorCode, errorMessage } from '../errors.ts';
import { readConfiguration } from '../user-files.ts';

/** What files have set in this process, whose environment is one for all of it too. */
const variables = new Map<string, string>();

/**
 * Reads the files and sets the variables that they name. Read again, they take the place of what they said before.
 *
 * @param files absolute paths
 * @throws ConfigError for a file that cannot be read, or a line that means nothing; then all is as it was.
 */
export function applyEnvFiles(files: readonly string[]): void {
  const read = new Map(files.flatMap((file) => Object.entries(readEnvFile(file))));
  for (const name of variables.keys()) delete process.env[name];
  variables.clear();
  for (const [name, value] of read) {
    if (name in process.env) continue;
    process.env[name] = value;
    variables.set(name, value);
  }
}

/** What files have set in this process. */
export function fileVariables(): Readonly<Record<string, string>> {
  return Object.fromEntries(variables);
}

/** The environment without what files have set: for a process that gets it in another way, and as it is by then. */
export function outerEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !variables.has(name)));
}

function readEnvFile(file: string): Readonly<Record<string, string>> {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(readConfiguration(file)).replaceAll('\r\n', '\n');
  } catch (error) {
    throw unreadable(file, error);
  }
  checkLines(file, text);
  return parseEnv(text) as Readonly<Record<string, string>>;
}

function unreadable(file: string, error: unknown): ConfigError {
  const code = errorCode(error);
  const reason =
    code === 'ENOENT'
      ? 'there is no such file'
      : code === 'ERR_ENCODING_INVALID_ENCODED_DATA'
        ? 'it is not UTF-8 text'
        : errorMessage(error);
  return new ConfigError('PASTER_ENV_FILE', `--dotenv ${file}: ${reason}`, {
    hint: code === 'EACCES' ? 'the user who starts paster must be able to read it, also with --user' : undefined,
  });
}

const ASSIGNMENT = /[ \t]*(?:export[ \t]+)?([A-Za-z_][\w.-]*)[ \t]*=[ \t]*/y;

/** Node passes over what it does not understand. No message quotes a line: it may be a secret. */
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
