/**
 * Which URL an application sees, by the CGI variables of a request.
 *
 * The rule: an application routes on the path below the point where the web server has mounted it. In CGI that point is
 * SCRIPT_NAME and the rest is PATH_INFO (RFC 3875 sections 4.1.5 and 4.1.13; PEP 3333 "environ Variables"), so that
 * SCRIPT_NAME + PATH_INFO is the path that the client requested. Hence:
 *
 * - PATH_INFO is not empty: `url` is PATH_INFO, `baseUrl` is SCRIPT_NAME. Both are decoded, and a decoded path has lost
 *   the difference between `/` and `%2F`; so where SCRIPT_NAME + PATH_INFO is what a web server makes of the path of
 *   REQUEST_URI (see `isReadingOf`), the client's spelling is kept, and otherwise (the web server has rewritten the path)
 *   PATH_INFO is encoded again. Lighttpd's `"/proxy" => (...)` sends this: `/proxy/service?x` is `/service?x` for the
 *   application.
 * - except where the path of REQUEST_URI is PATH_INFO alone: the web server has put a script in front of it that the client
 *   knows nothing of, such as a `.htaccess` with `RewriteRule ^(.*)$ index.fcgi/$1`. `url` is the path of REQUEST_URI, and
 *   `baseUrl` is empty.
 * - PATH_INFO is empty or absent: the web server does not split the path. nginx's stock fastcgi_params put the whole path
 *   into SCRIPT_NAME and send no PATH_INFO; many configurations add an empty one. `url` is the whole path of
 *   REQUEST_URI (without it SCRIPT_NAME encoded), `baseUrl` is empty.
 * - except from Lighttpd and in CGI, which always split: SCRIPT_NAME `/proxy` alone is then the mount itself, and `url` is
 *   `/`.
 *
 * Lighttpd mounted at `/` without `fix-root-scriptname` cuts after the first segment: `/a/b` becomes SCRIPT_NAME `/a` and
 * PATH_INFO `/b`, just as if the mount were `/a` (seen with 1.4.69). The environment does not distinguish the two, so either
 * that switch or `mount` is needed: with `mount`, the path is joined and split again there.
 *
 * Apache cuts SCRIPT_NAME before the last double slash instead of where PATH_INFO begins: `/shop/a//b` becomes SCRIPT_NAME
 * `/shop/a` and PATH_INFO `/a//b` (seen with 2.4.71).
 *
 * `originalUrl` is the target as the client sent it. `baseUrl` and `originalUrl` are the names that Express uses.
 */
import { percentDecode, percentEncodePath } from '../http/url-path.ts';

export interface TargetVariables {
  requestUri: string | undefined;
  scriptName: string;
  pathInfo: string | undefined;
  queryString: string;
  serverSoftware: string;
  /** SCRIPT_NAME is the mount even if PATH_INFO is empty. */
  isSplit?: boolean;
  /** Where the application is mounted, instead of what the web server says; `''` is the root. */
  mount?: string | undefined;
}

export interface RequestTarget {
  readonly url: string;
  readonly baseUrl: string;
  readonly originalUrl: string;
}

// RFC 9112 section 3.2: a target has neither blanks nor control characters; Node's parser refuses them as well.
const NOT_IN_TARGET = /[\0-\x20\x7f]/;

/** A request target that is allowed in a request line; undefined for anything else. */
function cleanTarget(uri: string | undefined): string | undefined {
  if (uri === undefined || uri === '' || NOT_IN_TARGET.test(uri)) return undefined;
  return uri;
}

/** The URL, the mount and the original target that a set of variables describes. */
export function requestTarget(given: TargetVariables): RequestTarget {
  const uri = cleanTarget(given.requestUri);
  const variables = withoutOverlap(given, uri);
  if (variables.mount !== undefined) return splitAt(variables.mount, variables, uri);
  const { pathInfo } = variables;
  if (pathInfo === undefined || pathInfo === '') {
    const splits = variables.isSplit || isLighttpd(variables.serverSoftware);
    const atMount = splits && trimSlash(variables.scriptName) !== '';
    if (!atMount) {
      const url = uri ?? withQuery(percentEncodePath(variables.scriptName || '/'), variables.queryString);
      return { url, baseUrl: '', originalUrl: url };
    }
  }
  return split(trimSlash(variables.scriptName), pathInfo ?? '', variables, uri);
}

/** The variables without what SCRIPT_NAME of Apache has of PATH_INFO. */
function withoutOverlap(variables: TargetVariables, uri: string | undefined): TargetVariables {
  const { scriptName, pathInfo = '', serverSoftware } = variables;
  if (!pathInfo.includes('//') || !serverSoftware.startsWith('Apache')) return variables;
  let end = pathInfo.lastIndexOf('//');
  while (pathInfo[end - 1] === '/') end--;
  const overlap = pathInfo.slice(0, end);
  if (overlap === '' || !scriptName.endsWith(overlap)) return variables;
  if (uri !== undefined && spelledBelow(uri, '', scriptName + pathInfo) !== undefined) return variables;
  return { ...variables, scriptName: scriptName.slice(0, -overlap.length) };
}

/** Splits the whole path at `mount` if it is below it. */
function splitAt(mount: string, variables: TargetVariables, uri: string | undefined): RequestTarget {
  const { scriptName: prefix, pathInfo = '' } = variables;
  const path = (pathInfo.startsWith('/') ? prefix.replace(/\/$/, '') : prefix) + pathInfo;
  const scriptName = trimSlash(mount);
  const below = path === scriptName || path.startsWith(`${scriptName}/`);
  return split(below ? scriptName : '', below ? path.slice(scriptName.length) : path, variables, uri);
}

function split(
  scriptName: string,
  pathInfo: string,
  variables: TargetVariables,
  uri: string | undefined,
): RequestTarget {
  // Without its slash it would not be a path (seen from web servers mounted at "/").
  const rest = pathInfo.startsWith('/') ? pathInfo : `/${pathInfo}`;
  const kept = uri === undefined ? undefined : spelledBelow(uri, scriptName, rest);
  if (uri !== undefined && kept === undefined && variables.mount === undefined) {
    const url = spelledBelow(uri, '', rest);
    if (url !== undefined) return { url, baseUrl: '', originalUrl: uri };
  }
  const url = kept ?? withQuery(percentEncodePath(rest), variables.queryString);
  const baseUrl = percentEncodePath(scriptName);
  return { url, baseUrl, originalUrl: uri ?? baseUrl + url };
}

/** The part of `uri` below the mount, as the client spelled it, if `rest` is a reading of it. */
function spelledBelow(uri: string, scriptName: string, rest: string): string | undefined {
  const absolute = /^[a-z][a-z0-9+.-]*:\/\/[^/?]*/i.exec(uri);
  const target = absolute === null ? uri : uri.slice(absolute[0].length);
  const query = target.indexOf('?');
  const path = query === -1 ? target : target.slice(0, query);
  const tail = query === -1 ? '' : target.slice(query);
  if (scriptName === '') return isReadingOf(path, rest) ? target : undefined;
  if (percentDecode(path) === scriptName && rest === '/') return `/${tail}`;
  if (!isReadingOf(path, scriptName + rest)) return undefined;
  // As many segments as the mount has, however they are spelled.
  let end = -1;
  for (let slashes = scriptName.split('/').length; slashes > 0; slashes--) {
    end = path.indexOf('/', end + 1);
    if (end === -1) return undefined;
  }
  return percentDecode(path.slice(0, end)) === scriptName ? path.slice(end) + tail : undefined;
}

/**
 * Whether `reading` is a web server's reading of `path`: percent-decoded, or not, or all but `%2F` (Apache with
 * `AllowEncodedSlashes NoDecode`), and perhaps with successive slashes merged (Lighttpd, nginx without `merge_slashes off`,
 * Apache's walk through directories). A path whose dots were resolved is a different one.
 */
function isReadingOf(path: string, reading: string): boolean {
  const plain = percentDecode(path);
  if (plain === reading) return true;
  const merged = mergeSlashes(plain);
  if (merged === reading) return true;
  const decoded = percentDecode(reading);
  return decoded === plain || decoded === merged;
}

function mergeSlashes(path: string): string {
  return path.includes('//') ? path.replace(/\/{2,}/g, '/') : path;
}

function trimSlash(scriptName: string): string {
  const trimmed = scriptName.endsWith('/') ? scriptName.slice(0, -1) : scriptName;
  return trimmed === '' || trimmed.startsWith('/') ? trimmed : `/${trimmed}`;
}

function withQuery(path: string, queryString: string): string {
  if (queryString === '' || NOT_IN_TARGET.test(queryString)) return path;
  return `${path}?${queryString}`;
}

export function isLighttpd(serverSoftware: string): boolean {
  return serverSoftware.startsWith('lighttpd');
}

export function isCaddy(serverSoftware: string): boolean {
  return serverSoftware.startsWith('Caddy');
}
