/** `paster export nginx`: an upstream and a server for the http context, or a whole nginx.conf. */
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { clientHeaders, clientVariables } from './client-headers.ts';
import type { Backend, Scheme } from './deployment.ts';
import type { StaticRoot } from './places.ts';
import { nginxSocket, nginxString } from './quote.ts';
import { hostPort, listenText, type Site } from './site.ts';
import { dottedPath, MEDIA_TYPES, ownRoots, whereFilesAre } from './static-files.ts';
import { escapeRegex, indented, lines } from './text.ts';

/** The upstream, what it maps, and the virtual host. */
export function nginxSite(site: Site): string {
  const roots = ownRoots(site, { compressed: true });
  const text = lines(
    `# ${site.scheme} at ${site.prefix === '' ? 'the root' : site.prefix}`,
    whereFilesAre(site, roots),
    upstream(site),
    ...maps(site),
    'server {',
    `  listen ${listenText(site.listen)};`,
    `  server_name ${site.serverName ?? '_'};`,
    `  client_max_body_size ${site.maxBodyMiB}m;`,
    '  merge_slashes off;',
    ...roots.map((root) => indented(staticLocation(site.prefix, root))),
    `  location ${site.prefix === '' ? '/' : `~ ^(?<mount>${escapeRegex(site.prefix)})(?<rest>/.*)?$`} {`,
    indented(indented(pass(site))),
    '  }',
    // nginx has a page of its own for whatever nobody else answers.
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
    // What one of nginx's processes finds out of a machine, all know.
    isOne ? undefined : `  zone ${name} 128k;`,
    ...backends.map((backend) => `  server ${address(backend)}${isOne ? '' : ` ${PASSED_OVER}`};`),
    // When all have been passed over for a moment - a new release goes round - they are asked all the same.
    ...(isOne ? [] : backends.map((backend) => `  server ${address(backend)} backup max_fails=0;`)),
    keepAlive === 0 ? undefined : '  keepalive 8;',
    // An idle connection is given up by nginx before the server closes it under a request.
    keepAlive === undefined || keepAlive === 0 ? undefined : `  keepalive_timeout ${milliseconds(keepAlive)}ms;`,
    '}',
  );
}

/** For so long a machine that failed is asked for nothing; then a request finds out whether it is back. */
const PASSED_OVER = 'max_fails=1 fail_timeout=5s';

/**
 * When the next machine is asked. What is not idempotent, nginx hands on only as long as it has sent nothing of it. A
 * machine without a network says nothing: a second is long for a connection. Each is asked once.
 */
function nextMachine(module: string, { backends }: Site): (string | undefined)[] {
  if (backends.length === 1) return [`${module}_next_upstream error;`];
  return [
    `${module}_next_upstream error timeout invalid_header;`,
    `${module}_next_upstream_tries ${backends.length};`,
    `${module}_connect_timeout 1s;`,
    `${module}_read_timeout 60s;`,
  ];
}

/** The head of an answer has to fit into one buffer: a session's cookie beside a content policy is more than nginx's own 4 KiB. */
function answerHead(module: string): string[] {
  return [`${module}_buffer_size 32k;`, `${module}_buffers 8 32k;`];
}

function milliseconds(keepAlive: number): number {
  return Math.max(1, Math.floor(keepAlive * 800));
}

/**
 * What HTTP needs: the header of a WebSocket, and below a prefix the rest of the path in the client's own spelling. Without
 * a path an application takes SCRIPT_NAME for the whole one, as nginx's stock parameters have it: the mount itself is "/".
 */
function maps({ name, scheme, prefix }: Site): (string | undefined)[] {
  const variable = name.replaceAll('-', '_');
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
  return [connection, prefix === '' ? undefined : path];
}

function pass(site: Site): string {
  const { name, scheme, prefix } = site;
  const variable = name.replaceAll('-', '_');
  if (isHttp(scheme)) {
    return lines(
      `proxy_pass ${scheme}://${name}${prefix === '' ? '' : `$${variable}_path`};`,
      'proxy_http_version 1.1;',
      ...verification(site),
      'proxy_set_header Host $http_host;',
      `proxy_set_header Connection $${variable}_connection;`,
      'proxy_set_header Upgrade $http_upgrade;',
      'proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;',
      'proxy_set_header X-Forwarded-Proto $scheme;',
      'proxy_set_header X-Forwarded-Host $http_host;',
      `proxy_set_header X-Forwarded-Prefix ${prefix === '' ? '""' : prefix};`,
      ...clientHeaders(OWN_HEADERS).map((name) => `proxy_set_header ${name} "";`),
      ...answerHead('proxy'),
      ...nextMachine('proxy', site),
    );
  }
  const own = scheme === 'fastcgi' ? ['fastcgi_keep_conn on;'] : ['scgi_param SCGI 1;'];
  const mounted =
    prefix === '' ? ['SCRIPT_NAME ""', 'PATH_INFO $uri'] : ['SCRIPT_NAME $mount', `PATH_INFO $${variable}_path`];
  return lines(
    `${scheme}_pass ${name};`,
    ...own,
    ...answerHead(scheme),
    ...nextMachine(scheme, site),
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

/** nginx's own fastcgi_params, without what is for files. HTTP_HOST is the client's, with its port. */
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
    // A URL with the version of a file's content never means another content.
    '  if ($arg_v) { expires max; }',
    dotfileStatus === undefined ? undefined : `  location ~ ${dottedPath(prefix, root)} { return ${dotfileStatus}; }`,
    '}',
  );
}

function wholeFile(site: string, stateDir: string): string {
  const at = (name: string): string => nginxString(join(stateDir, name));
  // For whoever is root nginx would take another user, who cannot reach what root's applications listen on.
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

function isHttp(scheme: Scheme): boolean {
  return scheme === 'http' || scheme === 'https';
}
