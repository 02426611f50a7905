/** What a project's package.json says about how to run it. A file that is missing or not JSON says nothing. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

type Fields = Readonly<Record<string, unknown>>;

export interface Manifest {
  readonly name: string | undefined;
  readonly version: string | undefined;
  readonly type: string | undefined;
  readonly main: string | undefined;
  readonly packageManager: string | undefined;
  readonly scripts: Readonly<Record<string, string>>;
  /** Patterns of directories, such as `packages/*`. */
  readonly workspaces: readonly string[];
  readonly paster: Readonly<Record<string, Fields | undefined>> | undefined;
  /** The packages that the project depends on, for development or in production. */
  readonly dependencies: readonly string[];
  /** Whether the project depends on a package, for development or in production. */
  uses(dependency: string): boolean;
}

export function readManifest(directory: string): Manifest {
  const fields = readFields(join(directory, 'package.json'));
  const scripts = Object.fromEntries(
    Object.entries(objectOf(fields['scripts'])).filter((entry): entry is [string, string] => isText(entry[1])),
  );
  const dependencies = { ...objectOf(fields['dependencies']), ...objectOf(fields['devDependencies']) };
  const text = (name: string): string | undefined => {
    const value = fields[name];
    return isText(value) ? value : undefined;
  };
  return {
    name: text('name'),
    version: text('version'),
    type: text('type'),
    main: text('main'),
    packageManager: text('packageManager'),
    scripts,
    workspaces: textsOf(fields['workspaces']) ?? textsOf(objectOf(fields['workspaces'])['packages']) ?? [],
    paster: fields['paster'] === undefined ? undefined : (objectOf(fields['paster']) as Record<string, Fields>),
    dependencies: Object.keys(dependencies),
    uses: (dependency) => Object.hasOwn(dependencies, dependency),
  };
}

function readFields(file: string): Fields {
  try {
    return objectOf(JSON.parse(readFileSync(file, 'utf8').replace(/^\uFEFF/, '')));
  } catch {
    return {};
  }
}

function objectOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

function textsOf(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) ? value.filter(isText) : undefined;
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}
