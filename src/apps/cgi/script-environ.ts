/** The environment of a CGI script (RFC 3875 section 4.1): the gateway's table, read in the other direction. */
import { isUtf8 } from 'node:buffer';
import { environFromRequest } from '../../gateway/environ.ts';
import type { MountedRequest } from '../../http/mount.ts';

/** Which script is asked, and for what. Texts are bytes decoded as latin-1. */
export interface ScriptTarget {
  readonly script: string;
  /** The script's own path, decoded. */
  readonly scriptName: string;
  /** The path below it, decoded; empty where the client asked for the script itself. */
  readonly pathInfo: string;
  readonly query: string;
}

/** What is the same for all requests. */
export interface EnvironOptions {
  /** Variables that every script gets, whatever the request says. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Give it the variables of this process too. */
  readonly includeOsEnviron: boolean;
  /** For PATH_TRANSLATED: what PATH_INFO means as the path of a file. */
  readonly documentRoot?: string | undefined;
}

/** Variables of the process that would pass for those of a request, or for descriptors that a script does not have. */
const NOT_INHERITED =
  /^(?:HTTP_|SERVER_|REMOTE_|SSL_|REDIRECT_|LISTEN_(?:FDS|PID|FDNAMES)$|NOTIFY_SOCKET$|WATCHDOG_|(?:AUTH_TYPE|CONTENT_LENGTH|CONTENT_TYPE|DOCUMENT_ROOT|GATEWAY_INTERFACE|HTTPS|PATH_INFO|PATH_TRANSLATED|QUERY_STRING|REQUEST_METHOD|REQUEST_SCHEME|REQUEST_URI|SCRIPT_FILENAME|SCRIPT_NAME)$)/;

/** What the web server, or a filter, has found out about the client; not to be had from the request's head. */
const FOUND_OUT = ['AUTH_TYPE', 'REMOTE_USER', 'REMOTE_IDENT', 'REMOTE_HOST'];

/** What does not depend on the request. PATH is always there, for `#!/usr/bin/env`. */
export function baseEnviron({ includeOsEnviron }: EnvironOptions): Record<string, string> {
  const base: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (value === undefined || NOT_INHERITED.test(name)) continue;
    if (includeOsEnviron || name === 'PATH') base[name] = value;
  }
  return base;
}

/**
 * @param redirected this is the GET that another script has asked for (section 6.2.2): the client's body is spent.
 */
export function scriptEnviron(
  req: MountedRequest,
  target: ScriptTarget,
  options: EnvironOptions,
  redirected: boolean,
): Record<string, string> {
  const { documentRoot } = options;
  const environ = environFromRequest(req, { scriptName: target.scriptName });
  environ['SCRIPT_FILENAME'] = target.script;
  environ['QUERY_STRING'] = target.query;
  environ['PATH_INFO'] = target.pathInfo;
  if (documentRoot !== undefined) {
    environ['DOCUMENT_ROOT'] = documentRoot;
    if (target.pathInfo !== '') environ['PATH_TRANSLATED'] = documentRoot + target.pathInfo;
  }
  // A php-cgi that is built with force-cgi-redirect runs only where a web server has sent it a request.
  environ['REDIRECT_STATUS'] = '200';
  for (const name of FOUND_OUT) {
    const value = req.environ?.[name];
    if (value !== undefined && value !== '') environ[name] = value;
  }
  // It has served its purpose (section 4.1.18); where nobody has asked for it, it is for the script to judge.
  if (environ['AUTH_TYPE'] !== undefined) delete environ['HTTP_AUTHORIZATION'];
  if (redirected) {
    environ['REQUEST_METHOD'] = 'GET';
    delete environ['CONTENT_LENGTH'];
    delete environ['CONTENT_TYPE'];
  }
  for (const [name, value] of Object.entries(environ)) environ[name] = asText(value);
  return environ;
}

/** Node writes an environment as UTF-8. Bytes that are none come out as the characters they are in latin-1. */
function asText(value: string): string {
  if (!/[\x80-\xff]/.test(value)) return value;
  const bytes = Buffer.from(value, 'latin1');
  return isUtf8(bytes) ? bytes.toString('utf8') : value;
}
