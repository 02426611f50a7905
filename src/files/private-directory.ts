/**
 * Directories for a user's own sockets: other users can neither enter nor replace them. XDG_RUNTIME_DIR is checked like
 * any other directory: after `su` it is that of the previous user.
 */
import { lstatSync, mkdirSync, realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { errorCode } from '../errors.ts';
import { exposureOf } from './path-steps.ts';

/** The real paths of the private directories that exist, below a runtime directory or the one for temporary files. */
export function privateDirectories(): string[] {
  return candidates().flatMap((candidate) => usable(candidate, false) ?? []);
}

/** The first private directory that is usable, created if it does not exist; undefined if none is usable. */
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

/** The real path of a directory if only this user can access and replace it. */
function usable(candidate: string, create: boolean): string | undefined {
  const user = process.geteuid?.();
  try {
    const parent = realpathSync(dirname(candidate));
    const directory = join(parent, basename(candidate));
    if (exposureOf(directory).exposedAbove !== undefined) return undefined;
    if (create) makeDirectory(directory);
    // A symbolic link is not accepted.
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
