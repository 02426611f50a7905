/** Node's cache of compiled code (Node 22.8 and later), in a directory of paster's own in the user's cache. */
import { mkdirSync, realpathSync } from 'node:fs';
import nodeModule from 'node:module';
import { join } from 'node:path';
import { exposureOf } from '../../files/path-steps.ts';

/** Does nothing if Node has no such cache, or if there is no directory that only this user can write to. */
export function enableCompileCache(): void {
  const { enableCompileCache: enable } = nodeModule as {
    readonly enableCompileCache?: (directory: string) => unknown;
  };
  const { NODE_COMPILE_CACHE, NODE_DISABLE_COMPILE_CACHE, NODE_V8_COVERAGE } = process.env;
  // Coverage of code from the cache is less exact.
  if (!enable || NODE_COMPILE_CACHE || NODE_DISABLE_COMPILE_CACHE || NODE_V8_COVERAGE) return;
  const directory = cacheDirectory();
  if (directory !== undefined) enable(directory);
}

/** Compiled code is executed, so for root, a directory that belongs to another user must not be used. */
function cacheDirectory(): string | undefined {
  const { XDG_CACHE_HOME, HOME } = process.env;
  const cache = XDG_CACHE_HOME?.startsWith('/') ? XDG_CACHE_HOME : HOME?.startsWith('/') && join(HOME, '.cache');
  if (!cache) return undefined;
  try {
    const found = realpathSync(cache);
    if (isExposed(found)) return undefined;
    const directory = join(found, 'paster', 'compile');
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    return isExposed(directory) ? undefined : directory;
  } catch {
    // Missing, or read-only: it works without.
    return undefined;
  }
}

function isExposed(directory: string): boolean {
  const { exposedAbove, exposedInside } = exposureOf(directory);
  return exposedAbove !== undefined || exposedInside;
}
