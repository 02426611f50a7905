/** The real Lighttpd, run as this user in its own directory. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDirectory } from '../directory.ts';
import { freePort, Program } from '../programs/program.ts';
import { optionalCertificate } from './certificate.ts';
import { type RunningWebServer, running } from './web-server.ts';

/** @param configuration what an application needs: modules, and its mount. */
export async function runLighttpd(binary: string, configuration: string): Promise<RunningWebServer> {
  const directory = temporaryDirectory();
  const [port, tlsPort] = [await freePort(), await freePort()];
  const certificate = optionalCertificate(directory);
  mkdirSync(join(directory, 'www'));
  const tls = certificate
    ? `server.modules += ( "mod_openssl" )
$SERVER["socket"] == "127.0.0.1:${tlsPort}" {
  ssl.engine = "enable"
  ssl.pemfile = "${certificate.pem}"
}
`
    : '';
  writeFileSync(
    join(directory, 'lighttpd.conf'),
    `server.document-root = "${directory}/www"
server.bind = "127.0.0.1"
server.port = ${port}
server.pid-file = "${directory}/lighttpd.pid"
server.errorlog = "${directory}/error.log"
server.upload-dirs = ( "${directory}" )
${tls}${configuration}`,
  );
  const program = new Program(binary, ['-D', '-f', join(directory, 'lighttpd.conf')]);
  return running(program, port, tlsPort, directory);
}
