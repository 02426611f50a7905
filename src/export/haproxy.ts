/** `paster export haproxy`: frontend and backend for a haproxy.cfg, or a whole one. */
import { clientHeaders } from './client-headers.ts';
import type { Backend } from './deployment.ts';
import { haproxyWord } from './quote.ts';
import { hostPort, listenText, mistake, type Site } from './site.ts';
import { escapeRegex, lines } from './text.ts';

export function haproxySite(site: Site): string {
  const { name, scheme, prefix, stateDir } = site;
  if (scheme === 'scgi') throw mistake('HAProxy speaks no SCGI', 'serve FastCGI or HTTP');
  return lines(
    `# ${scheme} at ${prefix === '' ? 'the root' : prefix}`,
    ...site.places.staticRoots.map(
      ({ path }) => `# ${prefix}${path}: by the application, since HAProxy serves no files`,
    ),
    stateDir === undefined ? undefined : DEFAULTS,
    frontend(site),
    scheme === 'fastcgi' ? fcgiApp(name, prefix) : undefined,
    backend(site),
  );
}

function frontend({ name, listen, prefix, serverName, maxBodyMiB }: Site): string {
  const conditions = [
    ...(serverName === undefined ? [] : [`{ hdr(host),field(1,:) -i ${serverName} }`]),
    ...(prefix === '' ? [] : ['at_mount']),
  ];
  return lines(
    `frontend ${name}`,
    `  bind ${listenText(listen)}`,
    '  mode http',
    `  http-request deny deny_status 413 if { req.body_size gt ${maxBodyMiB * 1024 * 1024} }`,
    prefix === '' ? undefined : `  acl at_mount path ${prefix}`,
    prefix === '' ? undefined : `  acl at_mount path_beg ${prefix}/`,
    conditions.length === 0 ? undefined : `  http-request return status 404 unless ${conditions.join(' ')}`,
    `  default_backend ${name}-app`,
  );
}

/** The first group is the script's name, the second one the rest; docroot is for programs that are files. */
function fcgiApp(name: string, prefix: string): string {
  return lines(
    `fcgi-app ${name}-fcgi`,
    '  docroot /',
    `  path-info ^(${escapeRegex(prefix)})(/.*)?$`,
    '  pass-header Authorization',
  );
}

function backend(site: Site): string {
  const { name, scheme, prefix, backends } = site;
  const isFastcgi = scheme === 'fastcgi';
  const options = isFastcgi ? ' proto fcgi' : scheme === 'https' ? verification(site) : '';
  return lines(
    `backend ${name}-app`,
    '  mode http',
    '  option redispatch',
    '  retries 3',
    '  retry-on conn-failure empty-response',
    '  http-request disable-l7-retry unless { method GET HEAD OPTIONS PUT DELETE }',
    isFastcgi ? `  use-fcgi-app ${name}-fcgi` : undefined,
    // Without a path an application takes the script's name for the whole one: the mount itself is "/".
    isFastcgi && prefix !== '' ? `  http-request set-path ${prefix}/ if { path ${prefix} }` : undefined,
    ...clientHeaders(isFastcgi ? [] : OWN_HEADERS).map((name) => `  http-request del-header ${name}`),
    // As a CGI variable, X_Forwarded_For is the same as X-Forwarded-For.
    '  http-request del-header [^A-Za-z0-9-] -m reg',
    ...(isFastcgi ? [] : forwarding(prefix)),
    ...backends.map((each, index) => `  server app${index + 1} ${place(each)}${options}`),
  );
}

function verification({ backendTls: tls }: Site): string {
  if (!tls) return ' ssl verify none';
  return ` ssl verify required ca-file ${haproxyWord(tls.ca)} sni str(${tls.hostName}) verifyhost ${tls.hostName}`;
}

function place(backend: Backend): string {
  return backend.kind === 'unix' ? `unix@${haproxyWord(backend.path)}` : hostPort(backend);
}

/** HAProxy adds the client's address to it. */
const OWN_HEADERS = ['x-forwarded-for'];

function forwarding(prefix: string): string[] {
  return [
    '  option forwardfor',
    '  http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]',
    ...(prefix === ''
      ? []
      : [
          `  http-request set-header X-Forwarded-Prefix ${prefix}`,
          `  http-request replace-path ^${escapeRegex(prefix)}/?(.*)$ /\\1`,
        ]),
  ];
}

/** What Debian's haproxy.cfg has above the first frontend. */
const DEFAULTS = `defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 300s`;
