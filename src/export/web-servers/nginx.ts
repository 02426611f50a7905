/** `paster export nginx`: an upstream and a server for the http context, or a complete nginx.conf. */
import { userInfo } from 'node:os';
import { join } from 'node:path';
import type { StaticRoot } from '../app-layout.ts';
import { type Backend, isHttp } from '../deployment.ts';
import { hostPort, listenText, type Site } from '../site.ts';
import { escapeRegex, indented, lines, nginxSocket, nginxString } from '../text.ts';
import { clientHeaders, clientVariables, dotfilePath, filesNote, MEDIA_TYPES, servedRoots } from './common.ts';

export function nginxSite(site: Site): string {
  const { webSockets } = site;
  const roots = servedRoots(site, { compressed: true });
  const text = lines(
    `# ${site.scheme} at ${site.prefix === '' ? 'the root' : site.prefix}`,
    filesNote(site, roots),
    upstream(site),
    ...maps(site),
    ...(webSockets ? [upstream(webSockets), ...maps(webSockets), webSocketMap(webSockets)] : []),
    'server {',
    `  listen ${listenText(site.listen)};`,
    `  server_name ${site.serverName ?? '_'};`,
    `  client_max_body_size ${site.maxBodyMiB}m;`,
    '  merge_slashes off;',
    ...roots.map((root) => indented(staticLocation(site.prefix, root))),
    `  location ${site.prefix === '' ? '/' : `~ ^(?<mount>${escapeRegex(site.prefix)})(?<rest>/.*)?$`} {`,
    ...(webSockets ? [indented(indented(passWebSockets(webSockets)))] : []),
    indented(indented(pass(site))),
    '  }',
    ...(webSockets ? [`  location @${webSockets.name} {`, indented(indented(pass(webSockets))), '  }'] : []),
    // nginx has a default page for all other paths.
    site.prefix === '' ? undefined : '  location / { return 404; }',
    '}',
  );
  return site.stateDir === undefined ? text : wholeFile(text, site.stateDir);
}

function upstream({ name, backends, keepAlive }: Site): string {
  const address = (backend: Backend): string =>
    backend.kind === 'unix' ? nginxSocket(backend.path) : hostPort(backend);
  const isOne = backends.length === 1;
  return lines(
    `upstream ${name} {`,
    // A shared zone, so that all nginx processes know when a machine has failed.
    isOne ? undefined : `  zone ${name} 128k;`,
    ...backends.map((backend) => `  server ${address(backend)}${isOne ? '' : ` ${FAIL_OPTIONS}`};`),
    // If all machines have just failed, as during the rollout of a release, nginx still tries them.
    ...(isOne ? [] : backends.map((backend) => `  server ${address(backend)} backup max_fails=0;`)),
    keepAlive === 0 ? undefined : '  keepalive 8;',
    // nginx closes an idle connection before the server closes it during a request.
    keepAlive === undefined || keepAlive === 0 ? undefined : `  keepalive_timeout ${milliseconds(keepAlive)}ms;`,
    '}',
  );
}

/** How long nginx skips a machine that failed; then a request finds out whether it is back. */
const FAIL_OPTIONS = 'max_fails=1 fail_timeout=5s';

/**
 * When nginx tries the next machine; it tries each once. A request that is not idempotent is passed on only if nothing of it
 * has been sent. The connection timeout is one second, since a machine without a network does not respond at all.
 */
function failover(module: string, { backends }: Site): (string | undefined)[] {
  if (backends.length === 1) return [`${module}_next_upstream error;`];
  return [
    `${module}_next_upstream error timeout invalid_header;`,
    `${module}_next_upstream_tries ${backends.length};`,
    `${module}_connect_timeout 1s;`,
    `${module}_read_timeout 60s;`,
  ];
}

/** The head of a response must fit into one buffer. A session cookie with a content policy exceeds nginx's default of 4 KiB. */
function headBuffers(module: string): string[] {
  return [`${module}_buffer_size 32k;`, `${module}_buffers 8 32k;`];
}

function milliseconds(keepAlive: number): number {
  return Math.max(1, Math.floor(keepAlive * 800));
}

/**
 * Maps for HTTP: the Connection header of WebSockets, and the path below a prefix in the client's encoding. For the other
 * protocols the prefix alone becomes "/", since an application takes SCRIPT_NAME without PATH_INFO for the whole path.
 */
function maps({ name, scheme, prefix, removedPrefix }: Site): (string | undefined)[] {
  const variable = variableOf(name);
  if (!isHttp(scheme)) {
    if (prefix === '') return [];
    return [lines(`map $rest $${variable}_path {`, "  '' /;", '  default $rest;', '}')];
  }
  const path = lines(
    `map $request_uri $${variable}_path {`,
    `  ~^${escapeRegex(prefix)}(?<after>/.*)$ $after;`,
    `  ~^${escapeRegex(prefix)}(?<query>\\?.*)?$ /$query;`,
    '  default $request_uri;',
    '}',
  );
  const connection = lines(`map $http_upgrade $${variable}_connection {`, "  '' '';", '  default upgrade;', '}');
  return [connection, removedPrefix === '' ? undefined : path];
}

/** Whether a request asks for a WebSocket. Other values of Upgrade, such as h2c, are for nginx alone. */
function webSocketMap({ name }: Site): string {
  return lines(`map $http_upgrade $${variableOf(name)}_upgrade {`, "  default '';", '  ~*^websocket$ 1;', '}');
}

/** nginx chooses between two protocols by an internal redirect. No client sees the status, and the application may use it. */
function passWebSockets({ name }: Site): string {
  return lines(`error_page 418 = @${name};`, `if ($${variableOf(name)}_upgrade) { return 418; }`);
}

function variableOf(name: string): string {
  return name.replaceAll('-', '_');
}

function pass(site: Site): string {
  const { name, scheme, prefix, removedPrefix } = site;
  const variable = variableOf(name);
  if (isHttp(scheme)) {
    return lines(
      `proxy_pass ${scheme}://${name}${removedPrefix === '' ? '' : `$${variable}_path`};`,
      'proxy_http_version 1.1;',
      ...verification(site),
      'proxy_set_header Host $http_host;',
      `proxy_set_header Connection $${variable}_connection;`,
      'proxy_set_header Upgrade $http_upgrade;',
      'proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;',
      'proxy_set_header X-Forwarded-Proto $scheme;',
      'proxy_set_header X-Forwarded-Host $http_host;',
      `proxy_set_header X-Forwarded-Prefix ${removedPrefix === '' ? '""' : removedPrefix};`,
      ...clientHeaders(OWN_HEADERS).map((name) => `proxy_set_header ${name} "";`),
      ...headBuffers('proxy'),
      ...failover('proxy', site),
    );
  }
  const own = scheme === 'fastcgi' ? ['fastcgi_keep_conn on;'] : ['scgi_param SCGI 1;'];
  const mounted =
    prefix === '' ? ['SCRIPT_NAME ""', 'PATH_INFO $uri'] : ['SCRIPT_NAME $mount', `PATH_INFO $${variable}_path`];
  return lines(
    `${scheme}_pass ${name};`,
    ...own,
    ...headBuffers(scheme),
    ...failover(scheme, site),
    ...[...mounted, ...PARAMS].map((param) => `${scheme}_param ${param};`),
    ...clientVariables().map((name) => `${scheme}_param ${name} "" if_not_empty;`),
  );
}

function verification({ backendTls: tls }: Site): string[] {
  if (!tls) return [];
  return [
    'proxy_ssl_verify on;',
    'proxy_ssl_verify_depth 4;',
    `proxy_ssl_trusted_certificate ${nginxString(tls.ca)};`,
    'proxy_ssl_server_name on;',
    `proxy_ssl_name ${tls.hostName};`,
  ];
}

const OWN_HEADERS = ['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-forwarded-prefix'];

/** nginx's own fastcgi_params, without those for files. HTTP_HOST is the client's header, with the port. */
const PARAMS = [
  'QUERY_STRING $query_string',
  'REQUEST_METHOD $request_method',
  'CONTENT_TYPE $content_type',
  'CONTENT_LENGTH $content_length',
  'REQUEST_URI $request_uri',
  'DOCUMENT_URI $document_uri',
  'SERVER_PROTOCOL $server_protocol',
  'REQUEST_SCHEME $scheme',
  'HTTPS $https if_not_empty',
  'GATEWAY_INTERFACE CGI/1.1',
  'SERVER_SOFTWARE nginx/$nginx_version',
  'REMOTE_ADDR $remote_addr',
  'REMOTE_PORT $remote_port',
  'SERVER_ADDR $server_addr',
  'SERVER_PORT $server_port',
  'SERVER_NAME $server_name',
];

function staticLocation(prefix: string, root: StaticRoot): string {
  const { path, directory, index, maxAge, dotfileStatus, precompressed } = root;
  return lines(
    `location ^~ ${prefix}${path} {`,
    `  alias ${nginxString(`${directory}/`)};`,
    `  index ${index.join(' ')};`,
    ...(precompressed ? ['  gzip_static on;', '  gzip_vary on;'] : []),
    `  expires ${maxAge}s;`,
    // The content of a URL with the version of a file never changes.
    '  if ($arg_v) { expires max; }',
    dotfileStatus === undefined ? undefined : `  location ~ ${dotfilePath(prefix, root)} { return ${dotfileStatus}; }`,
    '}',
  );
}

function wholeFile(site: string, stateDir: string): string {
  const at = (name: string): string => nginxString(join(stateDir, name));
  // Run by root, nginx would switch to another user, who cannot connect to the sockets of root's applications.
  const root = process.getuid?.() === 0 ? `user ${userInfo().username};` : undefined;
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return lines(
    root,
    'daemon off;',
    `pid ${at('nginx.pid')};`,
    `error_log ${at('error.log')};`,
    'events { }',
    'http {',
    `  access_log ${at('access.log')};`,
    ...temporary.map((name) => `  ${name}_temp_path ${at(`${name}-temp`)};`),
    '  default_type application/octet-stream;',
    '  types {',
    ...MEDIA_TYPES.map(([type, ...endings]) => `    ${type} ${endings.join(' ')};`),
    '  }',
    indented(site),
    '}',
  );
}
