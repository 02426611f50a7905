/**
 * What is at a path. For paths in settings, a missing file or directory is an error at the setting's line, before the part serves.
 */
import { readFileSync, realpathSync, type Stats, statSync } from 'node:fs';
import { dirname, normalize } from 'node:path';
import { ConfigError, errorCode, errorMessage } from '../errors.ts';

/** @returns the path. @throws ConfigError unless it is a directory. */
export function existingDirectory(setting: string, path: string): string {
  const hint = `create it (mkdir -p ${path}) or correct the path`;
  if (statOf(setting, path, `there is no directory ${path}`, hint).isDirectory()) return path;
  throw unusable(setting, path, `${path} is not a directory`);
}

/** @returns the path. @throws ConfigError unless it is a regular file. */
export function existingFile(setting: string, path: string): string {
  const stats = statOf(setting, path, `there is no file ${path}`, 'create it or correct the path');
  if (stats.isFile()) return path;
  if (stats.isDirectory()) throw unusable(setting, path, `${path} is a directory`);
  throw unusable(setting, path, `${path} is not a regular file`);
}

/** Checks the directory of a file that the part writes. @returns the path. @throws ConfigError if it does not exist. */
export function fileInDirectory(setting: string, path: string): string {
  existingDirectory(setting, dirname(path));
  return path;
}

function statOf(setting: string, path: string, absent: string, hint: string): Stats {
  try {
    return statSync(path);
  } catch (error) {
    const isAbsent = errorCode(error) === 'ENOENT';
    throw unusable(setting, path, isAbsent ? absent : errorMessage(error), isAbsent ? hint : undefined);
  }
}

function unusable(setting: string, path: string, message: string, hint?: string): ConfigError {
  return new ConfigError('PASTER_SETTING_PATH', `${setting}: ${message}`, { setting, path, hint });
}

/** Whether there is a directory at a path. */
export function isExistingDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** Whether there is a file at a path. False also for a path that this process may not search, as a shell skips such directories of PATH. */
export function isExistingFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** A path without symbolic links; the path itself if there is nothing at it. */
export function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

/** A path without `..`, unless that means another place: `..` after a symbolic link leads to the parent of the link's target. */
export function plainPath(path: string): string {
  const end = path.lastIndexOf('/../');
  if (end === -1) return normalize(path);
  const start = path.slice(0, end + '/..'.length);
  try {
    // Without `native`, Node would remove `..` with the name before it, and only then look for links.
    return realpathSync.native(start) === realPath(normalize(start)) ? normalize(path) : path;
  } catch {
    return path;
  }
}

/** The text of a regular file; undefined if there is none at this path, or it cannot be read. */
export function readableText(path: string): string | undefined {
  try {
    return statSync(path).isFile() ? readFileSync(path, 'utf8') : undefined;
  } catch {
    return undefined;
  }
}
