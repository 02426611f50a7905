/**
 * Directories that a user keeps sockets in: nobody else may enter them, and nobody else can put another one in their place.
 * What the environment names is looked at like any other: after `su` it is what belongs to the user before.
 */
import { lstatSync, mkdirSync, realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { errorCode } from '../errors.ts';
import { exposureOf } from '../path-steps.ts';

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
    const directory = join(parent, basename(candidate));
    if (exposureOf(directory).way !== undefined) return undefined;
    if (create) makeDirectory(directory);
    // A link is no directory here.
    const found = lstatSync(directory);
    return found.isDirectory() && found.uid === user && (found.mode & 0o077) === 0 ? directory : undefined;
  } catch {
    return undefined;
  }
}

function makeDirectory(directory: string): void {
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
  }
}
