/** The environment of a CGI script (RFC 3875 section 4.1). */
import { isUtf8 } from 'node:buffer';
import { environFromRequest } from '../../gateway/environ.ts';
import type { MountedRequest } from '../../http/mount.ts';

/** The script for a request, and the parts of the URL. Texts are bytes decoded as latin-1. */
export interface ScriptTarget {
  readonly script: string;
  /** The script's own path, decoded. */
  readonly scriptName: string;
  /** The path below it, decoded; empty where the client asked for the script itself. */
  readonly pathInfo: string;
  readonly query: string;
}

/** Options that are the same for all requests. */
export interface EnvironOptions {
  /** Variables for every script; they override those of the request. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Pass on the variables of this process too. */
  readonly includeOsEnviron: boolean;
  /** For PATH_TRANSLATED: what PATH_INFO means as the path of a file. */
  readonly documentRoot?: string | undefined;
}

/** Variables of this process that a script could take for the request's, or for descriptors that it does not have. */
const NOT_INHERITED =
  /^(?:HTTP_|SERVER_|REMOTE_|SSL_|REDIRECT_|LISTEN_(?:FDS|PID|FDNAMES)$|NOTIFY_SOCKET$|WATCHDOG_|(?:AUTH_TYPE|CONTENT_LENGTH|CONTENT_TYPE|DOCUMENT_ROOT|GATEWAY_INTERFACE|HTTPS|PATH_INFO|PATH_TRANSLATED|QUERY_STRING|REQUEST_METHOD|REQUEST_SCHEME|REQUEST_URI|SCRIPT_FILENAME|SCRIPT_NAME)$)/;

/** Variables about the client from the web server or a filter, which the request's head does not contain. */
const CLIENT_VARIABLES = ['AUTH_TYPE', 'REMOTE_USER', 'REMOTE_IDENT', 'REMOTE_HOST'];

/** The variables that do not depend on the request. PATH is always one, for `#!/usr/bin/env`. */
export function baseEnviron({ includeOsEnviron }: EnvironOptions): Record<string, string> {
  const base: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (value === undefined || NOT_INHERITED.test(name)) continue;
    if (includeOsEnviron || name === 'PATH') base[name] = value;
  }
  return base;
}

/**
 * @param redirected whether this is the GET of a local redirect (section 6.2.2), for which the client's body is already used.
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
  // php-cgi built with force-cgi-redirect runs only if this variable shows that a web server started it.
  environ['REDIRECT_STATUS'] = '200';
  for (const name of CLIENT_VARIABLES) {
    const value = req.environ?.[name];
    if (value !== undefined && value !== '') environ[name] = value;
  }
  // paster or the web server has already verified it (section 4.1.18). Without AUTH_TYPE the script may do so itself.
  if (environ['AUTH_TYPE'] !== undefined) delete environ['HTTP_AUTHORIZATION'];
  if (redirected) {
    environ['REQUEST_METHOD'] = 'GET';
    delete environ['CONTENT_LENGTH'];
    delete environ['CONTENT_TYPE'];
  }
  for (const [name, value] of Object.entries(environ)) environ[name] = asEnvironText(value);
  return environ;
}

/** Node encodes an environment as UTF-8. Bytes that are not valid UTF-8 are passed as latin-1 characters. */
function asEnvironText(value: string): string {
  if (!/[\x80-\xff]/.test(value)) return value;
  const bytes = Buffer.from(value, 'latin1');
  return isUtf8(bytes) ? bytes.toString('utf8') : value;
}
