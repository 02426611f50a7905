/** The form of URIs: `scheme:path#name`. What a scheme means is in schemes/. */
import { resolve } from 'node:path';
import { pythonStrip } from '../config/whitespace.ts';

/** A scheme is letters only, so `x2:y` is a section's name (paste.deploy.loadwsgi: `_absolute_re`). */
const SCHEME = /^[a-zA-Z]+:/;

export interface Uri {
  readonly text: string;
  /** In lower case. */
  readonly scheme: string;
  /** Between the scheme and the `#`. */
  readonly path: string;
  readonly fragment: string | undefined;
}

export function hasScheme(text: string): boolean {
  return SCHEME.test(text);
}

export function parseUri(text: string): Uri | undefined {
  if (!hasScheme(text)) return undefined;
  const colon = text.indexOf(':');
  const hash = text.indexOf('#');
  return {
    text,
    scheme: text.slice(0, colon).toLowerCase(),
    path: text.slice(colon + 1, hash === -1 ? undefined : hash),
    fragment: hash === -1 ? undefined : text.slice(hash + 1),
  };
}

/** The `config:` URI of a file, whatever characters its path has. */
export function configUri(file: string): string {
  return `config:${file.split('/').map(encodeURIComponent).join('/')}`;
}

/** The file that a `config:` URI means, as an absolute path. */
export function configPath({ path }: Uri, relativeTo: string): string {
  return resolve(relativeTo, pythonStrip(unquote(path.replaceAll('\\', '/'))));
}

/** As Python's urllib.parse.unquote: an escape that is none stays as it is. */
function unquote(text: string): string {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (escapes) => Buffer.from(escapes.replaceAll('%', ''), 'hex').toString());
}
