/** `paster export caddy`: a site for a Caddyfile, or a whole Caddyfile. */
import { join } from 'node:path';
import { clientHeaders } from './client-headers.ts';
import type { Backend } from './deployment.ts';
import type { StaticRoot } from './places.ts';
import { caddyPath, caddySocket } from './quote.ts';
import { hostPort, mistake, type Site } from './site.ts';
import { aWhile, dottedPath, FOREVER, filePath, ownRoots, whereFilesAre } from './static-files.ts';
import { escapeRegex, indented, lines } from './text.ts';

export function caddySite(site: Site): string {
  const { scheme, prefix, stateDir, maxBodyMiB } = site;
  if (scheme === 'scgi') throw mistake('Caddy speaks no SCGI', 'serve FastCGI or HTTP');
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
    whereFilesAre(site, roots),
    stateDir === undefined ? undefined : globals(stateDir),
    `${addressOf(site)} {`,
    site.listen.host === '0.0.0.0' ? undefined : `  bind ${site.listen.host}`,
    ...roots.map((root, index) => indented(staticFiles(prefix, root, index + 1))),
    indented(handled),
    scheme === 'fastcgi' ? undefined : indented(tooLarge(maxBodyMiB)),
    '}',
  );
}

/** A directory with such signs in it is a pattern to Caddy's matcher of files. */
export function caddyRoots(site: Site): readonly StaticRoot[] {
  return ownRoots(site, { compressed: true }).filter(({ directory }) => !/[*?[]/.test(directory));
}

/** A regular expression for the paths of a mount. Caddy's own patterns for paths ignore case. */
export function mountPath(prefix: string): string {
  return `^${escapeRegex(prefix)}(/|$)`;
}

/** Of a body that becomes too large on the way Caddy may make a 502. */
function tooLarge(maxBodyMiB: number): string {
  return lines('handle_errors {', `  @large expression \`${isLarge(maxBodyMiB)}\``, '  respond @large 413', '}');
}

/** An expression that is true of a request that says so itself. */
export function isLarge(maxBodyMiB: number): string {
  const length = '{http.request.header.Content-Length}';
  return `${length}.matches("^[0-9]{1,15}$") && int(${length}) > ${maxBodyMiB * 1024 * 1024}`;
}

/**
 * Over HTTP the prefix is taken off without a look at the rest, for `strip_prefix` spells it anew. Over FastCGI the application
 * has the client's own spelling besides, and takes a script's name without a path for the whole one: the mount itself is "/".
 */
function atMount({ scheme, prefix }: Site): string[] {
  if (scheme !== 'fastcgi') return [`uri path_regexp ^${escapeRegex(prefix)}/? /`];
  return [`rewrite ${prefix} ${prefix}/`, `uri strip_prefix ${prefix}`];
}

/** A path of which a name begins with a dot is for the application to refuse. The order within `route` is kept. */
function staticFiles(prefix: string, root: StaticRoot, number: number): string {
  const { directory, index, precompressed } = root;
  const path = `${prefix}${root.path}`;
  return lines(
    `@static${number} {`,
    `  path_regexp ${filePath(prefix, root)}`,
    '  method GET HEAD',
    ...(root.dotfileStatus === undefined ? [] : [`  not path_regexp ${dottedPath(prefix, root)}`]),
    '}',
    `handle @static${number} {`,
    '  route {',
    `    uri strip_prefix ${path.replace(/\/$/, '')}`,
    `    root * "${caddyPath(directory)}"`,
    '    @there file',
    `    header @there Cache-Control "${aWhile(root)}"`,
    // A URL with the version of a file's content never means another content.
    '    @version {',
    '      file',
    '      query v=*',
    '      not query v=',
    '    }',
    `    header @version Cache-Control "${FOREVER}"`,
    '    file_server {',
    `      index ${index.join(' ')}`,
    ...(precompressed ? ['      precompressed br gzip'] : []),
    '    }',
    '  }',
    '}',
  );
}

/** By its name alone Caddy gets a certificate for a site; an address says that it is plain HTTP. */
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

/** As Caddy dials it. A path with braces would have placeholders. */
export function caddyUpstream(backend: Backend, socket: (path: string) => string): string {
  return backend.kind === 'unix' ? `unix/${socket(backend.path)}` : hostPort(backend);
}

/**
 * What Caddy deletes from a request. It replaces X-Forwarded-For, -Proto and -Host. As a CGI variable, X_Forwarded_For is
 * the same as X-Forwarded-For.
 */
export function caddyDeleted({ scheme, prefix }: Site): string[] {
  const own = ['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host'];
  if (scheme !== 'fastcgi' && prefix !== '') own.push('x-forwarded-prefix');
  return [...clientHeaders(own), '*_*'];
}

/** Caddy takes the whole path for the script's name unless it is told what that is. */
function fastcgi(prefix: string): string[] {
  return [
    '  transport fastcgi {',
    `    env SCRIPT_NAME "${prefix}"`,
    '    env PATH_INFO {http.request.uri.path}',
    '  }',
  ];
}

/** Milliseconds after which Caddy gives an idle connection up, before the server closes it under a request; undefined: at once. */
export function caddyKeepAlive(keepAlive: number | undefined): number | undefined {
  return keepAlive === undefined || keepAlive === 0 ? undefined : Math.max(1, Math.floor(keepAlive * 800));
}

function http({ scheme, prefix, keepAlive, backendTls: tls }: Site): string[] {
  const alive = caddyKeepAlive(keepAlive);
  return [
    ...(prefix === '' ? [] : [`  header_up X-Forwarded-Prefix ${prefix}`]),
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
