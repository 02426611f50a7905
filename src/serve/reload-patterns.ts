/** The `reload_files` of everything that is served: of [DEFAULT], the server's section and those of the application. */
import { dirname, resolve } from 'node:path';
import { asList } from '../config/convert.ts';
import type { Context } from '../deploy/context.ts';

const KEY = 'reload_files';

/** Absolute patterns; they are relative to the INI file, and without one to `directory`. */
export function reloadPatterns(contexts: readonly Context[], directory: string): string[] {
  const patterns = new Set<string>();
  for (const { localConf, globalConf } of contexts) {
    const file = globalConf['__file__'];
    for (const conf of [localConf, globalConf]) {
      for (const pattern of asList(conf[KEY] ?? '')) patterns.add(resolve(file ? dirname(file) : directory, pattern));
    }
  }
  return [...patterns];
}
