/** The script of a package.json that a command of npm, yarn or pnpm runs, also in a workspace. Nothing of it is run. */
import { resolve } from 'node:path';
import { readManifest, workspaceDirectories, workspacesRoot } from '../../deploy/programs/manifest.ts';

export interface PackageScript {
  /** The directory of its package.json, in which it runs. An absolute path. */
  readonly directory: string;
  readonly name: string;
  readonly script: string;
  /** The script that npm and yarn run before it. */
  readonly hook: string | undefined;
  readonly args: readonly string[];
  /** Variables before the command: `A=1 npm start`. */
  readonly assignments: readonly string[];
}

export const ASSIGNMENT = /^[A-Za-z_]\w*=/;
/** Options that name the directory of the package. */
const IN_DIRECTORY = /^(?:--prefix|--cwd|--dir|-C)(?:=(.*))?$/;
/** Options that name a workspace: its package, or its directory. */
const IN_WORKSPACE: Readonly<Record<string, RegExp>> = {
  npm: /^(?:--workspace|-w)(?:=(.*))?$/,
  pnpm: /^(?:--filter|-F)(?:=(.*))?$/,
};

/**
 * @param words `npm run worker -- --loud`, `yarn --cwd api start`, `npm start -w api`, `pnpm --filter api start`
 * @returns undefined for words of another kind, and if there is no such script or workspace, or more than one
 */
export function packageScript(words: readonly string[], cwd: string): PackageScript | undefined {
  const start = words.findIndex((word) => !ASSIGNMENT.test(word));
  const [manager = '', ...rest] = words.slice(Math.max(0, start));
  if (!/^(?:npm|pnpm|yarn)$/.test(manager)) return undefined;
  let directory = cwd;
  let name: string | undefined;
  const workspaces: string[] = [];
  const args: string[] = [];
  for (let at = 0; at < rest.length; at++) {
    const word = rest[at] ?? '';
    const isOwn = name === undefined || manager === 'npm';
    const place = isOwn ? IN_DIRECTORY.exec(word) : null;
    const workspace = isOwn ? IN_WORKSPACE[manager]?.exec(word) : null;
    if (place) directory = resolve(cwd, place[1] ?? rest[++at] ?? '.');
    else if (workspace) workspaces.push(workspace[1] ?? rest[++at] ?? '');
    else if (name === undefined && manager === 'yarn' && word === 'workspace') workspaces.push(rest[++at] ?? '');
    else if (word === '--') {
      args.push(...rest.slice(at + 1));
      break;
    } else if (/^(?:--silent|--quiet|--if-present|-s)$/.test(word)) continue;
    else if (name === undefined && /^run(?:-script)?$/.test(word)) continue;
    else if (name === undefined) name = word;
    // npm keeps options before "--" for itself.
    else if (manager !== 'npm' || !word.startsWith('-')) args.push(word);
    else return undefined;
  }
  const [workspace] = workspaces;
  const inside = workspace === undefined ? directory : workspaceDirectory(manager, workspace, directory);
  if (inside === undefined || name === undefined || workspaces.length > 1) return undefined;
  const { scripts } = readManifest(inside);
  const script = scripts[name];
  if (script === undefined) return undefined;
  const hook = manager === 'pnpm' ? undefined : scripts[`pre${name}`];
  return { directory: inside, name, script, hook, args, assignments: words.slice(0, Math.max(0, start)) };
}

/** The directories, from that of a package outwards, in whose node_modules a package manager looks for commands. */
export function commandDirectories(directory: string): string[] {
  const root = workspacesRoot(directory);
  const outer = root !== undefined && root !== directory && workspaceDirectories(root).includes(directory);
  return outer ? [directory, root] : [directory];
}

/** The directory of a workspace by the name of its package or by its path; undefined if it is not exactly one. */
function workspaceDirectory(manager: string, named: string, from: string): string | undefined {
  const root = workspacesRoot(from);
  if (root === undefined) return undefined;
  const all = workspaceDirectories(root);
  const isPath = manager === 'npm' || /^\.{1,2}\//.test(named);
  const path = /^\{(.*)\}$/.exec(named)?.[1] ?? (isPath ? named : undefined);
  const place = path === undefined ? undefined : resolve(manager === 'npm' ? root : from, path);
  const exact = all.filter((each) => readManifest(each).name === named || each === place);
  // pnpm finds @shop/api by "api".
  const scoped = manager === 'pnpm' ? all.filter((each) => readManifest(each).name?.split('/')[1] === named) : [];
  const found = exact.length > 0 ? exact : scoped;
  return found.length === 1 ? found[0] : undefined;
}
