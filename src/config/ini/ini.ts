/** Reads INI files: from a text, or from a file on disk. */
import { readdir } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { ConfigError, errorCode, errorMessage } from '../../errors.ts';
import { readConfiguration } from '../../files/user-files.ts';
import { nearest } from '../nearest.ts';
import type { IniDocument } from './document.ts';
import { byteOrderMark } from './ini-errors.ts';
import { IniParser } from './parser.ts';
import { Source } from './source.ts';

export type { IniDocument, IniEntry, IniSection } from './document.ts';

/**
 * Parses the text of an INI file in Paste Deploy's dialect, exactly as Python's `configparser.ConfigParser` does for it:
 * keys are case-sensitive, the first `=` or `:` of a line separates, values continue on indented lines, `#` and `;` begin
 * a comment only as the first non-blank character of a line, and `[DEFAULT]` is separate from the other sections. Values
 * are as written: neither interpolated (`%(name)s`) nor inherited from `[DEFAULT]`.
 *
 * ```js
 * const ini = parseIni('[server:main]\nport = 8080\n', '/srv/etc/config.ini')
 * ini.sections.get('server:main').entries.get('port').value      // '8080'
 * ini.sections.get('server:main').entries.get('port').location   // { file: '/srv/etc/config.ini', line: 2, column: 1 }
 * ```
 *
 * @param text the file's text, with any line endings
 * @param file the file name for places and errors; the file is not read
 * @throws ConfigError for one error, ErrorList for several: a line without a separator, an entry before the first section,
 *   a duplicate section or key, a byte order mark. Each has its place.
 */
export function parseIni(text: string, file: string): IniDocument {
  const source = new Source(text, file);
  if (text.startsWith('\ufeff')) throw byteOrderMark(source);
  return new IniParser(source).parse();
}

/**
 * Reads and parses an INI file.
 *
 * @param file an absolute path
 * @throws ConfigError if the file cannot be read or is not UTF-8; otherwise as `parseIni`
 */
export async function readIni(file: string): Promise<IniDocument> {
  let bytes: Buffer;
  try {
    // Synchronous: for a file of this size it is faster than a thread, and parsing takes longer.
    bytes = readConfiguration(file);
  } catch (error) {
    throw await readError(file, error);
  }
  return parseIni(decode(bytes, file), file);
}

function decode(bytes: Buffer, file: string): string {
  try {
    // With ignoreBOM the decoder leaves a byte order mark in the text, and parseIni reports it.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    if (errorCode(error) !== 'ERR_ENCODING_INVALID_ENCODED_DATA') {
      const message = `cannot read ${file}: ${errorMessage(error)}`;
      throw new ConfigError('PASTER_INI_UNREADABLE', message, { cause: error });
    }
  }
  throw notUtf8(bytes, file);
}

function notUtf8(bytes: Buffer, file: string): ConfigError {
  const offset = firstBadByte(bytes);
  const before = bytes.toString('utf8', 0, offset);
  const location = new Source(`${before}?`, file).at(before.length);
  if (/^(?:\xff\xfe|\xfe\xff)/.test(bytes.toString('latin1', 0, 2))) {
    return new ConfigError('PASTER_INI_ENCODING', 'the file is UTF-16', { location, hint: 'save it as UTF-8' });
  }
  // A NUL near the start is how git tells binary files from text.
  if (bytes.subarray(0, 8000).includes(0)) {
    return new ConfigError('PASTER_INI_NOT_INI', 'not an INI file: it is binary', { location });
  }
  const byte = (bytes[offset] ?? 0).toString(16).padStart(2, '0');
  return new ConfigError('PASTER_INI_ENCODING', `the byte 0x${byte} is not UTF-8`, {
    location,
    hint: 'save the file as UTF-8; if it is Latin-1: iconv -f latin1 -t utf-8 FILE',
  });
}

/** The offset of the first byte that is not UTF-8: where the bytes differ after decoding and encoding them. */
function firstBadByte(bytes: Buffer): number {
  const repaired = Buffer.from(bytes.toString('utf8'));
  let offset = 0;
  while (offset < bytes.length && bytes[offset] === repaired[offset]) offset++;
  // The difference may be within the U+FFFD that replaces the bad bytes: go back to its first byte.
  while (offset > 0 && ((repaired[offset] ?? 0) & 0xc0) === 0x80) offset--;
  return offset;
}

async function readError(file: string, error: unknown): Promise<ConfigError> {
  const code = errorCode(error);
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: 'there is no such file',
    ENOTDIR: 'a part of its path is not a directory',
    EISDIR: 'it is a directory',
    EACCES: 'permission denied',
    EPERM: 'permission denied',
  };
  const reason = (code === undefined ? undefined : reasons[code]) ?? errorMessage(error);
  return new ConfigError(
    code === 'ENOENT' ? 'PASTER_INI_NOT_FOUND' : 'PASTER_INI_UNREADABLE',
    `cannot read ${file}: ${reason}`,
    { hint: await likelyFile(file, code), cause: error },
  );
}

/** A hint with the file that was probably meant, for a directory or a mistyped name. */
async function likelyFile(file: string, code: string | undefined): Promise<string | undefined> {
  if (code !== 'ENOENT' && code !== 'EISDIR') return undefined;
  const directory = code === 'EISDIR' ? file : dirname(file);
  const names = await readdir(directory).catch(() => undefined);
  if (names === undefined) return code === 'ENOENT' ? `the directory ${directory} does not exist either` : undefined;
  const candidates = names.filter((name) => name.endsWith('.ini')).sort();
  const meant = code === 'EISDIR' ? candidates[0] : nearest(basename(file), candidates);
  if (meant !== undefined) return `did you mean "${meant}"?`;
  return candidates.length > 0 ? `there are: ${candidates.slice(0, 5).join(', ')}` : undefined;
}
