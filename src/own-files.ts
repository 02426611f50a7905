/**
 * Where paster itself is installed. The only file that asks: dist/ is a bundle, in which nothing lies where its source
 * does, but for this file and the entries, which are as far below the package's root there as here.
 */
import { createRequire } from 'node:module';
import { dirname, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The directory of paster's own code: dist/, or src/ in tests. */
export const OWN_CODE = dirname(fileURLToPath(import.meta.url));

/** Whether the file at an absolute path is paster's own code. */
export function isOwnFile(path: string): boolean {
  return path.startsWith(OWN_CODE + sep);
}

/** The directory of paster's package.json. */
export const PACKAGE_ROOT = dirname(OWN_CODE);

/**
 * Requires one of paster's dependencies that is CommonJS: `import` would read it twice, first for its exports' names.
 * Or a file of paster's own, at once.
 */
export const requireOwn = createRequire(import.meta.url);
