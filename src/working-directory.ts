/**
 * The working directory by the user's name for it. `process.cwd()` resolves symbolic links: in a process started in
 * `current -> releases/1` it stays `releases/1`, and paths made absolute with it lead to the old release after the link has
 * been switched. The shell keeps the name with the link in `PWD`.
 */
import { existsSync, statSync } from 'node:fs';
import { basename, dirname, resolve, sep } from 'node:path';

interface Known {
  /** The directory by `process.cwd()`; undefined if it has been removed. */
  readonly real: string | undefined;
  /** An absolute path that led there when it was looked up, and may lead elsewhere by now. */
  readonly name: string;
}

let known = lookUp();

const started = aboveLink(known);

/** The absolute path, including symbolic links. */
export function workingDirectory(): string {
  const real = realDirectory();
  // The application may have called process.chdir().
  if (real !== undefined && real !== known.real) known = lookUp();
  return known.name;
}

/** Makes a path absolute that is relative to the working directory. */
export function fromWorkingDirectory(path: string): string {
  return resolve(workingDirectory(), path);
}

/**
 * Changes to the directory to which `directory` leads now: a link may have been switched, and the current directory may have
 * been removed, in which Node cannot start a child. If `directory` does not exist, the process stays where it is, or goes to
 * the nearest existing directory above; `workingDirectory()` returns `directory` in any case.
 */
export function enterDirectory(directory: string): void {
  const { real } = known;
  for (let at = directory; ; at = dirname(at)) {
    try {
      process.chdir(at);
    } catch {
      const isRemoved = real === undefined || !existsSync(real);
      if (isRemoved && at !== dirname(at)) continue;
    }
    known = { real: realDirectory(), name: directory };
    return;
  }
}

/**
 * The current path of a file of the release in which this process was started. If the file has been removed, and the link
 * in the working directory's name leads to another release that has it, this is the file there. Any other path stays.
 */
export function inCurrentRelease(file: string): string {
  return existsSync(file) ? file : inNewestRelease(file);
}

/** The path of the same file in the release to which the link leads now, if it has that file. */
export function inNewestRelease(file: string): string {
  if (!file.startsWith(started.real + sep)) return file;
  const moved = started.name + file.slice(started.real.length);
  return existsSync(moved) ? moved : file;
}

/** Both names without their common end: `/srv/current/etc` and `/srv/releases/1/etc` differ in a link above `etc`. */
function aboveLink({ name, real = name }: Known): { readonly name: string; readonly real: string } {
  const isAlike = name !== real && basename(name) === basename(real) && name !== dirname(name);
  return isAlike ? aboveLink({ name: dirname(name), real: dirname(real) }) : { name, real };
}

function lookUp(): Known {
  const real = realDirectory();
  const { PWD: name = '' } = process.env;
  return { real, name: real !== undefined && isSame(name, real) ? name : (real ?? '/') };
}

function realDirectory(): string | undefined {
  try {
    return process.cwd();
  } catch {
    return undefined;
  }
}

function isSame(name: string, directory: string): boolean {
  if (name === directory) return true;
  if (resolve(name) !== name) return false;
  try {
    const [one, other] = [statSync(name, { bigint: true }), statSync(directory, { bigint: true })];
    return one.dev === other.dev && one.ino === other.ino;
  } catch {
    return false;
  }
}
