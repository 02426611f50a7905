/**
 * The errors of INI files: what is wrong, where, and what was probably meant. The parser decides what is an error.
 */
import { ConfigError } from '../../errors.ts';
import { HIDDEN, isSecretSetting } from '../../secrets.ts';
import { DEFAULT_SECTION, type IniEntry, type IniSection } from './document.ts';
import type { Source } from './source.ts';

/** Other formats, by the beginning of their first non-blank line. */
const FORMATS: readonly (readonly [pattern: RegExp, name: string])[] = [
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it is about
  [/[\x00-\x08\x0e-\x1a]/, 'a binary file'],
  [/^(?:\{(?:$|["}\s])|\[(?:$|["{[]))/, 'JSON'],
  [/^<(?:\?xml|[!/]|\w+[\s/>])/, 'XML or HTML'],
  [/^(?:---(?:\s|$)|%YAML\b|- |[\w.-]+:$)/, 'YAML'],
  [/^(?:import\b|export\b|const\b|let\b|var\b|module\.exports\b|['"]use strict|\/[*/])/, 'JavaScript'],
  [/^(?:from\s+\S+\s+import\b|def\s|class\s|""")/, 'Python'],
];

/** A line before the first section header. */
export function noSection(source: Source, start: number, end: number): ConfigError {
  const location = source.at(start);
  const line = source.text.slice(start, end);
  const format = FORMATS.find(([pattern]) => pattern.test(line.slice(0, 1000)))?.[1];
  if (format !== undefined) {
    const message = `not an INI file: ${excerpt(line)} looks like ${format}`;
    return new ConfigError('PASTER_INI_NOT_INI', message, {
      location,
      hint: 'an INI file begins with a section such as [app:main]',
    });
  }
  if (line.startsWith('[')) return badHeader(source, start, line);
  return new ConfigError('PASTER_INI_NO_SECTION', `${excerpt(line)} is before the first section`, {
    location,
    hint: 'put it under a header such as [app:main], or under [DEFAULT] for all sections',
  });
}

/** A line within a section that is neither a header nor `key = value`. @param openKey the key whose value it might continue */
export function notAnEntry(source: Source, start: number, end: number, openKey: string | undefined): ConfigError {
  const line = source.text.slice(start, end);
  if (line.startsWith('[')) return badHeader(source, start, line);
  const shown = shownLine(line, openKey);
  return new ConfigError('PASTER_INI_SYNTAX', `${excerpt(shown)} is neither "key = value" nor "[section]"`, {
    location: source.at(start),
    hint: suggestion(shown, openKey),
  });
}

/** A line that begins with the separator. */
export function emptyKey(source: Source, start: number, end: number): ConfigError {
  const line = source.text.slice(start, end);
  const message = `${excerpt(line)} has no key before the "${line[0]}"`;
  const hint = conflictMark(line) ?? 'write "key = value"; to continue the value above, indent the line';
  return new ConfigError('PASTER_INI_SYNTAX', message, { location: source.at(start), hint });
}

/** A second header for a section. */
export function duplicateSection(section: IniSection, earlier: IniSection): ConfigError {
  const message = `[${section.name}] is already defined on line ${earlier.location.line}`;
  return new ConfigError('PASTER_INI_DUPLICATE_SECTION', message, {
    location: section.location,
    hint: 'merge the two, or rename one',
  });
}

/** A second value for a key of a section. */
export function duplicateKey(section: IniSection, entry: IniEntry, earlier: IniEntry): ConfigError {
  const { line } = earlier.location;
  const message = `[${section.name}] ${excerpt(entry.key, '')} is already set on line ${line}`;
  const hint = reasonForDuplicate(section);
  return new ConfigError('PASTER_INI_DUPLICATE_KEY', message, { location: entry.location, hint });
}

function reasonForDuplicate(section: IniSection): string {
  // An unclosed header with a colon, `[app:b`, counts as a key, so the keys below it seem to belong to the section above.
  const unclosed = [...section.entries.values()].findLast(({ key }) => key.startsWith('['));
  if (unclosed !== undefined) return `the header on line ${unclosed.location.line} lacks its closing "]"`;
  if (section.name === DEFAULT_SECTION) return 'all [DEFAULT] sections of a file are one; remove one of the two lines';
  return 'remove one of the two lines';
}

/** Counts the errors that are not listed. */
export function tooManyErrors(source: Source, count: number): ConfigError {
  return new ConfigError('PASTER_INI_SYNTAX', `and ${count} more errors in ${source.file}`, {
    hint: 'is this an INI file?',
  });
}

/** At the first section or setting beyond the limit. */
export function tooManyParts(source: Source, start: number, most: number): ConfigError {
  return new ConfigError('PASTER_INI_TOO_LARGE', `the file has more than ${most} sections and settings`, {
    location: source.at(start),
    hint: 'is this an INI file?',
  });
}

/** A byte order mark at the start of the text. */
export function byteOrderMark(source: Source): ConfigError {
  return new ConfigError('PASTER_INI_BOM', 'the file begins with a byte order mark (U+FEFF)', {
    location: source.at(0),
    hint: `save it as "UTF-8 without BOM", or remove the first three bytes: sed -i '1s/^\\xEF\\xBB\\xBF//' FILE`,
  });
}

function badHeader(source: Source, start: number, line: string): ConfigError {
  if (line.startsWith('[]')) {
    return new ConfigError('PASTER_INI_SYNTAX', 'the section has no name between "[" and "]"', {
      location: source.at(start),
      hint: 'write a name, as in [app:main]',
    });
  }
  return new ConfigError('PASTER_INI_SYNTAX', `the header ${excerpt(line)} lacks its closing "]"`, {
    location: source.at(start),
    hint: `did you mean ${excerpt(`${line}]`)}?`,
  });
}

/** The line, with the secret hidden if its first word is the name of a secret, or if it may continue a secret value. */
function shownLine(line: string, openKey: string | undefined): string {
  const [, start = '', key = ''] = /^((?:export\s+|set\s+)?([\w.-]+)\s+)\S/.exec(line) ?? [];
  if (isSecretSetting(key)) return `${start}${HIDDEN}`;
  return openKey !== undefined && isSecretSetting(openKey) ? HIDDEN : line;
}

/** A suggestion for a line without a separator. */
function suggestion(line: string, openKey: string | undefined): string {
  const conflict = conflictMark(line);
  if (conflict !== undefined) return conflict;
  if (/^(?:\/[/*]|--|!|')/.test(line)) return 'a comment begins with "#" or ";"';
  const words = /^(?:export\s+|set\s+)?([\w.-]+)\s+(\S.{0,40})$/u.exec(line);
  if (words !== null) return `did you mean "${words[1]} = ${words[2]}"?`;
  if (openKey !== undefined) return `to continue the value of "${excerpt(openKey, '')}", indent the line`;
  return `did you mean ${excerpt(`${line} = ...`)}?`;
}

function conflictMark(line: string): string | undefined {
  return /^(?:<{7}|={7}|>{7}|\|{7})/.test(line) ? 'resolve the merge conflict' : undefined;
}

/** A piece of the file for a message: quoted, and cut if it is long. */
function excerpt(text: string, quote: string = '"'): string {
  const characters = [...text.slice(0, 122)];
  return `${quote}${characters.length > 60 ? `${characters.slice(0, 57).join('')}...` : text}${quote}`;
}
