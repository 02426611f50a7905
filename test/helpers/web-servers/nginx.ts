/** The real nginx, run as this user in its own directory. */
import { copyFileSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDirectory } from '../directory.ts';
import { freePort, Program } from '../programs/program.ts';
import { optionalCertificate } from './certificate.ts';
import { type RunningWebServer, running } from './web-server.ts';

/** The files of /etc/nginx that configurations include. */
const INCLUDED = ['fastcgi_params', 'scgi_params'];

/** For `http { }`: only root can write to the directories that nginx was compiled with. */
export function nginxTemporaryPaths(directory: string): string {
  return ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${directory}/${name};\n`)
    .join('');
}

/** The same configuration on a free loopback port instead of port 80, which `nginx -t` binds too. */
export async function offPort80(configuration: string): Promise<string> {
  return configuration.replace(/^( *listen )\*:80;/m, `$1127.0.0.1:${await freePort()};`);
}

/** @param configuration the content of `http { }`; its `listen 80;` becomes free loopback ports, one with TLS. */
export async function runNginx(binary: string, configuration: string): Promise<RunningWebServer> {
  const directory = temporaryDirectory();
  const [port, tlsPort] = [await freePort(), await freePort()];
  const certificate = optionalCertificate(directory);
  for (const name of INCLUDED) {
    if (existsSync(`/etc/nginx/${name}`)) copyFileSync(`/etc/nginx/${name}`, join(directory, name));
  }
  const tls = certificate
    ? `listen 127.0.0.1:${tlsPort} ssl; ssl_certificate ${certificate.cert}; ssl_certificate_key ${certificate.key};`
    : '';
  writeFileSync(
    join(directory, 'nginx.conf'),
    `daemon off;
master_process off;
pid ${directory}/nginx.pid;
error_log ${directory}/error.log;
events { worker_connections 256; }
http {
  access_log off;
${nginxTemporaryPaths(directory)}${configuration.replace('listen 80;', `listen 127.0.0.1:${port}; ${tls}`)}
}
`,
  );
  const program = new Program(binary, ['-p', directory, '-c', join(directory, 'nginx.conf')]);
  return running(program, port, tlsPort, directory);
}
