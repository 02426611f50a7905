/**
 * `debug = true` in [DEFAULT], and one global setting for each thing that it changes. The names are Tornado's
 * (tornado.web.Application, "debug" and the settings after it), and each of them overrides `debug`.
 */
import { ConfigError } from '../errors.ts';
import { asBool } from './settings/convert.ts';

/** Settings for development, read from the global configuration. */
export interface DebugFlags {
  /** `debug`. Default: false. */
  readonly debug: boolean;
  /** `autoreload`: `paster serve` reloads as with `--reload`. Default: false, even with `debug`, since it starts processes. */
  readonly autoreload: boolean;
  /** `browser_reload`: with reload, pages reload themselves in the browser. Default: true. */
  readonly browserReload: boolean;
  /** `serve_traceback`: clients see errors with their stack and source code. Default: `debug`. */
  readonly serveTraceback: boolean;
  /** `static_hash_cache`: the hashes of static files are cached. Default: not `debug`. */
  readonly staticHashCache: boolean;
  /** `compiled_template_cache`: an application caches its compiled templates. Default: not `debug`. */
  readonly compiledTemplateCache: boolean;
}

/**
 * Reads the flags from a global configuration, as a factory gets it.
 *
 * @throws ConfigError for a value that is neither true nor false.
 */
export function debugFlags(globalConf: Readonly<Record<string, string>>): DebugFlags {
  const debug = readFlag(globalConf, 'debug', false);
  return {
    debug,
    autoreload: readFlag(globalConf, 'autoreload', false),
    browserReload: readFlag(globalConf, 'browser_reload', true),
    serveTraceback: readFlag(globalConf, 'serve_traceback', debug),
    staticHashCache: readFlag(globalConf, 'static_hash_cache', !debug),
    compiledTemplateCache: readFlag(globalConf, 'compiled_template_cache', !debug),
  };
}

function readFlag(globalConf: Readonly<Record<string, string>>, name: string, otherwise: boolean): boolean {
  const text = globalConf[name];
  if (text === undefined) return otherwise;
  try {
    return asBool(text);
  } catch (cause) {
    throw new ConfigError('PASTER_DEBUG_FLAG', `[DEFAULT] ${name}: "${text}" is neither true nor false`, {
      hint: 'allowed: true yes on y t 1, or false no off n f 0',
      cause,
    });
  }
}
