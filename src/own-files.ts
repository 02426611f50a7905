/**
 * Where paster is installed, and its version. This is the only file that uses `import.meta.url` for it: dist/ is a bundle
 * in which code is in other files than in src/, but this file and the entries are directly below the package's root in
 * both.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The directory of paster's own code: dist/, or src/ in tests. */
export const OWN_CODE = dirname(fileURLToPath(import.meta.url));

/** Whether the file at an absolute path is paster's own code. */
export function isOwnFile(path: string): boolean {
  return path.startsWith(OWN_CODE + sep);
}

/** The directory of paster's package.json. */
export const PACKAGE_ROOT = dirname(OWN_CODE);

interface Manifest {
  readonly version: string;
  /** The documentation site, once there is one. */
  readonly homepage?: string;
}

/** paster's own package.json. */
export function ownManifest(): Manifest {
  return JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8'));
}

/** paster's version. */
export function ownVersion(): string {
  return ownManifest().version;
}

/**
 * What this copy of paster can be installed from again, as a path from `directory` such as `../paster-0.1.0.tgz`: the tarball that
 * npm installed it from, which node_modules/.package-lock.json names, or the clone that it runs in. Undefined: a registry.
 */
export function ownSource(directory: string): string | undefined {
  const modules = dirname(PACKAGE_ROOT);
  if (basename(modules) !== 'node_modules') return pathFrom(directory, PACKAGE_ROOT);
  let resolved: unknown;
  try {
    const lock = JSON.parse(readFileSync(join(modules, '.package-lock.json'), 'utf8'));
    resolved = lock.packages[`node_modules/${basename(PACKAGE_ROOT)}`].resolved;
  } catch {
    return undefined;
  }
  if (typeof resolved !== 'string' || !/^file:.*\.tgz$/.test(resolved)) return undefined;
  const path = resolve(dirname(modules), resolved.slice('file:'.length));
  return existsSync(path) ? pathFrom(directory, path) : undefined;
}

function pathFrom(directory: string, path: string): string {
  const name = relative(directory, path);
  return name.startsWith('..') ? name : `./${name}`;
}

/**
 * Requires a CommonJS dependency of paster, which `import` would read twice (the first time to find its exports), or
 * loads synchronously what few processes need: one of paster's own files, or a module of Node.
 */
export function requireOwn(id: string) {
  ownRequire ??= createRequire(import.meta.url);
  return ownRequire(id);
}

let ownRequire: NodeJS.Require | undefined;
