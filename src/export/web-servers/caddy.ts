/** `paster export caddy`: a site for a Caddyfile, or a complete Caddyfile. */
import { join } from 'node:path';
import type { StaticRoot } from '../app-layout.ts';
import type { Backend } from '../deployment.ts';
import { exportError, hostPort, type Site } from '../site.ts';
import { caddyPath, caddySocket, escapeRegex, indented, lines } from '../text.ts';
import { cacheControl, clientHeaders, dotfilePath, filePath, filesNote, IMMUTABLE, servedRoots } from './common.ts';

export function caddySite(site: Site): string {
  const { scheme, prefix, stateDir, maxBodyMiB } = site;
  if (scheme === 'scgi') throw exportError('Caddy speaks no SCGI', 'serve FastCGI or HTTP');
  const mounted = lines('request_body {', `  max_size ${maxBodyMiB}MiB`, '}', reverseProxy(site));
  const roots = caddyRoots(site);
  const handled =
    prefix === ''
      ? lines('handle {', indented(mounted), '}')
      : lines(
          `@mount path_regexp ${mountPath(prefix)}`,
          'handle @mount {',
          ...atMount(site).map((line) => `  ${line}`),
          indented(mounted),
          '}',
          'handle {',
          '  respond 404',
          '}',
        );
  return lines(
    `# ${scheme} at ${prefix === '' ? 'the root' : prefix}`,
    filesNote(site, roots),
    stateDir === undefined ? undefined : globals(stateDir),
    `${addressOf(site)} {`,
    site.listen.host === '0.0.0.0' ? undefined : `  bind ${site.listen.host}`,
    ...roots.map((root, index) => indented(staticFiles(prefix, root, index + 1))),
    indented(handled),
    scheme === 'fastcgi' ? undefined : indented(tooLarge(maxBodyMiB)),
    '}',
  );
}

/** Without directories that Caddy's file matcher would take for patterns. */
export function caddyRoots(site: Site): readonly StaticRoot[] {
  return servedRoots(site, { compressed: true }).filter(({ directory }) => !/[*?[]/.test(directory));
}

/** A regular expression for the paths below a prefix, since Caddy's path patterns ignore case. */
export function mountPath(prefix: string): string {
  return `^${escapeRegex(prefix)}(/|$)`;
}

/** Caddy may respond with 502 if a body exceeds the limit while it is sent. */
function tooLarge(maxBodyMiB: number): string {
  return lines('handle_errors {', `  @large expression \`${isLarge(maxBodyMiB)}\``, '  respond @large 413', '}');
}

/** An expression for requests whose Content-Length exceeds the limit. */
export function isLarge(maxBodyMiB: number): string {
  const length = '{http.request.header.Content-Length}';
  return `${length}.matches("^[0-9]{1,15}$") && int(${length}) > ${maxBodyMiB * 1024 * 1024}`;
}

/**
 * Over HTTP a rewrite removes the prefix, since `strip_prefix` would change the encoding of the rest. Over FastCGI the
 * application has the client's encoding in another variable. The prefix alone becomes "/", since an application takes
 * SCRIPT_NAME without PATH_INFO for the whole path.
 */
function atMount({ scheme, prefix, removedPrefix }: Site): string[] {
  if (scheme !== 'fastcgi') return removedPrefix === '' ? [] : [`uri path_regexp ^${escapeRegex(prefix)}/? /`];
  return [`rewrite ${prefix} ${prefix}/`, `uri strip_prefix ${prefix}`];
}

/** The application refuses paths with a name that begins with a dot. `route` keeps the order of its directives. */
function staticFiles(prefix: string, root: StaticRoot, number: number): string {
  const { directory, index, precompressed } = root;
  const path = `${prefix}${root.path}`;
  return lines(
    `@static${number} {`,
    `  path_regexp ${filePath(prefix, root)}`,
    '  method GET HEAD',
    ...(root.dotfileStatus === undefined ? [] : [`  not path_regexp ${dotfilePath(prefix, root)}`]),
    '}',
    `handle @static${number} {`,
    '  route {',
    `    uri strip_prefix ${path.replace(/\/$/, '')}`,
    `    root * "${caddyPath(directory)}"`,
    '    @there file',
    `    header @there Cache-Control "${cacheControl(root)}"`,
    // The content of a URL with the version of a file never changes.
    '    @version {',
    '      file',
    '      query v=*',
    '      not query v=',
    '    }',
    `    header @version Cache-Control "${IMMUTABLE}"`,
    '    file_server {',
    `      index ${index.join(' ')}`,
    ...(precompressed ? ['      precompressed br gzip'] : []),
    '    }',
    '  }',
    '}',
  );
}

/** For a name alone Caddy gets a certificate; an address with `http://` is for plain HTTP. */
function addressOf({ serverName, listen, listenGiven }: Site): string {
  if (serverName === undefined) return `:${listen.port}`;
  return listenGiven ? `http://${serverName}:${listen.port}` : serverName;
}

function reverseProxy(site: Site): string {
  const { scheme, prefix, backends } = site;
  return lines(
    `reverse_proxy ${backends.map((backend) => `"${caddyUpstream(backend, caddySocket)}"`).join(' ')} {`,
    '  flush_interval -1',
    ...(backends.length > 1 ? ['  lb_try_duration 3s', '  fail_duration 5s'] : []),
    ...caddyDeleted(site).map((name) => `  header_up -${name}`),
    ...(scheme === 'fastcgi' ? fastcgi(prefix) : http(site)),
    '}',
  );
}

/** The address in Caddy's syntax. Braces in a path would be placeholders. */
export function caddyUpstream(backend: Backend, socket: (path: string) => string): string {
  return backend.kind === 'unix' ? `unix/${socket(backend.path)}` : hostPort(backend);
}

/**
 * The headers that Caddy deletes from a request. It replaces X-Forwarded-For, -Proto and -Host itself. Names with an
 * underscore are deleted, since X_Forwarded_For and X-Forwarded-For become the same CGI variable.
 */
export function caddyDeleted({ scheme, removedPrefix }: Site): string[] {
  const own = ['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host'];
  if (scheme !== 'fastcgi' && removedPrefix !== '') own.push('x-forwarded-prefix');
  return [...clientHeaders(own), '*_*'];
}

/** By default Caddy takes the whole path for SCRIPT_NAME. */
function fastcgi(prefix: string): string[] {
  return [
    '  transport fastcgi {',
    `    env SCRIPT_NAME "${prefix}"`,
    '    env PATH_INFO {http.request.uri.path}',
    '  }',
  ];
}

/** Milliseconds until Caddy closes an idle connection, before the server closes it during a request; undefined: at once. */
export function caddyKeepAlive(keepAlive: number | undefined): number | undefined {
  return keepAlive === undefined || keepAlive === 0 ? undefined : Math.max(1, Math.floor(keepAlive * 800));
}

function http({ scheme, removedPrefix, keepAlive, backendTls: tls }: Site): string[] {
  const alive = caddyKeepAlive(keepAlive);
  return [
    ...(removedPrefix === '' ? [] : [`  header_up X-Forwarded-Prefix ${removedPrefix}`]),
    '  transport http {',
    ...(tls ? [`    tls_trusted_ca_certs "${caddyPath(tls.ca)}"`, `    tls_server_name ${tls.name}`] : []),
    ...(scheme === 'https' && !tls ? ['    tls_insecure_skip_verify'] : []),
    `    keepalive ${alive === undefined ? 'off' : `${alive}ms`}`,
    '  }',
  ];
}

function globals(stateDir: string): string {
  return lines(
    '{',
    '  admin off',
    '  auto_https off',
    `  storage file_system "${caddyPath(join(stateDir, 'storage'))}"`,
    '}',
  );
}
