/** The directories and symbolic links that a path leads through, and which of them other users control. */
import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { dirname, isAbsolute, join, sep } from 'node:path';
import { errorCode, errorMessage } from './errors.ts';

export type Step =
  | { readonly kind: 'directory'; readonly path: string; readonly stat: Stats }
  | { readonly kind: 'link'; readonly path: string; readonly stat: Stats }
  /** The path leads no further. */
  | { readonly kind: 'problem'; readonly problem: string; readonly cure: string };

/** Opens what a path names, a socket too, and only to look at it and to reach it. Linux has it, and Node no name for it. */
export const O_PATH = 0o10000000;

const MOST_LINKS = 40;

/** What the system searches and follows on the way into `directory`, in order. `..` behind a link leaves the link's target. */
export function* stepsTo(directory: string): Generator<Step> {
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
        : unseen(at, error);
      return;
    }
    if (stat.isSymbolicLink()) {
      yield { kind: 'link', path, stat };
      const target = readlinkSync(path);
      if (++links > MOST_LINKS) {
        yield { kind: 'problem', problem: `${path} leads to itself`, cure: 'remove the link' };
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

/** A directory that this process has no permission to look into. */
export function unseen(directory: string, error: unknown): Extract<Step, { kind: 'problem' }> {
  const problem = `it cannot be told what is in ${directory}: ${errorMessage(error)}`;
  return { kind: 'problem', problem, cure: 'ask as root' };
}

/** What users other than root and this process's own can change about a directory. */
export interface Exposure {
  /** A directory or link above it that they control, if there is one: they can make the path lead elsewhere. */
  readonly way: string | undefined;
  /** Whether they can replace what is in the directory itself. */
  readonly inside: boolean;
}

const STICKY = 0o1000;

export function exposureOf(directory: string): Exposure {
  const steps = [...stepsTo(directory)];
  const last = steps.at(-1);
  const way = steps.find((step) => {
    if (step === last || step.kind === 'problem') return false;
    if (!isOurs(step.stat)) return true;
    // In a sticky directory, such as /tmp, others cannot replace what is ours.
    return step.kind === 'directory' && isWritableToOthers(step.stat) && (step.stat.mode & STICKY) === 0;
  });
  return {
    way: way && 'path' in way ? way.path : undefined,
    // Where the path ends early, another user may be about to continue it.
    inside: last?.kind !== 'directory' || isExposed(last.stat),
  };
}

/** Whether other users can put something of theirs into a directory. */
export function isExposed(directory: Stats): boolean {
  return !isOurs(directory) || isWritableToOthers(directory);
}

function isOurs({ uid }: Stats): boolean {
  return uid === 0 || uid === process.geteuid?.();
}

function isWritableToOthers({ mode }: Stats): boolean {
  return (mode & 0o022) !== 0;
}
