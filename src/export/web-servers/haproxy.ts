/** `paster export haproxy`: a frontend and a backend for haproxy.cfg, or a complete haproxy.cfg. */
import type { Backend } from '../deployment.ts';
import { exportError, hostPort, listenText, type Site } from '../site.ts';
import { escapeRegex, haproxyWord, lines } from '../text.ts';
import { clientHeaders } from './common.ts';

export function haproxySite(site: Site): string {
  const { name, scheme, prefix, stateDir } = site;
  if (scheme === 'scgi') throw exportError('HAProxy speaks no SCGI', 'serve FastCGI or HTTP');
  return lines(
    `# ${scheme} at ${prefix === '' ? 'the root' : prefix}`,
    ...site.layout.staticRoots.map(
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

/** The first group is SCRIPT_NAME, the second one PATH_INFO. HAProxy requires docroot, which is for programs in files. */
function fcgiApp(name: string, prefix: string): string {
  return lines(
    `fcgi-app ${name}-fcgi`,
    '  docroot /',
    `  path-info ^(${escapeRegex(prefix)})(/.*)?$`,
    '  pass-header Authorization',
  );
}

function backend(site: Site): string {
  const { name, scheme, prefix, removedPrefix, backends, proxyProtocol } = site;
  const isFastcgi = scheme === 'fastcgi';
  const protocol = isFastcgi ? ' proto fcgi' : scheme === 'https' ? verification(site) : '';
  const options = proxyProtocol ? `${protocol} send-proxy-v2` : protocol;
  return lines(
    `backend ${name}-app`,
    '  mode http',
    '  option redispatch',
    '  retries 3',
    '  retry-on conn-failure empty-response',
    '  http-request disable-l7-retry unless { method GET HEAD OPTIONS PUT DELETE }',
    isFastcgi ? `  use-fcgi-app ${name}-fcgi` : undefined,
    // The prefix alone becomes "/": an application takes SCRIPT_NAME without PATH_INFO for the whole path.
    isFastcgi && removedPrefix !== '' ? `  http-request set-path ${prefix}/ if { path ${prefix} }` : undefined,
    ...clientHeaders(isFastcgi ? [] : OWN_HEADERS).map((name) => `  http-request del-header ${name}`),
    // X_Forwarded_For and X-Forwarded-For become the same CGI variable.
    '  http-request del-header [^A-Za-z0-9-] -m reg',
    ...(isFastcgi ? [] : forwarding(removedPrefix)),
    ...backends.map((each, index) => `  server app${index + 1} ${serverAddress(each)}${options}`),
  );
}

function verification({ backendTls: tls }: Site): string {
  if (!tls) return ' ssl verify none';
  return ` ssl verify required ca-file ${haproxyWord(tls.ca)} sni str(${tls.hostName}) verifyhost ${tls.hostName}`;
}

function serverAddress(backend: Backend): string {
  return backend.kind === 'unix' ? `unix@${haproxyWord(backend.path)}` : hostPort(backend);
}

/** HAProxy adds the client's address to this header. */
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

/** Debian's haproxy.cfg has a section like this above the first frontend. */
const DEFAULTS = `defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 300s`;
