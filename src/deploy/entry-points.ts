/** npm packages as Python's distributions: found from a directory, and asked for the entry points they declare. */
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { nearest } from '../config/nearest.ts';
import { ConfigError, errorCode, errorMessage, type Location } from '../errors.ts';
import { PACKAGE_ROOT } from '../own-files.ts';
import type { Target } from './context.ts';
import { FACTORY_KINDS, type FactoryKind, KINDS, type PartKind } from './kinds.ts';
import { moduleTarget } from './module-target.ts';

/** An installed package and what its package.json declares under "paster": group, name, `module:export`. */
export interface PackageInfo {
  readonly name: string;
  readonly root: string;
  readonly entryPoints: ReadonlyMap<string, ReadonlyMap<string, string>>;
}

export interface EntryPoint {
  readonly group: FactoryKind;
  readonly name: string;
  readonly target: Target;
}

/** What can stand below node_modules: a path would lead out of it. */
const PACKAGE_NAME = /^(?:@[^/]+\/)?[^./][^/]*$/;

/**
 * The package `name` as a module in `directory` would find it: in the node_modules directories above, or as the
 * package that `directory` itself belongs to.
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
    // A package that does not say its name has that of its directory.
    if (installed) return { ...installed, name: installed.name || name };
    const around = await readPackage(ancestor);
    if (around?.name === name) return around;
  }
  const installed = await installedNames(directory);
  const meant = nearest(name, installed);
  throw new ConfigError('PASTER_PACKAGE_MISSING', `the package "${name}" is not installed for ${directory}`, {
    hint: meant ? `did you mean "${meant}"?` : `npm install ${name}`,
  });
}

/**
 * The package that a Python distribution's name means: case and the difference of `-`, `_` and `.` do not count, as in
 * PEP 503. An exact name goes first.
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
 * The entry point `name` of a package that makes parts of `kind`.
 * @throws ConfigError that names what there is.
 */
export function findEntryPoint(
  info: PackageInfo,
  kind: PartKind,
  name: string,
  scheme: string,
  from: Location | undefined,
): EntryPoint {
  const found = KINDS[kind].groups.flatMap((groups) => {
    const group = groups.find((each) => info.entryPoints.get(each)?.has(name));
    return group ? [group] : [];
  });
  const [group, second] = found;
  if (group === undefined) throw missingEntryPoint(info, kind, name);
  if (second !== undefined) {
    throw new ConfigError(
      'PASTER_ENTRY_POINT_AMBIGUOUS',
      `the package "${info.name}" declares "${name}" both as ${group} and as ${second}`,
    );
  }
  const expression = info.entryPoints.get(group)?.get(name) ?? '';
  const target = moduleTarget(expression, info.root, from);
  return { group, name, target: { ...target, description: `${scheme}:${info.name}#${name}` } };
}

function missingEntryPoint(info: PackageInfo, kind: PartKind, name: string): ConfigError {
  const groups = KINDS[kind].groups.flat();
  const names = groups.flatMap((group) => [...(info.entryPoints.get(group)?.keys() ?? [])]);
  const elsewhere = FACTORY_KINDS.find((group) => info.entryPoints.get(group)?.has(name));
  const meant = nearest(name, names);
  const hint = elsewhere
    ? `it declares "${name}" as ${elsewhere}`
    : meant
      ? `did you mean "${meant}"?`
      : names.length > 0
        ? `it declares ${names.join(', ')}`
        : info.entryPoints.size > 0
          ? `it declares only ${[...info.entryPoints.keys()].join(', ')}`
          : `its package.json declares no entry points: "paster": { "${KINDS[kind].called}": { ... } }`;
  return new ConfigError('PASTER_ENTRY_POINT_MISSING', `the package "${info.name}" has no ${kind} "${name}"`, { hint });
}

/**
 * paster itself and the packages that a module in `directory` can see, those of them that declare entry points.
 *
 * @param skipped is told of a package that cannot be read
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
        // A directory in node_modules without a package.json is no package.
        if (error.code !== 'PASTER_PACKAGE_MISSING') skipped(error);
        return undefined;
      }),
    ),
  );
  return packages.filter((info) => info !== undefined).filter((info) => info.entryPoints.size > 0);
}

/** The package that a file belongs to, if it belongs to one. */
export async function packageAround(file: string): Promise<PackageInfo | undefined> {
  for (const ancestor of ancestors(dirname(file))) {
    const found = await readPackage(ancestor);
    if (found) return found;
  }
  return undefined;
}

let own: PackageInfo | undefined;

/** paster itself, with its built-in parts. Read once: a running server outlives the release that paster is a part of. */
export async function ownPackage(): Promise<PackageInfo> {
  own ??= await readPackage(PACKAGE_ROOT);
  if (!own) throw new Error(`paster's package.json is not in ${PACKAGE_ROOT}`);
  return own;
}

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
  const { name, paster } = record(manifest);
  const entryPoints = new Map(
    Object.entries(record(paster)).map(([group, points]) => [
      group,
      new Map(
        Object.entries(record(points)).filter((point): point is [string, string] => typeof point[1] === 'string'),
      ),
    ]),
  );
  return { name: typeof name === 'string' ? name : '', root, entryPoints };
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

/** The names of all packages that a module in `directory` can see, the nearest first. */
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
