/**
 * The patterns of `reload_files`: `*` and `?` within a name, `**` over directories, `[abc]`, `[!a-z]`, `{one,two}`, and a backslash
 * before a literal character. As in a shell, `*` does not match a leading dot. A path without any of these also matches everything
 * below it, since it may be a directory, or become one.
 */

export interface Glob {
  /** The pattern itself. */
  readonly source: string;
  /** The deepest directory that contains every possible match; for a pattern without wildcards, the path itself. */
  readonly base: string;
  readonly magic: boolean;
  matches(path: string): boolean;
}

const MAGIC = /[*?[{]/;
const ESCAPED = /\\(.)/gs;

/** A pattern that matches exactly this path. */
export function escapeGlob(path: string): string {
  return path.replace(/[*?[{\\]/g, '\\$&');
}

/** Parses an absolute pattern. */
export function parseGlob(pattern: string): Glob {
  const parts = pattern.split('/');
  const firstMagic = parts.findIndex((part) => MAGIC.test(part.replace(ESCAPED, '')));
  if (firstMagic === -1) {
    const base = pattern.replace(ESCAPED, '$1');
    const below = expressionOf(`${pattern}/**`);
    return { source: pattern, base, magic: false, matches: (path) => path === base || below.test(path) };
  }
  const expression = expressionOf(pattern);
  return {
    source: pattern,
    base: parts.slice(0, firstMagic).join('/').replace(ESCAPED, '$1') || '/',
    magic: true,
    matches: (path) => expression.test(path),
  };
}

function expressionOf(pattern: string): RegExp {
  return new RegExp(`^${translate(pattern)}$`, 's');
}

const NOT_HIDDEN = '(?!\\.)';

function translate(pattern: string): string {
  let expression = '';
  let depth = 0;
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern.charAt(at);
    const startsName = at === 0 || pattern.charAt(at - 1) === '/';
    switch (character) {
      case '*': {
        const globstar = startsName && pattern.startsWith('**', at) && ['/', ''].includes(pattern.charAt(at + 2));
        if (!globstar) {
          while (pattern.charAt(at + 1) === '*') at++;
          expression += `${startsName ? NOT_HIDDEN : ''}[^/]*`;
        } else if (pattern.charAt(at + 2) === '/') {
          expression += `(?:${NOT_HIDDEN}[^/]+/)*`;
          at += 2;
        } else {
          expression += `(?:${NOT_HIDDEN}[^/]+(?:/${NOT_HIDDEN}[^/]+)*)`;
          at += 1;
        }
        break;
      }
      case '?':
        expression += `${startsName ? NOT_HIDDEN : ''}[^/]`;
        break;
      case '[': {
        const end = pattern.indexOf(']', at + 2);
        if (end === -1) {
          expression += '\\[';
          break;
        }
        const negated = pattern.charAt(at + 1) === '!' || pattern.charAt(at + 1) === '^';
        const members = pattern.slice(at + (negated ? 2 : 1), end).replace(/[\\\]^[]/g, '\\$&');
        expression += `(?!/)[${negated ? '^' : ''}${members}]`;
        at = end;
        break;
      }
      case '{':
        // Without a closing brace it is a literal.
        if (pattern.indexOf('}', at) === -1) expression += '\\{';
        else {
          expression += '(?:';
          depth++;
        }
        break;
      case '}':
        expression += depth > 0 ? ')' : '\\}';
        if (depth > 0) depth--;
        break;
      case ',':
        expression += depth > 0 ? '|' : ',';
        break;
      case '\\':
        at++;
        expression += literal(pattern.charAt(at) || '\\');
        break;
      default:
        expression += literal(character);
    }
  }
  return depth > 0 ? `${expression}${')'.repeat(depth)}` : expression;
}

function literal(character: string): string {
  return character.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}
