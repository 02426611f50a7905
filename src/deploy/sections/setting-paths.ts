/**
 * Makes the paths in a part's settings absolute. A relative path is relative to the INI file that it is written in, which
 * may be another file than that of the section that uses it.
 */
import { existsSync } from 'node:fs';
import { dirname, isAbsolute, relative, resolve } from 'node:path';
import type { Declarations } from '../../config/settings/setting.ts';
import { ConfigError } from '../../errors.ts';
import type { Settings } from '../../protocol/types.ts';
import { fromWorkingDirectory, workingDirectory } from '../../working-directory.ts';
import { type FactoryContext, sectionPrefix } from '../context.ts';

/**
 * The values of a section with absolute paths. A default is relative to the file of the section, or to the working
 * directory if there is no file.
 *
 * @throws ConfigError for a path that exists only in the working directory, where 0.1 looked for it
 */
export function withAbsolutePaths(
  values: Readonly<Record<string, unknown>>,
  declarations: Declarations,
  localConf: Readonly<Settings>,
  context: FactoryContext,
): Record<string, unknown> {
  const mapped: Record<string, unknown> = Object.assign(Object.create(null), values);
  for (const [name, { type, aliases = [] }] of Object.entries(declarations)) {
    const value = values[name];
    if (type.mapPaths === undefined || value === undefined) continue;
    const key = [name, ...aliases].find((each) => localConf[each] !== undefined);
    const directory = directoryOf(context, key);
    mapped[name] = type.mapPaths(value, (path) => {
      const absolute = absoluteIn(directory, path);
      if (type.isMoved) refuseMoved(key ?? name, path, absolute, context);
      return absolute;
    });
  }
  return mapped;
}

/** The absolute path that a setting will have in its part; the first one of several lines. */
export function pathSetting(context: FactoryContext, key: string): string | undefined {
  return pathLinesSetting(context, key)?.[0];
}

/** The paths of a setting that has one per line. */
export function pathLinesSetting(context: FactoryContext, key: string): string[] | undefined {
  const lines = context.localConf[key]?.trim().split(/\s*\n\s*/);
  return lines?.map((path) => absoluteIn(directoryOf(context, key), path));
}

/** Absolute paths are not normalized: `..` after a symbolic link leads to the parent of the link's target. */
function absoluteIn(directory: string, path: string): string {
  return isAbsolute(path) ? path : resolve(directory, path);
}

function directoryOf({ origins, sections, globalConf }: FactoryContext, key: string | undefined): string {
  const written = key === undefined ? undefined : origins.get(key)?.location.file;
  const file = written ?? sections[0]?.location.file;
  return file === undefined ? (globalConf['here'] ?? workingDirectory()) : dirname(file);
}

/** Checks the path itself, and the directory of a file that does not exist yet. */
function refuseMoved(setting: string, path: string, absolute: string, { sections, origins }: FactoryContext): void {
  const former = fromWorkingDirectory(path);
  const moved = [
    { now: absolute, before: former },
    { now: dirname(absolute), before: dirname(former) },
  ].find(({ now, before }) => !existsSync(now) && existsSync(before));
  if (moved === undefined) return;
  const location = origins.get(setting)?.location ?? sections[0]?.location;
  throw new ConfigError(
    'PASTER_SETTING_PATH',
    `${sectionPrefix({ sections })}${setting}: ${path} is relative to the INI file, but ${moved.now} does not exist and ${moved.before} does`,
    {
      setting,
      path: absolute,
      location,
      hint: `write ${location === undefined ? former : `%(here)s/${relative(dirname(location.file), former)}`} for that one`,
    },
  );
}
