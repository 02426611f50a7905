/** The form of URIs: `scheme:path#name`. What a scheme means is in schemes/. */

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
