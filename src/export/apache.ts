/** `paster export apache`: a virtual host for an enabled conf, or a whole configuration for Apache 2.4. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Backend } from './deployment.ts';
import { apacheString } from './quote.ts';
import { hostPort, listenText, mistake, type Site } from './site.ts';
import { indented, lines } from './text.ts';

export function apacheSite(site: Site): string {
  const { scheme, prefix, stateDir } = site;
  if (scheme === 'scgi' && prefix !== '' && site.scriptName === undefined) {
    throw mistake(
      'mod_proxy_scgi does not say which part of a path is the prefix',
      `add script_name = ${prefix} to the server's section`,
    );
  }
  const host = lines(
    `# ${scheme} at ${prefix === '' ? 'the root' : prefix}`,
    stateDir === undefined ? `# Needs: a2enmod ${modulesOf(site).join(' ')}` : undefined,
    `<VirtualHost ${listenText(site.listen)}>`,
    indented(virtualHost(site)),
    '</VirtualHost>',
  );
  return stateDir === undefined ? host : lines(server(site, stateDir), host);
}

function modulesOf({ scheme, backends }: Site): string[] {
  const balancing = backends.length > 1 ? ['proxy_balancer', 'lbmethod_byrequests', 'slotmem_shm'] : [];
  const speaking = {
    http: ['proxy_http', 'headers'],
    https: ['proxy_http', 'headers', 'ssl', 'socache_shmcb'],
    fastcgi: ['proxy_fcgi'],
    scgi: ['proxy_scgi'],
  };
  return ['proxy', ...speaking[scheme], ...balancing, 'env', 'rewrite', 'setenvif'];
}

function virtualHost(site: Site): string {
  const { name, scheme, prefix, serverName, backends, maxBodyMiB } = site;
  const [first] = backends;
  const balanced = backends.length > 1;
  const slash = prefix === '' ? '/' : '';
  const target = balanced || !first ? `"balancer://${name}${slash}"` : memberUrl(site, first, slash);
  const isHttp = scheme === 'http' || scheme === 'https';
  return lines(
    serverName === undefined ? undefined : `ServerName ${serverName}`,
    'AllowEncodedSlashes On',
    'MergeSlashes Off',
    // LimitRequestBody says nothing of requests that are handed on.
    'RewriteEngine On',
    `RewriteCond expr "%{HTTP:Content-Length} -gt ${maxBodyMiB * 1024 * 1024}"`,
    'RewriteRule ^ - [R=413,L]',
    scheme === 'https' ? 'SSLProxyEngine On' : undefined,
    balanced
      ? lines(
          `<Proxy "balancer://${name}">`,
          ...backends.map((backend) => `  BalancerMember ${memberUrl(site, backend, '')} flushpackets=on`),
          '</Proxy>',
        )
      : undefined,
    scheme === 'fastcgi' && prefix !== ''
      ? `SetEnvIf Request_URI "^${prefix.replaceAll('.', '\\.')}(/|$)" proxy-fcgi-pathinfo=unescape`
      : undefined,
    `ProxyPass "${prefix === '' ? '/' : prefix}" ${target}${balanced ? '' : ' flushpackets=on'}${isHttp ? ' nocanon' : ''}`,
    ...(isHttp ? forwarding(prefix) : variables(prefix)),
  );
}

function memberUrl({ scheme }: Site, backend: Backend, slash: string): string {
  const protocol = scheme === 'fastcgi' ? 'fcgi' : scheme;
  if (backend.kind === 'tcp') return `"${protocol}://${hostPort(backend)}${slash}"`;
  return apacheString(`unix:${backend.path}`).replace(/"$/, `|${protocol}://localhost${slash}"`);
}

function forwarding(prefix: string): string[] {
  return [
    'ProxyPreserveHost On',
    'RequestHeader set X-Forwarded-Proto "expr=%{REQUEST_SCHEME}"',
    prefix === '' ? 'RequestHeader unset X-Forwarded-Prefix' : `RequestHeader set X-Forwarded-Prefix "${prefix}"`,
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
    `ErrorLog ${at('error.log')}`,
    `Listen ${site.listen.host === '0.0.0.0' ? site.listen.port : hostPort(site.listen)}`,
  );
}
