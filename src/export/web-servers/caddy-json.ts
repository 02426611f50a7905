/** A complete configuration for Caddy in its JSON format, which it reads from a file of any name. */
import { join } from 'node:path';
import type { StaticRoot } from '../app-layout.ts';
import { hostPort, type Site } from '../site.ts';
import { caddyPath, escapeRegex } from '../text.ts';
import { caddyDeleted, caddyKeepAlive, caddyRoots, caddyUpstream, isLarge, mountPath } from './caddy.ts';
import { cacheControl, dotfilePath, filePath, IMMUTABLE } from './common.ts';

/** The same as the complete Caddyfile. Only placeholders would need quoting, and paths contain none. */
export function caddyJson(site: Site, stateDir: string): string {
  const { name, scheme, prefix, serverName, listen } = site;
  const host = serverName === undefined ? {} : { host: [serverName] };
  const match = {
    ...host,
    ...(prefix === '' ? {} : { path_regexp: { pattern: mountPath(prefix) } }),
  };
  const server = {
    listen: [listen.host === '0.0.0.0' ? `:${listen.port}` : hostPort(listen)],
    automatic_https: { disable: true },
    routes: [
      ...caddyRoots(site).map((root) => staticRoute(host, prefix, root)),
      { ...(Object.keys(match).length === 0 ? {} : { match: [match] }), handle: handlers(site), terminal: true },
      { handle: [{ handler: 'static_response', status_code: 404 }] },
    ],
    ...(scheme === 'fastcgi' ? {} : { errors: { routes: [tooLarge(site)] } }),
  };
  const whole = {
    admin: { disabled: true, config: { persist: false } },
    storage: { module: 'file_system', root: join(stateDir, 'storage') },
    apps: { http: { servers: { [name]: server } } },
  };
  return JSON.stringify(whole, undefined, 2);
}

function staticRoute(host: object, prefix: string, root: StaticRoot): object {
  const { dotfileStatus, index, precompressed } = root;
  const directory = caddyPath(root.directory);
  const path = `${prefix}${root.path}`;
  const dotless = dotfileStatus === undefined ? {} : { not: [{ path_regexp: { pattern: dotfilePath(prefix, root) } }] };
  const caching = (value: string, match: object): object => ({
    match: [{ file: { root: directory }, ...match }],
    handle: [{ handler: 'headers', response: { set: { 'Cache-Control': [value] } } }],
  });
  const compressed = { precompressed: { br: {}, gzip: {} }, precompressed_order: ['br', 'gzip'] };
  const routes = [
    { handle: [{ handler: 'rewrite', strip_path_prefix: path.replace(/\/$/, '') }] },
    caching(cacheControl(root), {}),
    caching(IMMUTABLE, { query: { v: ['*'] }, not: [{ query: { v: [''] } }] }),
    {
      handle: [{ handler: 'file_server', root: directory, index_names: index, ...(precompressed ? compressed : {}) }],
    },
  ];
  return {
    match: [{ ...host, path_regexp: { pattern: filePath(prefix, root) }, method: ['GET', 'HEAD'], ...dotless }],
    handle: [{ handler: 'subroute', routes }],
    terminal: true,
  };
}

function tooLarge({ maxBodyMiB }: Site): object {
  return {
    match: [{ expression: isLarge(maxBodyMiB) }],
    handle: [{ handler: 'static_response', status_code: 413 }],
  };
}

function atMount({ scheme, prefix, removedPrefix }: Site): object[] {
  if (prefix === '') return [];
  if (scheme !== 'fastcgi') {
    if (removedPrefix === '') return [];
    return [{ handler: 'rewrite', path_regexp: [{ find: `^${escapeRegex(prefix)}/?`, replace: '/' }] }];
  }
  const bare = { match: [{ path: [prefix] }], handle: [{ handler: 'rewrite', uri: `${prefix}/` }] };
  const stripped = { handle: [{ handler: 'rewrite', strip_path_prefix: prefix }] };
  return [{ handler: 'subroute', routes: [bare, stripped] }];
}

function verification({ backendTls: tls }: Site): object {
  return tls ? { root_ca_pem_files: [caddyPath(tls.ca)], server_name: tls.name } : { insecure_skip_verify: true };
}

function handlers(site: Site): object[] {
  const { scheme, prefix, removedPrefix, backends, keepAlive, maxBodyMiB } = site;
  const env = { SCRIPT_NAME: prefix, PATH_INFO: '{http.request.uri.path}' };
  const alive = caddyKeepAlive(keepAlive);
  const http = {
    protocol: 'http',
    ...(scheme === 'https' ? { tls: verification(site) } : {}),
    keep_alive: alive === undefined ? { enabled: false } : { enabled: true, idle_timeout: `${alive}ms` },
  };
  const isPrefixed = scheme !== 'fastcgi' && removedPrefix !== '';
  const forwarded = {
    delete: caddyDeleted(site),
    ...(isPrefixed ? { set: { 'X-Forwarded-Prefix': [prefix] } } : {}),
  };
  return [
    { handler: 'request_body', max_size: maxBodyMiB * 1024 * 1024 },
    ...atMount(site),
    {
      handler: 'reverse_proxy',
      upstreams: backends.map((backend) => ({ dial: caddyUpstream(backend, caddyPath) })),
      flush_interval: -1,
      transport: scheme === 'fastcgi' ? { protocol: 'fastcgi', env } : http,
      headers: { request: forwarded },
      ...(backends.length > 1
        ? { load_balancing: { try_duration: '3s' }, health_checks: { passive: { fail_duration: '5s' } } }
        : {}),
    },
  ];
}
