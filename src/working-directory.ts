/**
 * The working directory by the name that the user has for it. `process.cwd()` has no symbolic links left in it: started
 * in `current -> releases/1`, it is `releases/1` for ever, and a path made absolute with it means the old release after
 * the link has been switched. The shell keeps the name with the link in `PWD`.
 */
import { existsSync, statSync } from 'node:fs';
import { basename, dirname, resolve, sep } from 'node:path';

interface Known {
  /** The directory as the system names it; undefined if it has been removed. */
  readonly real: string | undefined;
  /** An absolute path that led there when this was found out, and may lead elsewhere by now. */
  readonly name: string;
}

let known = lookUp();

const started = aboveLink(known);

/** An absolute path, with the links that it was entered through. */
export function workingDirectory(): string {
  const real = realDirectory();
  // Code of others may have called process.chdir().
  if (real !== undefined && real !== known.real) known = lookUp();
  return known.name;
}

/** A path that is relative to the working directory, made absolute. */
export function fromWorkingDirectory(path: string): string {
  return resolve(workingDirectory(), path);
}

/**
 * Changes to where `directory` leads now: a link may have been switched since, and the directory that this process is in
 * may have been removed, in which Node does not start a child. As long as nothing is there, the process stays where it
 * is, or goes to the nearest directory above that exists; `workingDirectory()` is `directory` all the same.
 */
export function enterDirectory(directory: string): void {
  const { real } = known;
  for (let at = directory; ; at = dirname(at)) {
    try {
      process.chdir(at);
    } catch {
      const isHomeless = real === undefined || !existsSync(real);
      if (isHomeless && at !== dirname(at)) continue;
    }
    known = { real: realDirectory(), name: directory };
    return;
  }
}

/**
 * Where a file of the release that this process was started in is now: if it has been removed, and the link in the
 * working directory's name leads to another release that has it, there. Any other path stays as it is.
 */
export function inCurrentRelease(file: string): string {
  if (existsSync(file) || !file.startsWith(started.real + sep)) return file;
  const moved = started.name + file.slice(started.real.length);
  return existsSync(moved) ? moved : file;
}

/** The two names without what they end in alike: `/srv/current/etc` and `/srv/releases/1/etc` differ in a link above. */
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
  if (resolve(name) !== name) return false;
  try {
    const [one, other] = [statSync(name, { bigint: true }), statSync(directory, { bigint: true })];
    return one.dev === other.dev && one.ino === other.ino;
  } catch {
    return false;
  }
}
