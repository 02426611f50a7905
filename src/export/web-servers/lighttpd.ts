/** `paster export lighttpd`: a file for `conf-enabled/`, or a complete lighttpd.conf. */
import { join } from 'node:path';
import type { StaticRoot } from '../app-layout.ts';
import type { Backend, Scheme } from '../deployment.ts';
import { exportError, type Site } from '../site.ts';
import { escapeRegex, indented, lighttpdString, lines } from '../text.ts';
import { clientHeaders, clientVariables, filesNote, MEDIA_TYPES, servedRoots } from './common.ts';

export function lighttpdSite(site: Site): string {
  const { scheme, prefix, serverName, maxBodyMiB, stateDir } = site;
  if (scheme === 'https')
    throw exportError('Lighttpd speaks no TLS to an application', 'leave ssl_pem and ssl_cert out');
  const conditions = [
    ...(serverName === undefined ? [] : [`$HTTP["host"] =~ "^${escapeRegex(serverName)}(:\\d+)?$"`]),
    // Lighttpd compares prefixes by letters: /app would match /apple too.
    ...(prefix === '' ? [] : [`$HTTP["url"] =~ "^${escapeRegex(prefix)}(/|$)"`]),
  ];
  const roots = servedRoots(site, { compressed: false });
  const text = lines(
    `# ${scheme} at ${prefix === '' ? 'the root' : prefix}`,
    filesNote(site, roots),
    `server.modules += ( ${modulesOf(site, roots)} )`,
    conditions.reduceRight(
      (inner, condition) => lines(`${condition} {`, indented(inner), '}'),
      lines(
        'server.stream-response-body = 1',
        `server.max-request-size = ${maxBodyMiB * 1024}`,
        ...roots.map((root) => staticFiles(prefix, root)),
        behind(prefix, roots, mount(site)),
      ),
    ),
  );
  return stateDir === undefined ? text : lines(server(site, stateDir), text);
}

function modulesOf({ scheme }: Site, roots: readonly StaticRoot[]): string {
  const speaking = ['mod_setenv', scheme === 'http' ? 'mod_proxy' : `mod_${scheme}`];
  const modules = roots.length === 0 ? speaking : [...speaking, 'mod_alias', 'mod_expire'];
  return modules.map((name) => `"${name}"`).join(', ');
}

/** The paths of files. The application refuses names that begin with a dot, since Lighttpd could only respond with 403. */
function staticPattern(prefix: string, { path, dotfileStatus }: StaticRoot): string {
  return `^${escapeRegex(`${prefix}${path}`)}${dotfileStatus === undefined ? '' : '(?!(.*/)?\\.)'}`;
}

function staticFiles(prefix: string, root: StaticRoot): string {
  const { path, directory, index, maxAge } = root;
  return lines(
    `$HTTP["url"] =~ "${staticPattern(prefix, root)}" {`,
    `  alias.url = ( "${prefix}${path}" => ${lighttpdString(`${directory}/`)} )`,
    `  index-file.names = ( ${index.map((name) => `"${name}"`).join(', ')} )`,
    `  expire.url = ( "" => "access plus ${maxAge} seconds" )`,
    // The content of a URL with the version of a file never changes.
    '  $HTTP["querystring"] =~ "(^|&)v=[^&]" { expire.url = ( "" => "access plus 365 days" ) }',
    '}',
  );
}

function behind(prefix: string, roots: readonly StaticRoot[], text: string): string {
  if (roots.length === 0) return text;
  const patterns = roots.map((root) => staticPattern(prefix, root)).join('|');
  return lines(`$HTTP["url"] !~ "${patterns}" {`, indented(text), '}');
}

function mount({ scheme, prefix, removedPrefix, backends }: Site): string {
  const options = scheme === 'http' ? [] : gatewayOptions(prefix);
  const entries = backends.map((backend) =>
    lines('  (', indented(indented([...options, serverAddress(backend)].join(',\n'))), '  )'),
  );
  const name = scheme === 'http' ? 'proxy' : scheme;
  const url = scheme === 'http' || prefix === '' ? '/' : prefix;
  return lines(
    `${name}.server = ( "${url}" => (`,
    entries.join(',\n'),
    '))',
    withoutClientHeaders(scheme, removedPrefix),
    ...(scheme === 'http' ? proxyHeaders(removedPrefix) : []),
  );
}

/** At the root Lighttpd takes the first directory of a path for SCRIPT_NAME by default. */
function gatewayOptions(prefix: string): string[] {
  return ['"check-local" => "disable"', ...(prefix === '' ? ['"fix-root-scriptname" => "enable"'] : [])];
}

function serverAddress(backend: Backend): string {
  if (backend.kind === 'unix') return `"socket" => ${lighttpdString(backend.path)}`;
  return `"host" => "${backend.host}", "port" => ${backend.port}`;
}

/** Lighttpd adds the client's address to the first header and replaces the others. */
const OWN_HEADERS = ['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-host'];

/**
 * Lighttpd deletes a header that is set to an empty text. A variable is sent empty instead, after the client's headers, since
 * headers with different spellings may become the same variable.
 */
function withoutClientHeaders(scheme: Scheme, prefix: string): string {
  if (scheme !== 'http') return assignments('environment', clientVariables(), () => '');
  return assignments('request-header', clientHeaders(OWN_HEADERS), (name) =>
    name === 'X-Forwarded-Prefix' ? prefix : '',
  );
}

function assignments(what: string, names: readonly string[], textOf: (name: string) => string): string {
  const entries = names.map((name) => `  "${name}" => "${textOf(name)}"`);
  return lines(`setenv.set-${what} = (`, entries.join(',\n'), ')');
}

function proxyHeaders(prefix: string): string[] {
  if (prefix === '') return ['proxy.header = ( "upgrade" => "enable" )'];
  return [`proxy.header = ( "upgrade" => "enable", "map-urlpath" => ( "${prefix}/" => "/", "${prefix}" => "/" ) )`];
}

/** An empty directory among Lighttpd's own files, for paths and hosts that are not the application's. */
export const EMPTY_ROOT = 'empty';

function server({ listen }: Site, stateDir: string): string {
  const at = (name: string): string => lighttpdString(join(stateDir, name));
  const host = listen.host.includes(':') ? `[${listen.host}]` : listen.host;
  return lines(
    `server.document-root = ${at(EMPTY_ROOT)}`,
    `server.bind = "${host}"`,
    `server.port = ${listen.port}`,
    `server.pid-file = ${at('lighttpd.pid')}`,
    `server.errorlog = ${at('error.log')}`,
    `server.upload-dirs = ( ${lighttpdString(stateDir)} )`,
    'mimetype.assign = (',
    MEDIA_TYPES.flatMap(([type, ...endings]) => endings.map((ending) => `  ".${ending}" => "${type}"`)).join(',\n'),
    ')',
  );
}
