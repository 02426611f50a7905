/** Static files and headers in the configurations of all web servers. */
import { headerVariable, PROXY_HEADERS } from '../../http/client-address.ts';
import type { StaticRoot } from '../app-layout.ts';
import type { Site } from '../site.ts';
import { escapeRegex, lines } from '../text.ts';

/** Cache-Control for a URL with the version of a file: its content never changes. */
export const IMMUTABLE = 'public, max-age=31536000, immutable';

/** Cache-Control for a URL without a version. */
export function cacheControl({ maxAge }: StaticRoot): string {
  return `public, max-age=${maxAge}`;
}

/**
 * A regular expression for the paths of the files. For plain paths Caddy ignores case and Apache doubled slashes, so that
 * both would serve files that `dotfilePath` does not match.
 */
export function filePath(prefix: string, { path }: StaticRoot): string {
  return `^${escapeRegex(`${prefix}${path}`)}`;
}

/** The same for paths with a name that begins with a dot. */
export function dotfilePath(prefix: string, root: StaticRoot): string {
  return `${filePath(prefix, root)}(.*/)?\\.`;
}

/** The static files that a web server serves; the application serves the others. */
export function servedRoots({ layout }: Site, { compressed }: { readonly compressed: boolean }): readonly StaticRoot[] {
  return layout.staticRoots.filter(({ precompressed }) => compressed || !precompressed);
}

/** A comment for configurations that may be used on another machine than the application's. */
export function filesNote({ hostsGiven }: Site, roots: readonly StaticRoot[]): string | undefined {
  if (!hostsGiven || roots.length === 0) return undefined;
  return lines(...roots.map(({ directory }) => `# Its files have to be on this machine, too: ${directory}`));
}

/** Media types of web pages by extension. A complete configuration must not depend on the machine's list of types. */
export const MEDIA_TYPES: readonly (readonly [type: string, ...endings: readonly string[]])[] = [
  ['text/html', 'html', 'htm'],
  ['text/css', 'css'],
  ['text/javascript', 'js', 'mjs'],
  ['text/plain', 'txt'],
  ['application/json', 'json', 'map'],
  ['application/xml', 'xml'],
  ['application/pdf', 'pdf'],
  ['application/wasm', 'wasm'],
  ['image/png', 'png'],
  ['image/jpeg', 'jpg', 'jpeg'],
  ['image/gif', 'gif'],
  ['image/webp', 'webp'],
  ['image/avif', 'avif'],
  ['image/svg+xml', 'svg'],
  ['image/x-icon', 'ico'],
  ['font/woff2', 'woff2'],
  ['font/woff', 'woff'],
];

// --- headers ---------------------------------------------------------------------------------------------------------

/**
 * The headers that only a proxy may set. A web server that faces clients deletes those that it does not set itself.
 *
 * @param own those that it sets itself, in lower case
 * @returns the others, such as `X-Real-Ip`
 */
export function clientHeaders(own: readonly string[]): string[] {
  return [...PROXY_HEADERS].filter((name) => !own.includes(name)).map(capitalized);
}

/** The same headers as CGI variables. */
export function clientVariables(): string[] {
  return [...PROXY_HEADERS].map(headerVariable);
}

function capitalized(name: string): string {
  return name.replace(/(?<![a-z])[a-z]/g, (letter) => letter.toUpperCase());
}
