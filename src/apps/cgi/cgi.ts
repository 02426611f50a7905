/** Applications that are CGI scripts (RFC 3875): one of them, or those of a directory. A child process for each request. */
import { statSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { delimiter, isAbsolute, join } from 'node:path';
import { ConfigError, errorMessage } from '../../errors.ts';
import { isAtMount, type MountedRequest, pathEnd } from '../../http/mount.ts';
import { pathNames, targetPath } from '../../http/path-names.ts';
import { percentDecode } from '../../http/percent.ts';
import { answerPlain } from '../../http/plain-answer.ts';
import { type Logger, silentLogger } from '../../log.ts';
import type { App } from '../../protocol/types.ts';
import { withoutSecretParameters } from '../../secrets.ts';
import { fromWorkingDirectory } from '../../working-directory.ts';
import { DocumentRoot } from '../document-root.ts';
import { findScript } from './find-script.ts';
import { baseEnviron, type EnvironOptions, type ScriptTarget, scriptEnviron } from './script-environ.ts';
import { scriptProblem } from './script-problems.ts';
import { ScriptRun } from './script-run.ts';

/** What `cgi` and `cgiBin` both take. */
export interface CgiOptions {
  /** Variables that every script gets, whatever the request says. Default: none. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Give scripts the variables of this process too, but for those that could pass for a request's. Default: true. */
  readonly includeOsEnviron?: boolean;
  /** For PATH_TRANSLATED: what PATH_INFO means as the path of a file. Default: there is no such variable. */
  readonly documentRoot?: string | undefined;
  /**
   * Seconds that a script may neither read nor write, and that a client may take to send a body, plus a second for each 500
   * bytes of it; 0: for ever. Default: 60.
   */
  readonly timeout?: number;
  /** Scripts that run at once; a request beyond that is answered with 503. Default: 32. */
  readonly maxProcesses?: number;
  /** Where what scripts write to standard error goes, and what is wrong with them. Default: nowhere. */
  readonly log?: Logger;
}

/** What `cgi` takes. */
export interface CgiScriptOptions extends CgiOptions {
  /** The script, absolute or below one of the directories of `path`. */
  readonly script: string;
  /** Directories to look for the script in. Default: the working directory, then those of $PATH. */
  readonly path?: readonly string[] | undefined;
  /** A query that the script always gets, after the request's own. */
  readonly queryString?: string | undefined;
}

/** What `cgiBin` takes. */
export interface CgiBinOptions extends CgiOptions {
  /** The directory with the scripts. */
  readonly directory: string;
}

const TIMEOUT_S = 60;
const MAX_PROCESSES = 32;
const RETRY_AFTER_S = 1;
/** Scripts that ask for one another in place of an answer. */
const MAX_LOCAL_REDIRECTS = 10;

/** The script that a path below the mount leads to, or the status to answer with. */
type Find = (path: string, mount: string, atMount: boolean) => Promise<Omit<ScriptTarget, 'query'> | number>;

/**
 * An application that is one CGI script: each request starts it as a child process, without a shell.
 *
 * @throws ConfigError if there is no such script.
 * @see `paste.cgiapp.CGIApplication`
 */
export function cgi(options: CgiScriptOptions): App {
  const [file = '', ownQuery] = options.queryString === undefined ? options.script.split(/\?(.*)/s) : [options.script];
  const script = lookUp(file, options.path);
  const extra = options.queryString ?? ownQuery ?? '';
  const find: Find = async (path, mount, atMount) => {
    const asked = pathNames(path);
    if ('refused' in asked) return asked.refused;
    return { script, scriptName: percentDecode(mount), pathInfo: atMount ? '' : percentDecode(path) };
  };
  return scripts(find, options, (query) => [query, extra].filter((part) => part !== '').join('&'));
}

/**
 * An application that is a directory of CGI scripts: the path leads to the script, and what follows it is PATH_INFO. A
 * script that begins with `nph-` speaks HTTP itself.
 */
export function cgiBin(options: CgiBinOptions): App {
  const root = new DocumentRoot(options.directory);
  return scripts(
    (path, mount) => findScript(root, path, mount),
    options,
    (query) => query,
  );
}

function scripts(find: Find, options: CgiOptions, queryOf: (query: string) => string): App {
  const { timeout = TIMEOUT_S, maxProcesses = MAX_PROCESSES, log = silentLogger } = options;
  const environOptions: EnvironOptions = { includeOsEnviron: true, ...options };
  const base = baseEnviron(environOptions);
  const running = new Set<ScriptRun>();

  /** Runs what the target leads to. @returns the path that is to be answered with in its place, if any. */
  const run = async (
    req: MountedRequest,
    res: ServerResponse,
    url: string,
    redirected: boolean,
  ): Promise<string | undefined> => {
    const query = url.slice(pathEnd(url) + 1);
    const target = await find(targetPath(url), req.baseUrl ?? '', !redirected && isAtMount(req));
    const problem = typeof target === 'number' ? undefined : await scriptProblem(target.script);
    // While this was found out, the client may have gone.
    if (res.destroyed || res.closed) return undefined;
    if (typeof target === 'number') {
      answerPlain(res, target);
      return undefined;
    }
    const { script } = target;
    if (problem !== undefined) {
      log.error(`${script}: ${problem}`);
      answerPlain(res, 500);
      return undefined;
    }
    if (running.size >= maxProcesses) {
      log.warn(`${script}: ${running.size} scripts run already`);
      answerPlain(res, 503, { 'retry-after': String(RETRY_AFTER_S) });
      return undefined;
    }
    const environ = {
      ...base,
      ...scriptEnviron(req, { ...target, query: queryOf(query) }, environOptions, redirected),
      ...options.environment,
    };
    let one: ScriptRun;
    try {
      one = new ScriptRun({ script, environ, body: redirected ? undefined : req, res, timeout, log });
    } catch (error) {
      log.error(`${script}: it cannot be run: ${errorMessage(error)}`);
      answerPlain(res, 500);
      return undefined;
    }
    running.add(one);
    try {
      return await one.finished;
    } finally {
      running.delete(one);
    }
  };

  const app: App = async (req: MountedRequest, res) => {
    const mount = req.baseUrl ?? '';
    let location = await run(req, res, req.url ?? '/', false);
    for (let count = 1; location !== undefined; count++) {
      if (res.destroyed || res.closed) return;
      if (location !== mount && !location.startsWith(`${mount}/`)) {
        // Another application's: only the client can ask that one.
        answerPlain(res, 302, { location });
        return;
      }
      if (count > MAX_LOCAL_REDIRECTS) {
        log.error(
          `${withoutSecretParameters(req.originalUrl ?? req.url ?? '')}: ${count} local redirects, the last one to ${location}`,
        );
        answerPlain(res, 502);
        return;
      }
      location = await run(req, res, location.slice(mount.length) || '/', true);
    }
  };
  app.close = async () => {
    for (const one of running) one.stop();
    await Promise.all([...running].map((one) => one.finished));
  };
  return app;
}

function lookUp(script: string, path: readonly string[] | undefined): string {
  const directories = path ?? ['', ...(process.env['PATH'] ?? '').split(delimiter)];
  const candidates = isAbsolute(script)
    ? [script]
    : directories.map((directory) => fromWorkingDirectory(join(directory, script)));
  const found = candidates.find(isFile);
  if (found !== undefined) return found;
  throw new ConfigError('PASTER_CGI_SCRIPT', `there is no script ${script}`, {
    setting: 'script',
    path: candidates[0],
    hint: isAbsolute(script) ? undefined : `looked for below ${directories.map(fromWorkingDirectory).join(', ')}`,
  });
}

/** A directory that this process may not search, or that leads nowhere, is passed over, as a shell does with those of PATH. */
function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
