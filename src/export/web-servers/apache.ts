/** `paster export apache`: a virtual host for `conf-enabled/`, or a complete configuration for Apache 2.4. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { StaticRoot } from '../app-layout.ts';
import type { Backend } from '../deployment.ts';
import { exportError, hostPort, listenText, type Site } from '../site.ts';
import { apacheSocket, apacheString, escapeRegex, indented, lines } from '../text.ts';
import {
  cacheControl,
  clientHeaders,
  dotfilePath,
  filePath,
  filesNote,
  IMMUTABLE,
  MEDIA_TYPES,
  servedRoots,
} from './common.ts';

export function apacheSite(site: Site): string {
  const { scheme, prefix, stateDir } = site;
  if (scheme === 'scgi' && prefix !== '' && site.scriptName === undefined) {
    throw exportError(
      'mod_proxy_scgi does not say which part of a path is the prefix',
      `add script_name = ${prefix} to the server's section`,
    );
  }
  const host = lines(
    `# ${scheme} at ${prefix === '' ? 'the root' : prefix}`,
    filesNote(site, rootsOf(site)),
    stateDir === undefined ? `# Needs: a2enmod ${modulesOf(site).join(' ')}` : undefined,
    `<VirtualHost ${listenText(site.listen)}>`,
    indented(virtualHost(site)),
    '</VirtualHost>',
  );
  return stateDir === undefined ? host : lines(server(site, stateDir), host);
}

/** Apache would need rules for each precompressed file, so the application serves directories that have them. */
function rootsOf(site: Site): readonly StaticRoot[] {
  return servedRoots(site, { compressed: false });
}

function modulesOf(site: Site): string[] {
  const { scheme, backends } = site;
  const balancing = backends.length > 1 ? ['proxy_balancer', 'lbmethod_byrequests', 'slotmem_shm'] : [];
  const speaking = {
    http: ['proxy_http'],
    https: ['proxy_http', 'ssl', 'socache_shmcb'],
    fastcgi: ['proxy_fcgi'],
    scgi: ['proxy_scgi'],
  };
  const files = rootsOf(site).length > 0 ? ['alias', 'dir', 'mime'] : [];
  return ['proxy', ...speaking[scheme], ...balancing, ...files, 'headers', 'env', 'rewrite', 'setenvif'];
}

function virtualHost(site: Site): string {
  const { name, scheme, prefix, removedPrefix, serverName, backends, maxBodyMiB } = site;
  const [first] = backends;
  const balanced = backends.length > 1;
  const isHttp = scheme === 'http' || scheme === 'https';
  const path = prefix === '' ? '/' : isHttp && removedPrefix === '' ? prefix : '';
  const target = balanced || !first ? `"balancer://${name}${path}"` : memberUrl(site, first, path);
  const options = `flushpackets=on${isHttp ? ' upgrade=websocket' : ''}`;
  return lines(
    serverName === undefined ? undefined : `ServerName ${serverName}`,
    'AllowEncodedSlashes On',
    'MergeSlashes Off',
    // LimitRequestBody does not apply to proxied requests.
    'RewriteEngine On',
    `RewriteCond expr "%{HTTP:Content-Length} -gt ${maxBodyMiB * 1024 * 1024}"`,
    'RewriteRule ^ - [R=413,L]',
    // Debian's Apache has a default page for all other paths.
    prefix === '' ? undefined : `RewriteRule !^${escapeRegex(prefix)}(/|$) - [R=404,L]`,
    ...(scheme === 'https' ? verification(site) : []),
    balanced
      ? lines(
          `<Proxy "balancer://${name}">`,
          ...backends.map((backend) => `  BalancerMember ${memberUrl(site, backend, '')} ${options}`),
          '</Proxy>',
        )
      : undefined,
    ...rootsOf(site).map((root) => staticFiles(prefix, root)),
    // SetEnvIf would see the path as the client spelled it, and SetEnv would be too late.
    scheme === 'fastcgi' && prefix !== ''
      ? `RewriteRule ^${escapeRegex(prefix)}(/|$) - [E=proxy-fcgi-pathinfo:unescape]`
      : undefined,
    // Apache skips a failed backend for a minute. With a single one, `retry=0` makes it try again at once.
    `ProxyPass "${prefix === '' ? '/' : prefix}" ${target}${balanced ? '' : ` ${options} retry=0`}${isHttp ? ' nocanon' : ''}`,
    ...clientHeaders(isHttp ? OWN_HEADERS : []).map((name) => `RequestHeader unset ${name}`),
    ...(isHttp ? forwarding(removedPrefix) : variables(prefix)),
  );
}

function staticFiles(prefix: string, root: StaticRoot): string {
  const { directory, index, dotfileStatus } = root;
  const path = `${prefix}${root.path}`;
  return lines(
    `AliasMatch "${filePath(prefix, root)}(.*)$" ${apacheString(`${directory}/`).replace(/"$/, '$1"')}`,
    dotfileStatus === undefined ? undefined : `RedirectMatch ${dotfileStatus} "${dotfilePath(prefix, root)}"`,
    `ProxyPassMatch "${filePath(prefix, root)}" "!"`,
    `<Directory ${apacheString(directory)}>`,
    '  Require all granted',
    '  Options FollowSymLinks',
    '  AllowOverride None',
    '</Directory>',
    `<Location "${path}">`,
    `  DirectoryIndex ${index.join(' ')}`,
    `  Header set Cache-Control "${cacheControl(root)}"`,
    // The content of a URL with the version of a file never changes.
    '  <If "%{QUERY_STRING} =~ /(^|&)v=[^&]/">',
    `    Header set Cache-Control "${IMMUTABLE}"`,
    '  </If>',
    '</Location>',
  );
}

function memberUrl({ scheme }: Site, backend: Backend, path: string): string {
  const protocol = scheme === 'fastcgi' ? 'fcgi' : scheme;
  if (backend.kind === 'tcp') return `"${protocol}://${hostPort(backend)}${path}"`;
  return apacheSocket(backend.path).replace(/"$/, `|${protocol}://localhost${path}"`);
}

/** Apache compares the certificate's name with the Host of the client's request, since it is preserved. */
function verification({ backendTls: tls }: Site): string[] {
  const isNameChecked = tls !== undefined && !tls.isPinned;
  return [
    'SSLProxyEngine On',
    ...(tls
      ? ['SSLProxyVerify require', 'SSLProxyVerifyDepth 4', `SSLProxyCACertificateFile ${apacheString(tls.ca)}`]
      : ['SSLProxyVerify none', 'SSLProxyCheckPeerExpire Off']),
    ...(isNameChecked ? [] : ['SSLProxyCheckPeerCN Off', 'SSLProxyCheckPeerName Off']),
  ];
}

/** Apache adds the client's address to this header. It sets X-Forwarded-Host and X-Forwarded-Server if they are absent. */
const OWN_HEADERS = ['x-forwarded-for'];

function forwarding(prefix: string): string[] {
  return [
    'ProxyPreserveHost On',
    'RequestHeader set X-Forwarded-Proto "expr=%{REQUEST_SCHEME}"',
    ...(prefix === '' ? [] : [`RequestHeader set X-Forwarded-Prefix "${prefix}"`]),
    // Apache removes the headers that a client names in Connection, even those that it has set itself.
    `RequestHeader edit* Connection "(?i)(^|,)[ \\t]*(?!(?:close|keep-alive|upgrade)[ \\t]*(?:,|$))[^,]+" "$1"`,
  ];
}

function variables(prefix: string): string[] {
  return [
    `<Location "${prefix === '' ? '/' : prefix}">`,
    '  CGIPassAuth On',
    '  SetEnv ap_trust_cgilike_cl 1',
    '</Location>',
  ];
}

function mediaTypes(modules: readonly string[]): string[] {
  if (!modules.includes('mime')) return [];
  return ['TypesConfig /dev/null', ...MEDIA_TYPES.map(([type, ...endings]) => `AddType ${type} ${endings.join(' ')}`)];
}

const MODULE_DIRECTORIES = ['/usr/lib/apache2/modules', '/usr/lib64/httpd/modules', '/usr/libexec/apache2'] as const;

function server(site: Site, stateDir: string): string {
  const library = MODULE_DIRECTORIES.find((directory) => existsSync(directory)) ?? MODULE_DIRECTORIES[0];
  const at = (name: string): string => apacheString(join(stateDir, name));
  const modules = ['mpm_event', 'authz_core', ...modulesOf(site)];
  // Apache does not serve as root.
  const isRoot = process.getuid?.() === 0;
  return lines(
    ...modules.map((name) => `LoadModule ${name}_module ${library}/mod_${name}.so`),
    isRoot ? 'User www-data' : undefined,
    isRoot ? 'Group www-data' : undefined,
    `ServerRoot ${apacheString(stateDir)}`,
    `ServerName ${site.serverName ?? 'localhost'}`,
    `PidFile ${at('apache.pid')}`,
    `DefaultRuntimeDir ${apacheString(stateDir)}`,
    ...mediaTypes(modules),
    `ErrorLog ${at('error.log')}`,
    `Listen ${site.listen.host === '0.0.0.0' ? site.listen.port : hostPort(site.listen)}`,
  );
}
