/**
 * The real Apache 2.4 with the event MPM, in its own directory. Apache does not serve as root: started by root, it
 * runs as www-data, with permission to access the test's private directories.
 */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDirectory } from '../directory.ts';
import { freePort, Program } from '../programs/program.ts';
import { optionalCertificate } from './certificate.ts';
import { type RunningWebServer, running } from './web-server.ts';

const MODULES = ['mpm_event', 'authz_core', 'alias', 'env', 'setenvif', 'ssl', 'socache_shmcb'];
const LIBRARY = '/usr/lib/apache2/modules';

/** Runs as www-data, but can read and write like root. */
const AS_WWW_DATA = [
  '--reuid=www-data',
  '--regid=www-data',
  '--clear-groups',
  '--inh-caps=+dac_override',
  '--ambient-caps=+dac_override',
];

/** @param configuration the content of a virtual host. @param modules the modules that it needs, by name: `proxy_fcgi`. */
export async function runApache(
  binary: string,
  configuration: string,
  modules: readonly string[],
): Promise<RunningWebServer> {
  const directory = temporaryDirectory();
  chmodSync(directory, 0o777);
  const [port, tlsPort] = [await freePort(), await freePort()];
  const certificate = optionalCertificate(directory);
  mkdirSync(join(directory, 'www'));
  const host = (at: number, tls: string) => `Listen 127.0.0.1:${at}
<VirtualHost 127.0.0.1:${at}>
${tls}${configuration}
</VirtualHost>
`;
  writeFileSync(
    join(directory, 'apache2.conf'),
    `${[...MODULES, ...modules].map((name) => `LoadModule ${name}_module ${LIBRARY}/mod_${name}.so\n`).join('')}
ServerRoot "${directory}"
ServerName 127.0.0.1
PidFile "${directory}/apache2.pid"
DefaultRuntimeDir "${directory}"
ErrorLog "${directory}/error.log"
DocumentRoot "${directory}/www"
StartServers 1
MinSpareThreads 8
MaxSpareThreads 16
ThreadsPerChild 8
<IfModule fcgid_module>
FcgidIPCDir "${directory}"
FcgidProcessTableFile "${directory}/fcgid_shm"
</IfModule>
<IfModule cgid_module>
ScriptSock "${directory}/cgisock"
</IfModule>
${host(port, '')}${
  certificate
    ? host(
        tlsPort,
        `SSLEngine on\nSSLCertificateFile "${certificate.cert}"\nSSLCertificateKeyFile "${certificate.key}"\n`,
      )
    : ''
}`,
  );
  const command = [binary, '-DFOREGROUND', '-f', join(directory, 'apache2.conf')];
  const [file = '', ...args] = process.getuid?.() === 0 ? ['setpriv', ...AS_WWW_DATA, '--', ...command] : command;
  const program = new Program(file, args);
  return running(program, port, tlsPort, directory);
}
