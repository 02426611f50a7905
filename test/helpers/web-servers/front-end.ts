/** Real web servers in front of a FastCGI socket, each on a free loopback port, run as this user in its own directory. */
import { runLighttpd } from './lighttpd.ts';
import { runNginx } from './nginx.ts';

export interface FrontEnd {
  /** The URL of the application, without a trailing slash. */
  readonly url: string;
  /** The path of its error log. */
  readonly errorLog: string;
}

/** The upstream of the web server: the path of a Unix socket, or `host:port`. */
export interface Upstream {
  readonly socket?: string;
  readonly tcp?: { readonly host: string; readonly port: number };
}

/** Starts nginx with the application at `prefix` (default: the root), with keep-alive connections to it. */
export async function startNginx(binary: string, upstream: Upstream, prefix: string = ''): Promise<FrontEnd> {
  const target = upstream.socket ? `unix:${upstream.socket}` : `${upstream.tcp?.host}:${upstream.tcp?.port}`;
  // SCRIPT_NAME and PATH_INFO as nginx's own documentation sets them for an application below a prefix.
  const split = prefix === '' ? '' : `fastcgi_split_path_info ^(${prefix})(.*)$;`;
  const names =
    prefix === ''
      ? 'fastcgi_param SCRIPT_NAME ""; fastcgi_param PATH_INFO $fastcgi_script_name;'
      : 'fastcgi_param SCRIPT_NAME $fastcgi_script_name; fastcgi_param PATH_INFO $fastcgi_path_info;';
  const { url, errorLog } = await runNginx(
    binary,
    `client_max_body_size 64m;
  upstream app { server ${target}; keepalive 8; }
  server {
    listen 80;
    location ${prefix === '' ? '/' : prefix} {
      fastcgi_pass app;
      fastcgi_keep_conn on;
      fastcgi_buffering off;
      ${split}
      ${NGINX_PARAMS}
      ${names}
    }
  }`,
  );
  return { url: `${url}${prefix}`, errorLog };
}

/** Starts nginx with the application at the root, by SCGI. */
export async function startNginxForScgi(binary: string, socket: string): Promise<FrontEnd> {
  const params = NGINX_PARAMS.replaceAll('fastcgi_param', 'scgi_param');
  const { url, errorLog } = await runNginx(
    binary,
    `server {
    listen 80;
    location / {
      scgi_pass unix:${socket};
      scgi_param SCGI 1;
      scgi_param SCRIPT_NAME "";
      scgi_param PATH_INFO $document_uri;
      ${params}
    }
  }`,
  );
  return { url, errorLog };
}

const NGINX_PARAMS = [
  'QUERY_STRING $query_string',
  'REQUEST_METHOD $request_method',
  'CONTENT_TYPE $content_type',
  'CONTENT_LENGTH $content_length',
  'REQUEST_URI $request_uri',
  'DOCUMENT_URI $document_uri',
  'SERVER_PROTOCOL $server_protocol',
  'GATEWAY_INTERFACE CGI/1.1',
  'SERVER_SOFTWARE nginx/$nginx_version',
  'REMOTE_ADDR $remote_addr',
  'REMOTE_PORT $remote_port',
  'SERVER_ADDR $server_addr',
  'SERVER_PORT $server_port',
  'SERVER_NAME $server_name',
]
  .map((param) => `fastcgi_param ${param};`)
  .join('\n      ');

/** Starts Lighttpd with the application at `prefix`, as on the deployment page that this project is based on. */
export async function startLighttpd(binary: string, upstream: Upstream, prefix: string): Promise<FrontEnd> {
  const target = upstream.socket
    ? `"socket" => "${upstream.socket}"`
    : `"host" => "${upstream.tcp?.host}", "port" => ${upstream.tcp?.port}`;
  // Mounted at "/", Lighttpd takes the first directory of a path for the script name, unless configured otherwise.
  const root = prefix === '/' ? ' "fix-root-scriptname" => "enable",' : '';
  const { url, errorLog } = await runLighttpd(
    binary,
    `server.modules += ( "mod_fastcgi" )
server.stream-response-body = 2
$HTTP["host"] =~ "^127\\.0\\.0\\.1(:|$)" {
  fastcgi.server += (
    "${prefix}" => ((
      "check-local" => "disable",${root}
      ${target}
    ))
  )
}
`,
  );
  return { url: `${url}${prefix === '/' ? '' : prefix}`, errorLog };
}
