/**
 * `debug = true` in [DEFAULT], and one global setting for each thing that it changes: the names are Tornado's
 * (tornado.web.Application, "debug" and what follows it), and each of them by itself wins over `debug`.
 */
import { ConfigError } from '../errors.ts';
import { asBool } from './convert.ts';

/** What a developer wants to be different, read from the global configuration. */
export interface DebugFlags {
  /** `debug`: false unless it is said. */
  readonly debug: boolean;
  /** `autoreload`: `paster serve` reloads as with `--reload`. Not implied by `debug`, which alone starts no process. */
  readonly autoreload: boolean;
  /** `serve_traceback`: an error is shown to the client, with its stack and its sources. Default: `debug`. */
  readonly serveTraceback: boolean;
  /** `static_hash_cache`: the hashes of static files are kept. Default: not `debug`. */
  readonly staticHashCache: boolean;
  /** `compiled_template_cache`: an application keeps the templates that it has compiled. Default: not `debug`. */
  readonly compiledTemplateCache: boolean;
}

/**
 * The flags of a global configuration, as a factory gets it.
 *
 * @throws ConfigError for a value that is neither true nor false.
 */
export function debugFlags(globalConf: Readonly<Record<string, string>>): DebugFlags {
  const debug = flag(globalConf, 'debug', false);
  return {
    debug,
    autoreload: flag(globalConf, 'autoreload', false),
    serveTraceback: flag(globalConf, 'serve_traceback', debug),
    staticHashCache: flag(globalConf, 'static_hash_cache', !debug),
    compiledTemplateCache: flag(globalConf, 'compiled_template_cache', !debug),
  };
}

function flag(globalConf: Readonly<Record<string, string>>, name: string, otherwise: boolean): boolean {
  const text = globalConf[name];
  if (text === undefined) return otherwise;
  try {
    return asBool(text);
  } catch (cause) {
    throw new ConfigError('PASTER_DEBUG_FLAG', `[DEFAULT] ${name}: "${text}" is neither true nor false`, {
      hint: 'true yes on y t 1, or false no off n f 0',
      cause,
    });
  }
}
