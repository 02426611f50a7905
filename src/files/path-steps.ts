/** The directories and symbolic links on a path, and which of them other users control. */
import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { dirname, isAbsolute, join, sep } from 'node:path';
import { errorCode, errorMessage } from '../errors.ts';

/** A directory or a symbolic link that a path leads through. */
export interface FoundStep {
  readonly kind: 'directory' | 'link';
  readonly path: string;
  readonly stat: Stats;
}

export type PathStep =
  | FoundStep
  /** The path ends here. */
  | { readonly kind: 'problem'; readonly problem: string; readonly cure: string };

/** Opens any kind of file, even a socket, without reading or writing it. Linux only; Node has no name for it. */
export const O_PATH = 0o10000000;

const MAX_LINKS = 40;

/** The directories and links that the system follows to `directory`, in order. `..` after a link leaves the link's target. */
export function* stepsTo(directory: string): Generator<PathStep> {
  const names = namesIn(isAbsolute(directory) ? directory : `${process.cwd()}${sep}${directory}`);
  let at: string = sep;
  let links = 0;
  yield { kind: 'directory', path: at, stat: lstatSync(at) };
  for (let name = names.shift(); name !== undefined; name = names.shift()) {
    if (name === '..') {
      at = dirname(at);
      continue;
    }
    const path = join(at, name);
    let stat: Stats;
    try {
      stat = lstatSync(path);
    } catch (error) {
      yield errorCode(error) === 'ENOENT'
        ? { kind: 'problem', problem: `the directory ${path} does not exist`, cure: `mkdir -p ${directory}` }
        : unreadableDirectory(at, error);
      return;
    }
    if (stat.isSymbolicLink()) {
      yield { kind: 'link', path, stat };
      const target = readlinkSync(path);
      if (++links > MAX_LINKS) {
        yield { kind: 'problem', problem: `${path} is a link to itself`, cure: 'remove the link' };
        return;
      }
      names.unshift(...namesIn(target));
      if (target.startsWith(sep)) at = sep;
      continue;
    }
    if (!stat.isDirectory()) {
      yield { kind: 'problem', problem: `${path} is not a directory`, cure: 'use another socket path' };
      return;
    }
    at = path;
    yield { kind: 'directory', path: at, stat };
  }
}

function namesIn(path: string): string[] {
  return path.split(sep).filter((name) => name !== '' && name !== '.');
}

/** A directory that this process has no permission to search. */
export function unreadableDirectory(directory: string, error: unknown): Extract<PathStep, { kind: 'problem' }> {
  const problem = `${directory} cannot be examined: ${errorMessage(error)}`;
  return { kind: 'problem', problem, cure: 'run this command as root' };
}

/** What users other than root and the process's own user can change about a directory. */
export interface Exposure {
  /** A directory or link above it that they control, if any: they can make the path lead elsewhere. */
  readonly exposedAbove: string | undefined;
  /** Whether they can replace the files in the directory itself. */
  readonly exposedInside: boolean;
}

const STICKY = 0o1000;

export function exposureOf(directory: string): Exposure {
  const steps = [...stepsTo(directory)];
  const last = steps.pop();
  const above = steps.find((step): step is FoundStep => step.kind !== 'problem' && isShared(step, false));
  // If the path ends early, another user may create the rest.
  return { exposedAbove: above?.path, exposedInside: last?.kind !== 'directory' || isShared(last, true) };
}

/**
 * Whether users other than root and `user` control a directory or link in a path.
 * @param isLast whether it is the directory of the file itself, in which another user must not be able to take a name first
 */
export function isShared(
  { kind, stat }: Pick<FoundStep, 'kind' | 'stat'>,
  isLast: boolean,
  user: number | undefined = process.geteuid?.(),
): boolean {
  if (stat.uid !== 0 && stat.uid !== user) return true;
  // In a sticky directory, such as /tmp, others cannot replace what exists.
  return kind === 'directory' && (stat.mode & 0o022) !== 0 && (isLast || (stat.mode & STICKY) === 0);
}
