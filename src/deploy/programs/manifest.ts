/**
 * What a project's package.json says about how to run it, and where its workspaces are. A file that is missing or not JSON counts
 * as empty.
 */
import { type Dirent, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { readableText } from '../../files/existing-path.ts';

type Fields = Readonly<Record<string, unknown>>;

export interface Manifest {
  readonly name: string | undefined;
  readonly version: string | undefined;
  readonly type: string | undefined;
  readonly main: string | undefined;
  readonly packageManager: string | undefined;
  readonly scripts: Readonly<Record<string, string>>;
  /** The files of its commands (`bin`), relative to its directory. */
  readonly commands: Readonly<Record<string, string>>;
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
  const { bin } = fields;
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
    scripts: textEntries(fields['scripts']),
    commands: isText(bin) ? { [basename(directory)]: bin } : textEntries(bin),
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

function textEntries(value: unknown): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(objectOf(value)).filter((entry): entry is [string, string] => isText(entry[1])),
  );
}

function textsOf(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) ? value.filter(isText) : undefined;
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

// --- workspaces: directories with packages of their own, for npm, yarn and pnpm

/** The nearest directory that declares workspaces. */
export function workspacesRoot(from: string): string | undefined {
  for (let at = from; ; at = dirname(at)) {
    if (workspacePatterns(at).length > 0) return at;
    if (at === dirname(at)) return undefined;
  }
}

/** `packages/*` and the like: of package.json, or of pnpm's own file. */
function workspacePatterns(root: string): readonly string[] {
  const yaml = readableText(join(root, 'pnpm-workspace.yaml')) ?? '';
  const [, list = ''] = /^packages:[ \t]*\n((?:[ \t]*(?:-.*|#.*)?(?:\n|$))*)/m.exec(yaml) ?? [];
  const listed = [...list.matchAll(/^[ \t]*-[ \t]*(['"]?)([^'"#\n]+?)\1[ \t]*(?:#.*)?$/gm)].map(
    ([, , item = '']) => item,
  );
  return [...readManifest(root).workspaces, ...listed];
}

/** The directories of workspaces that have a package.json, absolute, without that of the root. */
export function workspaceDirectories(root: string): string[] {
  const patterns = workspacePatterns(root);
  const matched = (isExcluded: boolean) =>
    patterns
      .filter((pattern) => pattern.startsWith('!') === isExcluded)
      .flatMap((pattern) => matchingDirectories(root, pattern.replace(/^!/, '')));
  const excluded = new Set(matched(true));
  const found = matched(false).filter((each) => !excluded.has(each));
  return [...new Set(found)].filter((each) => readableText(join(each, 'package.json')) !== undefined);
}

function matchingDirectories(root: string, pattern: string): string[] {
  return pattern.split('/').reduce<string[]>(
    (found, part) => {
      if (part === '**') return found.flatMap(withDescendants);
      if (!part.includes('*')) return found.map((each) => join(each, part));
      const name = new RegExp(
        `^${part
          .split('*')
          .map((text) => text.replace(/[\\^$.+?()[\]{}|]/g, '\\$&'))
          .join('.*')}$`,
      );
      return found.flatMap((each) =>
        childrenOf(each)
          .filter((child) => name.test(child))
          .map((child) => join(each, child)),
      );
    },
    [root],
  );
}

function withDescendants(directory: string): string[] {
  return [directory, ...childrenOf(directory).flatMap((child) => withDescendants(join(directory, child)))];
}

function childrenOf(directory: string): string[] {
  let entries: Dirent[];
  try {
    entries = readdirSync(directory, { withFileTypes: true });
  } catch {
    return [];
  }
  return entries
    .filter((entry) => entry.isDirectory() && entry.name !== 'node_modules' && !entry.name.startsWith('.'))
    .map(({ name }) => name);
}
