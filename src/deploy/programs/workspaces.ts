/** The workspaces of a project: directories with packages of their own, for npm, yarn and pnpm. */
import { type Dirent, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readableText } from '../../files/existing-path.ts';
import { readManifest } from './manifest.ts';

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
