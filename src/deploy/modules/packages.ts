/** Finds npm packages and reads the entry points that they declare in package.json. */
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { nearest } from '../../config/nearest.ts';
import { ConfigError, errorCode, errorMessage } from '../../errors.ts';
import { PACKAGE_ROOT } from '../../own-files.ts';

/** An installed package and the entry points under "paster" in its package.json: group, name, `module:export`. */
export interface PackageInfo {
  readonly name: string;
  readonly root: string;
  /** The names of all packages that its package.json lists as dependencies of any kind. */
  readonly dependencies: readonly string[];
  readonly entryPoints: ReadonlyMap<string, ReadonlyMap<string, string>>;
}

/** A name below node_modules; a path could lead out of it. */
const PACKAGE_NAME = /^(?:@[^/]+\/)?[^./][^/]*$/;

/**
 * The package `name` as a module in `directory` would find it: in the node_modules directories above, or the package that
 * `directory` belongs to.
 * @throws ConfigError if it is not installed.
 */
export async function findPackage(name: string, directory: string): Promise<PackageInfo> {
  if (name === 'paster') return ownPackage();
  if (!PACKAGE_NAME.test(name)) {
    throw new ConfigError('PASTER_PACKAGE_NAME', `"${name}" is not the name of a package`, {
      hint: /^\.{0,2}\//.test(name) ? `for a module by its path: call:${name}/module.js:factory` : undefined,
    });
  }
  for (const ancestor of ancestors(directory)) {
    const installed = await readPackage(join(ancestor, 'node_modules', name));
    // A package.json without a name: the directory's name counts.
    if (installed) return { ...installed, name: installed.name || name };
    const around = await readPackage(ancestor);
    if (around?.name === name) return around;
  }
  const installed = await installedNames(directory);
  const meant = nearest(name, installed);
  throw new ConfigError('PASTER_PACKAGE_MISSING', `the package "${name}" is not installed for ${directory}`, {
    hint: meant ? `did you mean "${meant}"?` : await cureForMissing(name, directory),
  });
}

/** A package is only recommended for installation if the project's package.json names it: any other name may be a typing error. */
async function cureForMissing(name: string, directory: string): Promise<string> {
  const listed = new Set<string>();
  for (const ancestor of ancestors(directory)) {
    const around = await readPackage(ancestor).catch(() => undefined);
    for (const each of around?.dependencies ?? []) listed.add(each);
  }
  if (listed.has(name)) return 'package.json names it: run npm install';
  const meant = nearest(name, listed);
  return meant
    ? `did you mean "${meant}", which package.json names?`
    : 'check the spelling; package.json does not name it';
}

const MISSING = new Set<unknown>(['ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND']);
const MISSING_PACKAGE =
  /^Cannot find (?:package|module) '((?:@[^/']+\/)?[^./@#~'][^/']*)[^']*'(?: imported from (.+))?/;

/** What to do if an error is that a package is missing that the module at `file`, or one that it imports, needs. */
export async function missingPackageHint(error: unknown, file: string): Promise<string | undefined> {
  if (!MISSING.has(errorCode(error))) return undefined;
  const [, name, from = file] = MISSING_PACKAGE.exec(errorMessage(error)) ?? [];
  return name === undefined ? undefined : cureForMissing(name, dirname(from));
}

/**
 * The package with the name of a Python distribution. As in PEP 503, case is ignored and `-`, `_` and `.` are equal; an
 * exact match takes precedence.
 * @throws ConfigError if there is none, or more than one.
 */
export async function findDistribution(name: string, directory: string): Promise<PackageInfo> {
  const normal = normalized(name);
  if (normal === 'paster') return ownPackage();
  const matching = (await installedNames(directory)).filter((each) => normalized(each) === normal);
  if (matching.length > 1 && !matching.includes(name)) {
    throw new ConfigError('PASTER_PACKAGE_AMBIGUOUS', `"${name}" could be ${matching.join(' or ')}`, {
      hint: 'write the name as the package does, or use npm:',
    });
  }
  return findPackage(matching.includes(name) ? name : (matching[0] ?? name), directory);
}

/**
 * paster itself and the packages visible to a module in `directory`, as far as they declare entry points.
 *
 * @param skipped called for a package that cannot be read
 */
export async function installedPackages(
  directory: string,
  skipped: (error: ConfigError) => void,
): Promise<PackageInfo[]> {
  const names = new Set(['paster', ...(await installedNames(directory)).sort()]);
  const packages = await Promise.all(
    [...names].map((name) =>
      findPackage(name, directory).catch((error) => {
        if (!(error instanceof ConfigError)) throw error;
        // Not a package: a directory in node_modules without a package.json.
        if (error.code !== 'PASTER_PACKAGE_MISSING') skipped(error);
        return undefined;
      }),
    ),
  );
  return packages.filter((info) => info !== undefined).filter((info) => info.entryPoints.size > 0);
}

/** The package that a file belongs to, if any. */
export async function enclosingPackage(file: string): Promise<PackageInfo | undefined> {
  for (const ancestor of ancestors(dirname(file))) {
    const found = await readPackage(ancestor);
    if (found) return found;
  }
  return undefined;
}

let ownPackageInfo: PackageInfo | undefined;

/** paster itself, with its built-in parts. Read once: a running server may outlive its release directory. */
export async function ownPackage(): Promise<PackageInfo> {
  ownPackageInfo ??= await readPackage(PACKAGE_ROOT);
  if (!ownPackageInfo) throw new Error(`paster's package.json is not in ${PACKAGE_ROOT}`);
  return ownPackageInfo;
}

const DEPENDENCIES = ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies'];

async function readPackage(root: string): Promise<PackageInfo | undefined> {
  const file = join(root, 'package.json');
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return undefined;
    throw new ConfigError('PASTER_PACKAGE_UNREADABLE', `${file} cannot be read: ${errorMessage(error)}`);
  }
  let manifest: unknown;
  try {
    manifest = JSON.parse(text);
  } catch (error) {
    throw new ConfigError('PASTER_PACKAGE_UNREADABLE', `${file} is not JSON: ${errorMessage(error)}`);
  }
  const { name, paster, ...rest } = asRecord(manifest);
  const dependencies = DEPENDENCIES.flatMap((field) => Object.keys(asRecord(rest[field])));
  const entryPoints = new Map(
    Object.entries(asRecord(paster)).map(([group, points]) => [
      group,
      new Map(
        Object.entries(asRecord(points)).filter((point): point is [string, string] => typeof point[1] === 'string'),
      ),
    ]),
  );
  return { name: typeof name === 'string' ? name : '', root, dependencies, entryPoints };
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

/** The names of all packages visible to a module in `directory`, the nearest first. */
async function installedNames(directory: string): Promise<string[]> {
  const names = new Set<string>();
  for (const ancestor of ancestors(directory)) {
    const around = await readPackage(ancestor).catch(() => undefined);
    if (around?.name) names.add(around.name);
    const modules = join(ancestor, 'node_modules');
    for (const name of await listDirectory(modules)) {
      if (name.startsWith('.')) continue;
      if (!name.startsWith('@')) names.add(name);
      else for (const scoped of await listDirectory(join(modules, name))) names.add(`${name}/${scoped}`);
    }
  }
  return [...names];
}

async function listDirectory(path: string): Promise<string[]> {
  return readdir(path).catch(() => []);
}

function* ancestors(directory: string): Generator<string> {
  for (let each = directory; ; each = dirname(each)) {
    yield each;
    if (dirname(each) === each) return;
  }
}

function normalized(name: string): string {
  return name.toLowerCase().replace(/[-_.]+/g, '-');
}
