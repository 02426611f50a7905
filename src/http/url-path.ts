/** The path of a URL: where it ends, its percent-encoding, and the file names that it means. */

/** Where the path of a URL ends: at its query, or at its end. */
export function pathEnd(url: string): number {
  const query = url.indexOf('?');
  return query === -1 ? url.length : query;
}

// --- percent-encoding

/** Decodes a path to latin-1 text, a character for each byte, as in a CGI environment. What is not an escape is kept. */
export function percentDecode(text: string): string {
  if (!text.includes('%')) return text;
  return text.replace(/%([0-9A-Fa-f]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}

// RFC 3986 section 3.3: pchar and `/`, without the percent sign.
const NOT_IN_PATH = /[^A-Za-z0-9\-._~!$&'()*+,;=:@/]/g;

/** Encodes such a path for a request line. */
export function percentEncodePath(path: string): string {
  return path.replace(
    NOT_IN_PATH,
    (character) => `%${(character.charCodeAt(0) & 0xff).toString(16).toUpperCase().padStart(2, '0')}`,
  );
}

// --- file names

export interface PathNames {
  /** Decoded; never empty, `.` or `..`, and without separators and control characters. */
  readonly names: readonly string[];
  /** The path ends with a slash. */
  readonly directory: boolean;
}

/** The status to respond with. */
export interface RefusedPath {
  readonly refused: 400 | 404;
}

const ABSOLUTE_FORM = /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the expression looks for control characters.
const CONTROL = /[\0-\x1f\x7f]/;
const SEPARATOR = /[/\\]/;

/** The path of a request target, without the query, and without the host of the absolute form (RFC 9112 section 3.2.2). */
export function targetPath(url: string): string {
  const path = url.slice(0, pathEnd(url));
  return path.startsWith('/') ? path : path.replace(ABSOLUTE_FORM, '') || '/';
}

/**
 * The file names of a path, one for each segment; paths that can name no file, or another one than they seem to, are refused. Each
 * segment is decoded once and on its own, so that an escaped slash separates nothing. `..` is refused in each spelling, also
 * between backslashes: no client that follows RFC 3986 section 5.2.4 sends it.
 */
export function pathNames(path: string): PathNames | RefusedPath {
  if (!path.startsWith('/')) return { refused: 400 };
  const names: string[] = [];
  for (const segment of path.split('/')) {
    const name = decodeSegment(segment);
    // Bytes that are not UTF-8, such as overlong forms, name no file.
    if (name === undefined || CONTROL.test(name)) return { refused: 400 };
    if (isDots(name)) return { refused: 400 };
    if (SEPARATOR.test(name)) return { refused: name.split(SEPARATOR).some(isDots) ? 400 : 404 };
    if (name !== '') names.push(name);
  }
  return { names, directory: path.endsWith('/') };
}

function isDots(name: string): boolean {
  return name === '..' || name === '.';
}

function decodeSegment(segment: string): string | undefined {
  if (!segment.includes('%')) return segment;
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}
