/** What the processes of a server in development share, and what its clients see. Loaded in production too. */
import { debugFlags } from '../../config/debug.ts';
import type { Settings } from '../../protocol/types.ts';

/** What the workers of one server have in common. */
export interface Development {
  /** Signs the places that an editor may be opened at. */
  readonly secret: string;
  /** Changes with each reload; pages that belong to another version reload themselves. Absent: pages do not. */
  readonly version?: string | undefined;
}

/**
 * Whether the application gets the error page and what else developers see in the browser: `debug` decides, and without it
 * `--reload`. @throws ConfigError for a value that is neither true nor false.
 */
export function hasDeveloperTools(globalConf: Settings, isReloading: boolean): boolean {
  return globalConf['debug'] === undefined ? isReloading : debugFlags(globalConf).debug;
}

/** Whether `serve_traceback` keeps errors from clients. They are shown by default, since this is for development. */
export function hidesErrors(globalConf: Settings): boolean {
  try {
    return globalConf['serve_traceback'] !== undefined && !debugFlags(globalConf).serveTraceback;
  } catch {
    // This setting may be the error.
    return false;
  }
}

/** Made once for a server. */
export function newDevelopment(): Development {
  return { secret: randomText(32) };
}

/** The same server after a reload. @param reloadsPages whether pages reload themselves. */
export function nextVersion({ secret }: Development, reloadsPages: boolean): Development {
  return { secret, version: reloadsPages ? randomText(9) : undefined };
}

function randomText(bytes: number): string {
  // Loaded late, since it takes 2 ms that a server in production does not need.
  return process.getBuiltinModule('node:crypto').randomBytes(bytes).toString('base64url');
}
