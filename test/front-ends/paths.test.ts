/**
 * What each web server makes of a path, and what the application sees: the table in docs/web-servers.md. If the table differs
 * from what the web servers send, `npx vitest run test/front-ends/paths.test.ts -u` updates it.
 */
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory, writeScripts } from '../helpers/directory.ts';
import { blockBelow, readPage } from '../helpers/documentation/documentation.ts';
import { findProgram, freePort, Program, ROOT, requireProgram, serve } from '../helpers/programs/program.ts';
import { runApache } from '../helpers/web-servers/apache.ts';
import { runHaproxy } from '../helpers/web-servers/haproxy.ts';
import { runLighttpd } from '../helpers/web-servers/lighttpd.ts';
import { runNginx } from '../helpers/web-servers/nginx.ts';
import { untilAnswering } from '../helpers/web-servers/web-server.ts';

const PAGE = 'docs/web-servers.md';
const TABLE = /(?<=^<!-- Table written by .* -->\n\n)(?:\|.*\n)*/m;

/** The end of every requested path: a space, a slash within a segment, a query. */
const REST = '/a%20b/c%2Fd?x=1';

/** Plain Node, where the last two are absent at the root; Express then sets them itself, to the same. */
const APP = `export default ({ environ, url, baseUrl = '', originalUrl = url }, res) => {
  const { SCRIPT_NAME, PATH_INFO, REQUEST_URI } = environ;
  res.end(JSON.stringify({ SCRIPT_NAME, PATH_INFO, REQUEST_URI, url, baseUrl, originalUrl }));
};
`;

interface Seen {
  readonly SCRIPT_NAME: string;
  readonly PATH_INFO?: string;
  readonly REQUEST_URI: string;
  readonly url: string;
  readonly baseUrl: string;
  readonly originalUrl: string;
}

/** Starts a web server in front of the application in `directory`. @returns Its URL. */
type Start = (binary: string, configuration: string, directory: string) => Promise<string>;

/** The name of a configuration in the table, the configuration, and the part of the path in front of `REST`. */
type Row = readonly [name: string, configuration: string, prefix: string];

interface WebServer {
  readonly program: string;
  readonly start: Start;
  readonly rows: readonly Row[];
}

// --- web servers and their configurations --------------------------------------------------------------------------------

const NGINX_PASS = 'include fastcgi_params; fastcgi_pass unix:/srv/myapp/var/fcgi-socket;';
const NGINX_SPLIT = `${NGINX_PASS} fastcgi_param SCRIPT_NAME ""; fastcgi_param PATH_INFO $uri;`;

function nginx(locations: string): string {
  return `server { listen 80; root /srv/myapp/www; ${locations} }`;
}

const LIGHTTPD_ROOT = blockBelow('docs/lighttpd.md', 'FastCGI');
const APACHE_ROOT = blockBelow('docs/apache.md', 'FastCGI by mod_proxy_fcgi');
const APACHE_BELOW = blockBelow('docs/apache.md', 'FastCGI by mod_proxy_fcgi below a prefix');

function script(file: string, handler: string, more: string): string {
  return `AllowEncodedSlashes On
DocumentRoot "/srv/myapp/www"
<Directory "/srv/myapp/www">
  Require all granted
  Options +ExecCGI
  <Files "${file}">
    SetHandler ${handler}
  </Files>
</Directory>
${more}`;
}

/** Rewrites every path to the script, like a .htaccess file next to it. */
function rewritten(file: string): string {
  return `<Directory "/srv/myapp/www">
  RewriteEngine On
  RewriteRule ^${file}(/|$) - [L]
  RewriteRule ^(.*)$ ${file}/$1 [L]
</Directory>`;
}

function caddy(
  directives: string,
  transport: string = 'env SCRIPT_NAME ""\nenv PATH_INFO {http.request.uri.path}',
): string {
  return `${directives}
reverse_proxy "unix//srv/myapp/var/fcgi-socket" {
  transport fastcgi {
    ${transport}
  }
}`;
}

async function startCaddy(binary: string, configuration: string): Promise<string> {
  const port = await freePort();
  const directory = temporaryDirectory({
    Caddyfile: `{\nadmin off\nauto_https off\n}\nhttp://127.0.0.1:${port} {\n${configuration}\n}\n`,
  });
  const args = ['run', '--adapter', 'caddyfile', '--config', join(directory, 'Caddyfile')];
  await untilAnswering(port, new Program(binary, args, { env: { HOME: directory } }));
  return `http://127.0.0.1:${port}`;
}

/** @param configuration a line of `fcgi-app`, then one of the frontend */
async function startHaproxy(binary: string, configuration: string, directory: string): Promise<string> {
  const [application = '', rule = ''] = configuration.split('\n');
  return (await runHaproxy(binary, join(directory, 'var/fcgi-socket'), application, rule)).url;
}

const urlOf = ({ url }: { readonly url: string }): string => url;

const WEB_SERVERS: Readonly<Record<string, WebServer>> = {
  nginx: {
    program: 'nginx',
    start: (binary, configuration) => runNginx(binary, configuration).then(urlOf),
    rows: [
      ['stock `fastcgi_params`', nginx(`location / { ${NGINX_PASS} }`), ''],
      ['stock `fastcgi_params` in `location /app/`', nginx(`location /app/ { ${NGINX_PASS} }`), '/app'],
      [
        'SCRIPT_NAME and PATH_INFO [below `/app`](nginx.md#fastcgi-below-a-prefix)',
        blockBelow('docs/nginx.md', 'FastCGI below a prefix'),
        '/app',
      ],
      [
        '`rewrite ^/old/(.*) /new/$1 last`, stock `fastcgi_params`',
        nginx(`rewrite ^/old/(.*) /new/$1 last; location / { ${NGINX_PASS} }`),
        '/old',
      ],
      [
        '`rewrite ^/old/(.*) /new/$1 last`, `PATH_INFO $uri`',
        nginx(`rewrite ^/old/(.*) /new/$1 last; location / { ${NGINX_SPLIT} }`),
        '/old',
      ],
      [
        '`try_files $uri @app`, stock `fastcgi_params`',
        nginx(`location / { try_files $uri @app; } location @app { ${NGINX_PASS} }`),
        '',
      ],
      [
        '`try_files $uri /index.fcgi?$args`, stock `fastcgi_params`',
        nginx(`location / { try_files $uri /index.fcgi?$args; } location = /index.fcgi { ${NGINX_PASS} }`),
        '',
      ],
      [
        '`error_page 404 /missing`, stock `fastcgi_params`',
        nginx(`error_page 404 /missing; location / { } location = /missing { ${NGINX_PASS} }`),
        '',
      ],
      [
        '`error_page 404 /missing`, `PATH_INFO $uri`',
        nginx(`error_page 404 /missing; location / { } location = /missing { ${NGINX_SPLIT} }`),
        '',
      ],
    ],
  },
  Lighttpd: {
    program: 'lighttpd',
    start: (binary, configuration) => runLighttpd(binary, configuration).then(urlOf),
    rows: [
      ['`"/"` with `fix-root-scriptname`', LIGHTTPD_ROOT, ''],
      [
        '`"/"` without it (needs `script_name = /`)',
        blockBelow('docs/lighttpd.md', 'FastCGI at the root without fix-root-scriptname'),
        '',
      ],
      ['`"/app"`', blockBelow('docs/lighttpd.md', 'FastCGI below a prefix'), '/app'],
      [
        '`url.rewrite-once = ( "^/old/(.*)" => "/new/$1" )`',
        `server.modules += ( "mod_rewrite" )\nurl.rewrite-once = ( "^/old/(.*)" => "/new/$1" )\n${LIGHTTPD_ROOT}`,
        '/old',
      ],
      [
        '`server.error-handler-404 = "/app/missing"`',
        `server.error-handler-404 = "/app/missing"\n${blockBelow('docs/lighttpd.md', 'FastCGI below a prefix')}`,
        '',
      ],
    ],
  },
  Apache: {
    program: 'apache2',
    start: (binary, configuration) =>
      runApache(binary, configuration, ['proxy', 'proxy_fcgi', 'fcgid', 'cgid', 'rewrite']).then(urlOf),
    rows: [
      ['mod_proxy_fcgi, `ProxyPass "/"`', APACHE_ROOT, ''],
      ['mod_proxy_fcgi, `ProxyPass "/app"`', APACHE_BELOW.replace(/^SetEnvIf.*\n/m, ''), '/app'],
      ['mod_proxy_fcgi, `ProxyPass "/app"`, `proxy-fcgi-pathinfo=unescape`', APACHE_BELOW, '/app'],
      [
        'mod_proxy_fcgi, `RewriteRule ^/old/(.*) /new/$1 [PT]`',
        `RewriteEngine On\nRewriteRule ^/old/(.*) /new/$1 [PT]\n${APACHE_ROOT}`,
        '/old',
      ],
      [
        'mod_fcgid, `ScriptAlias "/app"`',
        script('app.fcgi', 'fcgid-script', 'ScriptAlias "/app" "/srv/myapp/www/app.fcgi"'),
        '/app',
      ],
      [
        'mod_fcgid, `.htaccess` with `RewriteRule ^(.*)$ app.fcgi/$1 [L]`',
        script('app.fcgi', 'fcgid-script', rewritten('app.fcgi')),
        '',
      ],
      [
        'mod_cgid, `ScriptAlias "/app"`',
        script('app.cgi', 'cgi-script', 'ScriptAlias "/app" "/srv/myapp/www/app.cgi"'),
        '/app',
      ],
      [
        'mod_cgid, `.htaccess` with `RewriteRule ^(.*)$ app.cgi/$1 [L]`',
        script('app.cgi', 'cgi-script', rewritten('app.cgi')),
        '',
      ],
      [
        'mod_cgid, `ErrorDocument 404 /app/missing`',
        script('app.cgi', 'cgi-script', 'ScriptAlias "/app" "/srv/myapp/www/app.cgi"\nErrorDocument 404 /app/missing'),
        '',
      ],
    ],
  },
  Caddy: {
    program: 'caddy',
    start: startCaddy,
    rows: [
      ['`transport fastcgi` alone', caddy('', ''), ''],
      ['SCRIPT_NAME and PATH_INFO [as exported](caddy.md#what-is-written)', caddy(''), ''],
      [
        'the same below `/app`',
        caddy('uri strip_prefix /app', 'env SCRIPT_NAME /app\nenv PATH_INFO {http.request.uri.path}'),
        '/app',
      ],
      ['`uri replace /old /new`, as exported', caddy('uri replace /old /new'), '/old'],
    ],
  },
  HAProxy: {
    program: 'haproxy',
    start: startHaproxy,
    rows: [
      ['no `path-info`', '', ''],
      ['`path-info ^()(/.*)?$`', 'path-info ^()(/.*)?$', ''],
      ['`path-info ^(/app)(/.*)?$`', 'path-info ^(/app)(/.*)?$', '/app'],
      [
        '`path-info ^()(/.*)?$`, `http-request replace-path ^/old/(.*) /new/\\1`',
        'path-info ^()(/.*)?$\nhttp-request replace-path ^/old/(.*) /new/\\1',
        '/old',
      ],
    ],
  },
};

// --- the table -----------------------------------------------------------------------------------------------------------

function project(): string {
  const section = (server: string) =>
    `[app:main]\nuse = module:./app.js\n[server:main]\nuse = npm:paster#fastcgi\n${server}`;
  const directory = temporaryDirectory({
    'app.js': APP,
    'socket.ini': section('socket = %(here)s/var/fcgi-socket\n'),
    'app.ini': section(''),
  });
  const start = `#!/bin/sh\nexec ${process.execPath} ${ROOT}/bin/paster.js serve ${directory}/app.ini`;
  writeScripts(directory, { 'www/app.fcgi': `${start}\n`, 'www/app.cgi': `${start} -s cgi\n` });
  mkdirSync(join(directory, 'var'));
  // Apache runs as another user.
  for (const name of ['', 'var', 'www']) chmodSync(join(directory, name), 0o777);
  return directory;
}

function cell(value: string | undefined): string {
  return value === undefined ? 'not sent' : value === '' ? '`""`' : `\`${value}\``;
}

function rowText(webServer: string, name: string, seen: Seen): string {
  const { SCRIPT_NAME, PATH_INFO, REQUEST_URI, url, baseUrl } = seen;
  const cells = [SCRIPT_NAME, PATH_INFO, REQUEST_URI, url, baseUrl].map(cell);
  return `| ${[`${webServer}: ${name}`, ...cells].join(' | ')} |\n`;
}

const HEAD = `| configuration | SCRIPT_NAME | PATH_INFO | REQUEST_URI | \`req.url\` | \`req.baseUrl\` |
| --- | --- | --- | --- | --- | --- |
`;

const missing = Object.values(WEB_SERVERS).some(({ program }) => requireProgram(program) === undefined);

test.skipIf(missing)(`the table of paths in ${PAGE} is what the web servers send`, async () => {
  const directory = project();
  await serve([join(directory, 'socket.ini')]);
  let table = HEAD;
  for (const [webServer, { program, start, rows }] of Object.entries(WEB_SERVERS)) {
    for (const [name, configuration, prefix] of rows) {
      const url = await start(findProgram(program) ?? '', configuration.replaceAll('/srv/myapp', directory), directory);
      const seen = (await (await fetch(url + prefix + REST)).json()) as Seen;
      expect(seen.originalUrl, name).toBe(seen.baseUrl === '' ? seen.url : seen.REQUEST_URI);
      table += rowText(webServer, name, seen);
    }
  }
  expect(readPage(PAGE)).toMatch(TABLE);
  await expect(readPage(PAGE).replace(TABLE, () => table)).toMatchFileSnapshot(join(ROOT, PAGE));
});
