/**
 * The lines around a place, for a developer who looks at an error: of the project's own sources and of configuration files that
 * an error names, and of no other file. Secrets in them are masked.
 */
import { existsSync } from 'node:fs';
import { open, readFile, realpath } from 'node:fs/promises';
import { basename, dirname, extname, join, relative, sep } from 'node:path';
import { HIDDEN, isSecretName, withoutSecretLiterals, withoutTokens } from '../secrets.ts';
import { workingDirectory } from '../working-directory.ts';
import type { ErrorFrame } from './error-frames.ts';

export interface ExcerptLine {
  readonly number: number;
  /** Cut off if it is long. */
  readonly text: string;
  /** The frame's own line. */
  readonly isMarked: boolean;
}

/** Lines before and after the frame's own. */
const AROUND = 5;
const LONGEST_LINE = 400;

/**
 * The lines around a frame, without secrets; undefined if the file may not be shown or has no such line.
 * @param directory a directory of the project whose sources may be shown, besides that of the working directory
 */
export async function sourceExcerpt(
  { file, line, isConfiguration }: Pick<ErrorFrame, 'file' | 'line' | 'isConfiguration'>,
  directory: string = workingDirectory(),
  around = AROUND,
): Promise<ExcerptLine[] | undefined> {
  const text = await (isConfiguration && !isSource(file) ? loadConfiguration(file) : loadSource(file, directory)).catch(
    () => undefined,
  );
  const lines = text?.split(/\r?\n/) ?? [];
  // What follows the last line break is a line only for an error at the end of the file.
  if (lines.at(-1) === '' && line < lines.length) lines.pop();
  if (line < 1 || line > lines.length) return undefined;
  const first = Math.max(1, line - around);
  return lines.slice(first - 1, line + around).map((each, index) => {
    const shown = each.length > LONGEST_LINE ? `${each.slice(0, LONGEST_LINE)}...` : each;
    return { number: first + index, text: shown, isMarked: first + index === line };
  });
}

async function loadSource(file: string, directory: string): Promise<string | undefined> {
  if (file.startsWith('node:')) return undefined;
  const text = await readProjectSource(file, directory);
  return text && shownSource(text);
}

async function loadConfiguration(file: string): Promise<string | undefined> {
  return isVariableFile(file) ? undefined : shownConfiguration(await readFile(file, 'utf8'));
}

// --- the sources of the project, and no other file

const LARGEST = 2_000_000;

/**
 * The text of a source of the project; undefined for any other file. Links are followed first.
 * @param directory a directory of the project
 */
async function readProjectSource(file: string, directory: string): Promise<string | undefined> {
  const roots = await Promise.all([directory, workingDirectory()].map((each) => realpath(projectOf(each))));
  const real = await realpath(file);
  if (!isSource(real) || !roots.some((root) => isOwnSource(root, real))) return undefined;
  const opened = await open(real, 'r');
  try {
    const state = await opened.stat();
    return state.isFile() && state.size <= LARGEST ? await opened.readFile('utf8') : undefined;
  } finally {
    await opened.close();
  }
}

/** The nearest directory with a package.json, from a directory upwards; without one, the directory itself. */
function projectOf(directory: string): string {
  for (let each = directory; each !== dirname(each); each = dirname(each)) {
    if (existsSync(join(each, 'package.json'))) return each;
  }
  return directory;
}

/** Dependencies and hidden files are not the project's own. If the project is `/`, no file is. */
function isOwnSource(root: string, file: string): boolean {
  const parts = relative(root, file).split(sep);
  return (
    root !== dirname(root) && !parts.some((part) => part.startsWith('.') || part === 'node_modules' || part === '')
  );
}

// --- the text of a source or of a configuration file as it may be shown: without secrets

const SOURCES = new Set(['.js', '.mjs', '.cjs', '.jsx', '.ts', '.mts', '.cts', '.tsx']);

/** Whether a file is a source, by its name. */
function isSource(file: string): boolean {
  return SOURCES.has(extname(file));
}

/** Whether a file consists of variables, such as `.env`: everything in it may be secret. */
function isVariableFile(file: string): boolean {
  return /^\.|\.env\b/.test(basename(file));
}

/** The text of a source without the strings that are assigned to names of secrets. The number of lines stays the same. */
function shownSource(text: string): string {
  return withoutTokens(text).split('\n').map(withoutSecretLiterals).join('\n');
}

const INI_LINE = /^([^=:\s#;[][^=:]*?)(\s*[=:]\s*)(\S.*)?$/;

/**
 * The text of an INI file without the values of keys that name secrets, also if they have several lines. The number of lines stays
 * the same.
 */
function shownConfiguration(text: string): string {
  let isSecret = false;
  const shown = withoutTokens(text)
    .split('\n')
    .map((line) => {
      // Comments and empty lines may be within a value.
      if (/^\s*(?:[#;]|$)/.test(line)) return line;
      if (/^\s+\S/.test(line)) return isSecret ? line.replace(/\S.*/, HIDDEN) : line;
      const [, key = '', equals = '', value] = INI_LINE.exec(line) ?? [];
      isSecret = isSecretName(key);
      return isSecret && value !== undefined ? `${key}${equals}${HIDDEN}` : withoutSecretLiterals(line);
    });
  return shown.join('\n');
}
