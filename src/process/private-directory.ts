/**
 * Directories that a user keeps sockets in: nobody else may enter them, and nobody else can put another one in their place.
 * What the environment names is looked at like any other: after `su` it is what belongs to the user before.
 */
import { lstatSync, mkdirSync, realpathSync, type Stats, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { errorCode } from '../errors.ts';

/** Those that there are, by their real paths: where the system has one for each user, and beside temporary files. */
export function privateDirectories(): string[] {
  return candidates().flatMap((candidate) => usable(candidate, false) ?? []);
}

/** The first one that can be used, made if it is not there; undefined where there is no place for one. */
export function makePrivateDirectory(): string | undefined {
  for (const candidate of candidates()) {
    const directory = usable(candidate, true);
    if (directory !== undefined) return directory;
  }
  return undefined;
}

function candidates(): string[] {
  const user = process.geteuid?.();
  if (user === undefined) return [];
  const runtime = process.env['XDG_RUNTIME_DIR'];
  return [
    ...new Set([
      ...(runtime?.startsWith('/') ? [join(runtime, 'paster')] : []),
      `/run/user/${user}/paster`,
      join(tmpdir(), `paster-${user}`),
    ]),
  ];
}

/** Its real path if it is this user's alone, and will stay that. */
function usable(candidate: string, create: boolean): string | undefined {
  const user = process.geteuid?.();
  try {
    const parent = realpathSync(dirname(candidate));
    if (!isSafe(parent, user)) return undefined;
    const directory = join(parent, basename(candidate));
    if (create) makeDirectory(directory);
    // A link is no directory here.
    const found = lstatSync(directory);
    return found.isDirectory() && found.uid === user && !isOpenTo(found, 0o077) ? directory : undefined;
  } catch {
    return undefined;
  }
}

/** Whether nobody but this user and root can rename what is in a directory, nor the directory itself, nor one above. */
function isSafe(directory: string, user: number | undefined): boolean {
  for (let at = directory; ; at = dirname(at)) {
    const found = statSync(at);
    if (found.uid !== user && found.uid !== 0) return false;
    // In a sticky one, such as /tmp, everybody renames what is their own.
    if (isOpenTo(found, 0o022) && (found.mode & 0o1000) === 0) return false;
    if (at === dirname(at)) return true;
  }
}

function isOpenTo({ mode }: Stats, others: number): boolean {
  return (mode & others) !== 0;
}

function makeDirectory(directory: string): void {
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
  }
}
