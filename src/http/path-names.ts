/** The path of a URL as names of files, one a segment; what can name no file, or another one than it seems to, is refused. */
import { pathEnd } from './mount.ts';

export interface PathNames {
  /** Decoded; never empty, `.` or `..`, and without separators and control characters. */
  readonly names: readonly string[];
  /** The path ends with a slash: it asks for a directory. */
  readonly directory: boolean;
}

/** The status to answer with. */
export interface RefusedPath {
  readonly refused: 400 | 404;
}

const ABSOLUTE_FORM = /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
const CONTROL = /[\0-\x1f\x7f]/;
const SEPARATOR = /[/\\]/;

/** The path of a request target, without its query; of one in absolute form (RFC 9112 section 3.2.2) without its host. */
export function targetPath(url: string): string {
  const path = url.slice(0, pathEnd(url));
  return path.startsWith('/') ? path : path.replace(ABSOLUTE_FORM, '') || '/';
}

/**
 * Each segment is decoded once and by itself, so that an escaped slash separates nothing. `..` is refused in whatever
 * spelling, also between backslashes: no client that follows RFC 3986 section 5.2.4 sends it.
 */
export function pathNames(path: string): PathNames | RefusedPath {
  if (!path.startsWith('/')) return { refused: 400 };
  const names: string[] = [];
  for (const segment of path.split('/')) {
    const name = decodeSegment(segment);
    // A byte order that is not UTF-8 (overlong forms among them) names nothing.
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
