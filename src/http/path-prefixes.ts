/**
 * Every decision that depends on a path prefix is made here, so that it is the same everywhere (docs/security.md#paths).
 *
 * The application behind a prefix gets the path as the client sent it, and may read it in another way than paster does: it
 * may decode `%2f` or take a backslash for a slash. If such a reading belonged to another prefix, a client could pass the
 * filters of that prefix by. So a path is compared in each of the common readings, and has no prefix if they disagree.
 */
import { ConfigError } from '../errors.ts';
import { pathEnd, percentDecode } from './url-path.ts';

interface Node<T> {
  readonly children: Map<string, Node<T>>;
  /** Present if a prefix ends here. */
  found?: { readonly value: T };
}

export interface PrefixMatch<T> {
  readonly value: T;
  /** The length of the prefix, as the client spelled it. */
  readonly length: number;
}

/** Returned if an application could read a path or a host as one of another prefix. The response must be 400. */
export const AMBIGUOUS = Symbol('ambiguous');
export const AMBIGUOUS_PATH = 'Bad Request: ambiguous path';

/** Values by path prefix. A prefix ends where a segment does; slashes in a row count as one. */
export class PathPrefixes<T> {
  readonly #root: Node<T> = { children: new Map() };

  /**
   * @returns false if the prefix has a value already.
   * @throws ConfigError for a prefix that could itself be read in several ways.
   */
  add(prefix: string, value: T): boolean {
    if (UNSAFE.test(prefix) || /[\\;?#]/.test(prefix)) {
      throw new ConfigError('PASTER_PATH_PREFIX', `"${prefix}" cannot be a path prefix`, {
        hint: 'allowed: a path without "." and ".." segments, backslashes, ";", "?" and "#"',
      });
    }
    let node = this.#root;
    for (const name of Buffer.from(prefix).toString('latin1').split('/')) {
      if (name === '') continue;
      const child: Node<T> = node.children.get(name) ?? { children: new Map() };
      node.children.set(name, child);
      node = child;
    }
    if (node.found) return false;
    node.found = { value };
    return true;
  }

  /** The longest prefix of a path. Looks at no more segments than the longest prefix of all has. */
  match(path: string, decode = percentDecode): PrefixMatch<T> | undefined {
    let node: Node<T> | undefined = this.#root;
    let match: PrefixMatch<T> | undefined = node.found && { value: node.found.value, length: 0 };
    for (let start = 0, end = 0; node.children.size > 0; start = end) {
      while (path.charCodeAt(start) === SLASH) start++;
      if (start === path.length) break;
      end = path.indexOf('/', start);
      if (end === -1) end = path.length;
      node = node.children.get(decode(path.slice(start, end)));
      if (!node) break;
      if (node.found) match = { value: node.found.value, length: end };
    }
    return match;
  }
}

const SLASH = 0x2f;

/** Matches paths that can be read in several ways. */
const SEVERAL_READINGS = /[%\\;#]|[^\x21-\x7e]|\/[/.]/;

/**
 * The longest prefix of the path of `url`, in the first of `maps` that has one.
 * @returns AMBIGUOUS also for dot segments, whatever they lead to.
 */
export function longestPrefix<T>(
  url: string,
  maps: readonly PathPrefixes<T>[],
): PrefixMatch<T> | undefined | typeof AMBIGUOUS {
  const path = url.slice(0, pathEnd(url));
  if (!path.startsWith('/')) return path === '*' ? firstMatch('', maps) : AMBIGUOUS;
  const match = firstMatch(path, maps);
  if (!SEVERAL_READINGS.test(path)) return match;
  const decoded = percentDecode(path);
  if (UNSAFE.test(decoded)) return AMBIGUOUS;
  for (const reading of readings(path, decoded)) {
    if (firstMatch(reading, maps, undecoded)?.value !== match?.value) return AMBIGUOUS;
    // Below a prefix the application does not see how the path begins.
    if (match && match.length > 0) continue;
    const [authority] = AUTHORITY.exec(reading) ?? [''];
    if (firstMatch(reading.slice(authority.length), maps, undecoded)?.value !== match?.value) return AMBIGUOUS;
  }
  return match;
}

/**
 * Where parameters end depends on what a server does first. Tomcat removes them before it decodes: to it, `/;%2fx/admin` is
 * `/admin`. Others decode everything before, or everything but separators.
 */
function readings(path: string, decoded: string): readonly string[] {
  const late = withoutParameters(decoded);
  if (!PARAMETER_START.test(decoded)) return [late];
  const early = [path, percentDecode(path.replace(ENCODED_SEPARATOR, '%25$1'))].flatMap((each) => [
    each.replace(PARAMETERS, ''),
    each.replace(PARAMETERS_TO_SEPARATOR, ''),
  ]);
  return [late, ...early.map((each) => withoutParameters(percentDecode(each)))];
}

function withoutParameters(decoded: string): string {
  return decoded.replaceAll('\\', '/').replace(PARAMETERS, '');
}

function undecoded(decoded: string): string {
  return decoded;
}

function firstMatch<T>(
  path: string,
  maps: readonly PathPrefixes<T>[],
  decode?: (segment: string) => string,
): PrefixMatch<T> | undefined {
  for (const map of maps) {
    const match = map.match(path, decode);
    if (match) return match;
  }
  return undefined;
}

/** Whether the path of `url` has segments that a server resolves, or bytes that some take for others. */
export function isUnsafePath(url: string): boolean {
  return UNSAFE.test(percentDecode(url.slice(0, pathEnd(url))));
}

/**
 * In a decoded path: `.` and `..`, between slashes, backslashes or before what ends a segment for some; NUL; and overlong
 * UTF-8, which old decoders take for a dot or a slash.
 */
const UNSAFE = /(?:^|[/\\])\.{1,2}(?:$|[/\\;?#])|\0|[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x9f]|\xf0[\x80-\x8f]/;

/** `;` begins the parameters of a segment (RFC 3986 section 3.3), `?` a query and `#` a fragment. */
const PARAMETERS = /[;?#][^/]*/g;
/** For servers that end a segment at a backslash, too. */
const PARAMETERS_TO_SEPARATOR = /[;?#][^/\\]*/g;
const PARAMETER_START = /[;?#]/;
const ENCODED_SEPARATOR = /%(2f|5c)/gi;

/** What `new URL('//host/path', base)` takes for a host. */
const AUTHORITY = /^\/{2,}[^/]*/;
