/** Applications that run CGI scripts (RFC 3875): a single one or those of a directory. Each request starts a child process. */
import type { ServerResponse } from 'node:http';
import { delimiter, isAbsolute, join } from 'node:path';
import { ConfigError, errorMessage } from '../../errors.ts';
import { isExistingFile } from '../../files/existing-path.ts';
import { sendPlainText } from '../../http/error-response.ts';
import { isAtMount, type MountedRequest } from '../../http/mount.ts';
import { pathEnd, pathNames, percentDecode, targetPath } from '../../http/url-path.ts';
import { type Logger, silentLogger } from '../../log.ts';
import type { App } from '../../protocol/types.ts';
import { withoutSecretParameters } from '../../secrets.ts';
import { fromWorkingDirectory } from '../../working-directory.ts';
import { DocumentRoot } from '../document-root.ts';
import { baseEnviron, type EnvironOptions, type ScriptTarget, scriptEnviron } from './script-environ.ts';
import { findScript, scriptProblem } from './script-file.ts';
import { ScriptRun } from './script-run.ts';

/** Options of both `cgi` and `cgiBin`. */
export interface CgiOptions {
  /** Variables for every script; they override those of the request. Default: none. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Pass on the variables of this process too, except those that a script could take for the request's. Default: true. */
  readonly includeOsEnviron?: boolean;
  /** The directory below which PATH_TRANSLATED locates PATH_INFO. Default: there is no such variable. */
  readonly documentRoot?: string | undefined;
  /**
   * Seconds that a script may neither read nor write, and that a client may take to send a body, plus a second for each 500
   * bytes of it; 0: no limit. Default: 60.
   */
  readonly timeout?: number;
  /** How many scripts may run at once; further requests get 503. Default: 32. */
  readonly maxProcesses?: number;
  /** Gets what scripts write to standard error, and why scripts fail. Default: no log. */
  readonly log?: Logger;
}

/** Options of `cgi`. */
export interface CgiScriptOptions extends CgiOptions {
  /** The script, absolute or below one of the directories of `path`. */
  readonly script: string;
  /** Directories to look for the script in. Default: the working directory, then those of $PATH. */
  readonly path?: readonly string[] | undefined;
  /** A query to append to the request's own. */
  readonly queryString?: string | undefined;
}

/** Options of `cgiBin`. */
export interface CgiBinOptions extends CgiOptions {
  /** The directory with the scripts. */
  readonly directory: string;
}

/** The defaults of the options, and of the settings of an INI file. */
export const CGI_DEFAULTS = { timeout: 60, maxProcesses: 32 } as const;
const RETRY_AFTER_S = 1;
/** Redirects from script to script for one request. */
const MAX_LOCAL_REDIRECTS = 10;

/** Finds the script that a path below the mount leads to, or the status to respond with. */
type FindScript = (path: string, mount: string, atMount: boolean) => Promise<Omit<ScriptTarget, 'query'> | number>;

/**
 * An application that runs a CGI script for each request, as a child process, without a shell.
 *
 * @throws ConfigError if there is no such script.
 * @see `paste.cgiapp.CGIApplication`
 */
export function cgi(options: CgiScriptOptions): App {
  const [file = '', ownQuery] = options.queryString === undefined ? options.script.split(/\?(.*)/s) : [options.script];
  const script = locateScript(file, options.path);
  const extra = options.queryString ?? ownQuery ?? '';
  const find: FindScript = async (path, mount, atMount) => {
    const parsed = pathNames(path);
    if ('refused' in parsed) return parsed.refused;
    return { script, scriptName: percentDecode(mount), pathInfo: atMount ? '' : percentDecode(path) };
  };
  return scriptApp(find, options, (query) => [query, extra].filter((part) => part !== '').join('&'));
}

/**
 * An application that runs the CGI scripts of a directory: the path leads to the script, and the rest of it is PATH_INFO. A
 * script whose name begins with `nph-` speaks HTTP itself.
 */
export function cgiBin(options: CgiBinOptions): App {
  const root = new DocumentRoot(options.directory);
  return scriptApp(
    (path, mount) => findScript(root, path, mount),
    options,
    (query) => query,
  );
}

function scriptApp(find: FindScript, options: CgiOptions, queryOf: (query: string) => string): App {
  const { log = silentLogger } = options;
  const runner = new ScriptRunner(find, options, queryOf);
  const app: App = async (req: MountedRequest, res) => {
    const mount = req.baseUrl ?? '';
    let location = await runner.run(req, res, req.url ?? '/', false);
    for (let count = 1; location !== undefined; count++) {
      if (res.destroyed || res.closed) return;
      if (location !== mount && !location.startsWith(`${mount}/`)) {
        // The path may be another application's, so the client has to request it.
        sendPlainText(res, 302, { location });
        return;
      }
      if (count > MAX_LOCAL_REDIRECTS) {
        log.error(
          `${withoutSecretParameters(req.originalUrl ?? req.url ?? '')}: ${count} local redirects, the last one to ${location}`,
        );
        sendPlainText(res, 502);
        return;
      }
      location = await runner.run(req, res, location.slice(mount.length) || '/', true);
    }
  };
  app.close = () => runner.close();
  return app;
}

/** Runs scripts, a limited number of them at once. */
class ScriptRunner {
  readonly #find: FindScript;
  readonly #options: CgiOptions;
  readonly #queryOf: (query: string) => string;
  readonly #environOptions: EnvironOptions;
  readonly #base: Readonly<Record<string, string>>;
  readonly #log: Logger;
  readonly #running = new Set<ScriptRun>();

  constructor(find: FindScript, options: CgiOptions, queryOf: (query: string) => string) {
    this.#find = find;
    this.#options = options;
    this.#queryOf = queryOf;
    this.#environOptions = { includeOsEnviron: true, ...options };
    this.#base = baseEnviron(this.#environOptions);
    this.#log = options.log ?? silentLogger;
  }

  /** Runs the script for a URL and sends its response. @returns the path of a local redirect, if the script asks for one. */
  async run(req: MountedRequest, res: ServerResponse, url: string, redirected: boolean): Promise<string | undefined> {
    const target = await this.#find(targetPath(url), req.baseUrl ?? '', !redirected && isAtMount(req));
    const problem = typeof target === 'number' ? undefined : await scriptProblem(target.script);
    // The client may have closed the connection meanwhile.
    if (res.destroyed || res.closed) return undefined;
    if (typeof target === 'number') {
      sendPlainText(res, target);
      return undefined;
    }
    if (problem !== undefined) return this.#fail(res, target.script, problem);
    const { maxProcesses = CGI_DEFAULTS.maxProcesses } = this.#options;
    if (this.#running.size >= maxProcesses) {
      this.#log.warn(`${target.script}: ${this.#running.size} scripts are already running`);
      sendPlainText(res, 503, { 'retry-after': String(RETRY_AFTER_S) });
      return undefined;
    }
    return this.#start(req, res, { ...target, query: this.#queryOf(url.slice(pathEnd(url) + 1)) }, redirected);
  }

  async #start(
    req: MountedRequest,
    res: ServerResponse,
    target: ScriptTarget,
    redirected: boolean,
  ): Promise<string | undefined> {
    const { script } = target;
    const { timeout = CGI_DEFAULTS.timeout, environment } = this.#options;
    const environ = {
      ...this.#base,
      ...scriptEnviron(req, target, this.#environOptions, redirected),
      ...environment,
    };
    let scriptRun: ScriptRun;
    try {
      const body = redirected ? undefined : req;
      scriptRun = new ScriptRun({ script, environ, body, res, timeout, log: this.#log });
    } catch (error) {
      return this.#fail(res, script, `it cannot be run: ${errorMessage(error)}`);
    }
    this.#running.add(scriptRun);
    try {
      return await scriptRun.finished;
    } finally {
      this.#running.delete(scriptRun);
    }
  }

  #fail(res: ServerResponse, script: string, problem: string): undefined {
    this.#log.error(`${script}: ${problem}`);
    sendPlainText(res, 500);
  }

  async close(): Promise<void> {
    for (const scriptRun of this.#running) scriptRun.stop();
    await Promise.all([...this.#running].map(({ finished }) => finished));
  }
}

function locateScript(script: string, path: readonly string[] | undefined): string {
  const directories = path ?? ['', ...(process.env['PATH'] ?? '').split(delimiter)];
  const candidates = isAbsolute(script)
    ? [script]
    : directories.map((directory) => fromWorkingDirectory(join(directory, script)));
  const found = candidates.find(isExistingFile);
  if (found !== undefined) return found;
  throw new ConfigError('PASTER_CGI_SCRIPT', `there is no script ${script}`, {
    setting: 'script',
    path: candidates[0],
    hint: isAbsolute(script) ? undefined : `searched below ${directories.map(fromWorkingDirectory).join(', ')}`,
  });
}
