/** What all web servers say alike of the files that they serve by themselves. */
import type { StaticRoot } from './places.ts';
import type { Site } from './site.ts';
import { escapeRegex, lines } from './text.ts';

/** Of a URL with the version of a file's content, which never means another content. */
export const FOREVER = 'public, max-age=31536000, immutable';

/** Of one without. */
export function aWhile({ maxAge }: StaticRoot): string {
  return `public, max-age=${maxAge}`;
}

/**
 * A regular expression for the paths of its files. Caddy compares plain paths without regard to case, and Apache ignores
 * doubled slashes in them: both would serve what `dottedPath` does not match.
 */
export function filePath(prefix: string, { path }: StaticRoot): string {
  return `^${escapeRegex(`${prefix}${path}`)}`;
}

/** The same for those of its paths that contain a name with a leading dot. */
export function dottedPath(prefix: string, root: StaticRoot): string {
  return `${filePath(prefix, root)}(.*/)?\\.`;
}

/** The static files of a site that a web server can serve; what it cannot do is left to the application. */
export function ownRoots({ places }: Site, { compressed }: { readonly compressed: boolean }): readonly StaticRoot[] {
  return places.staticRoots.filter(({ precompressed }) => compressed || !precompressed);
}

/** For whoever puts the configuration on another machine than the application's. */
export function whereFilesAre({ hostsGiven }: Site, roots: readonly StaticRoot[]): string | undefined {
  if (!hostsGiven || roots.length === 0) return undefined;
  return lines(...roots.map(({ directory }) => `# Its files have to be on this machine, too: ${directory}`));
}

/** Types by the endings of names: those of a web page. A file of its own must not depend on where a machine keeps its list. */
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
