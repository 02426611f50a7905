/** The `reload_files` of everything that is served: of [DEFAULT], the server's section and those of the application. */
import { dirname, resolve } from 'node:path';
import { asList } from '../config/convert.ts';
import type { Context } from '../deploy/context.ts';
import { RELOAD_FILES as KEY } from '../deploy/section-config.ts';
import { escapeGlob } from '../process/glob.ts';

/** Absolute patterns; they are relative to the INI file, and without one to `directory`. */
export function reloadPatterns(contexts: readonly Context[], directory: string): string[] {
  const patterns = new Set<string>();
  for (const { localConf, globalConf, origins } of contexts) {
    const file = globalConf['__file__'];
    const base = file ? dirname(file) : directory;
    // A section of an included file means its own file.
    const written = origins.get(KEY)?.location.file;
    for (const pattern of asList(localConf[KEY] ?? ''))
      patterns.add(absolutePattern(written ? dirname(written) : base, pattern));
    for (const pattern of asList(globalConf[KEY] ?? '')) patterns.add(absolutePattern(base, pattern));
  }
  return [...patterns];
}

/** The directory is literal even if its name has `[` or `{` in it, and also where the pattern begins with `%(here)s`. */
function absolutePattern(directory: string, pattern: string): string {
  const literal = escapeGlob(directory);
  return resolve(literal, pattern.startsWith(`${directory}/`) ? literal + pattern.slice(directory.length) : pattern);
}
