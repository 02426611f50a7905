/** The files whose changes cause no reload: what build tools and programs write themselves. */
import { normalize, sep } from 'node:path';
import { realPath } from '../../files/existing-path.ts';

/** Tells whether a path is ignored. */
export type IsIgnored = (path: string) => boolean;

/**
 * @param patterns an absolute path means everything below it; one or more names, such as `.next` or `node_modules/.vite`,
 *   for every file or directory of this name. `*` matches any part of a name.
 * @param directory an absolute path in the project. Names are not compared with the directories in which the project is, with
 *   links or without: `var` does not stand for `/var/www/shop`.
 */
export function ignoredPaths(patterns: readonly string[], directory: string): IsIgnored {
  const trees = patterns.filter((each) => each.startsWith(sep)).map((each) => `${withoutSlash(normalize(each))}${sep}`);
  const names = patterns.filter((each) => !each.startsWith(sep)).map(expressionOf);
  const projects = [directory, realPath(directory)].map((each) => each.split(sep));
  return (path) => {
    if (trees.some((tree) => `${path}${sep}`.startsWith(tree))) return true;
    const parts = path.split(sep);
    const common = Math.max(...projects.map((project) => commonParts(parts, project)));
    const below = `${sep}${parts.slice(common).join(sep)}${sep}`;
    return names.some((name) => name.test(below));
  };
}

function commonParts(one: readonly string[], other: readonly string[]): number {
  const first = one.findIndex((part, index) => part !== other[index]);
  return first === -1 ? one.length : first;
}

function expressionOf(pattern: string): RegExp {
  const names = withoutSlash(pattern).replace(/[\\^$.+?()[\]{}|]/g, '\\$&');
  return new RegExp(`/${names.replaceAll('*', '[^/]*')}/`);
}

function withoutSlash(path: string): string {
  return path.endsWith(sep) ? path.slice(0, -1) : path;
}
