/** The text of a source or of a configuration file as it may be shown in an excerpt: without secrets. */
import { basename, extname } from 'node:path';
import { HIDDEN, isSecretName, withoutSecretLiterals, withoutTokens } from '../secrets.ts';

const SOURCES = new Set(['.js', '.mjs', '.cjs', '.jsx', '.ts', '.mts', '.cts', '.tsx']);

/** Whether a file is a source, by its name. */
export function isSource(file: string): boolean {
  return SOURCES.has(extname(file));
}

/** Whether a file consists of variables, such as `.env`: everything in it may be secret. */
export function isVariableFile(file: string): boolean {
  return /^\.|\.env\b/.test(basename(file));
}

/** The text of a source without the strings that are assigned to names of secrets. Its lines stay. */
export function shownSource(text: string): string {
  return withoutTokens(text).split('\n').map(withoutSecretLiterals).join('\n');
}

const INI_LINE = /^([^=:\s#;[][^=:]*?)(\s*[=:]\s*)(\S.*)?$/;

/** The text of an INI file without the values of keys that name secrets, also if they have several lines. Its lines stay. */
export function shownConfiguration(text: string): string {
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
