/** Changes of the path to a watched file: a link in it leads to another directory, or a missing directory of it is created. */
import { existsSync } from 'node:fs';
import { dirname, relative } from 'node:path';
import { workingDirectory } from '../../working-directory.ts';
import { linkTarget } from './file-state.ts';

/** `src/cart.js and 2 more changed`: the first path is relative to the working directory. */
export function describeChanges([first = '', ...others]: readonly string[]): string {
  const more = others.length > 0 ? ` and ${others.length} more` : '';
  return `${relative(workingDirectory(), first)}${more} changed`;
}

/** Links to directories in the paths of watched files: a change of `current -> releases/2` changes everything below `current`. */
export class DirectoryLinks {
  readonly #links = new Set<string>();
  readonly #examined = new Set<string>();

  has(path: string): boolean {
    return this.#links.has(path);
  }

  /** The links in the path of a directory, its last component included, that no earlier call has returned; outermost first. */
  findNew(directory: string): string[] {
    const parent = dirname(directory);
    if (this.#examined.has(directory) || parent === directory) return [];
    this.#examined.add(directory);
    const links = this.findNew(parent);
    if (linkTarget(directory) === undefined) return links;
    this.#links.add(directory);
    return [...links, directory];
  }
}

/** Paths that do not exist yet, each with what to do when it is created. Their directories exist and are watched. */
export class MissingPaths {
  readonly #actions = new Map<string, Set<() => void>>();

  has(path: string): boolean {
    return this.#actions.has(path);
  }

  /** @returns whether the path is a new one */
  add(path: string, action: () => void): boolean {
    const actions = this.#actions.get(path);
    if (actions) actions.add(action);
    else this.#actions.set(path, new Set([action]));
    return actions === undefined;
  }

  /** The missing paths directly in a directory. */
  in(directory: string): string[] {
    return [...this.#actions.keys()].filter((path) => dirname(path) === directory);
  }

  /** Runs the actions of a path if it was missing and exists now. */
  check(path: string): void {
    const actions = this.#actions.get(path);
    if (!actions || !existsSync(path)) return;
    this.#actions.delete(path);
    for (const action of actions) action();
  }
}
