/** How a web server checks that it reaches the application, and not another process, when that speaks HTTPS. */
import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { errorMessage } from '../errors.ts';
import { fromWorkingDirectory } from '../working-directory.ts';
import type { Deployment } from './deployment.ts';
import { type BackendTls, mistake, type SiteOptions } from './site.ts';

/** The authorities that the system trusts, on Debian, Fedora, and Alpine or FreeBSD. */
const SYSTEM = ['/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt', '/etc/ssl/cert.pem'] as const;

/**
 * Trusts the authority that the command line names, or the application's certificate itself where it is self-signed, or
 * the system's authorities.
 * @returns undefined where the certificate is not to be verified, or there is none.
 */
export function backendTls({ scheme, certificate }: Deployment, options: SiteOptions): BackendTls | undefined {
  const { backendCa, insecureBackend, serverName } = options;
  if (scheme !== 'https') {
    if (backendCa === undefined && !insecureBackend) return undefined;
    throw mistake('the server does not speak HTTPS', 'leave --backend-ca and --insecure-backend out');
  }
  if (insecureBackend) return undefined;
  const own = read(certificate);
  const isSelfSigned = own.checkIssued(own) && own.verify(own.publicKey);
  const isPinned = backendCa === undefined && isSelfSigned;
  const system = SYSTEM.find((file) => existsSync(file)) ?? SYSTEM[0];
  const ca = backendCa === undefined ? (isPinned ? (certificate ?? '') : system) : fromWorkingDirectory(backendCa);
  const name = nameOf(own, serverName);
  const commonName = /^CN=([A-Za-z0-9.-]+)$/m.exec(own.subject)?.[1];
  return { ca, name, hostName: isIP(name) === 0 ? name : (commonName ?? name), isPinned };
}

function read(file: string | undefined): X509Certificate {
  try {
    return new X509Certificate(readFileSync(file ?? ''));
  } catch (error) {
    throw mistake(
      `the certificate of the server cannot be read: ${errorMessage(error)}`,
      'run export where it is, or say --insecure-backend to trust any',
    );
  }
}

function nameOf(certificate: X509Certificate, serverName: string | undefined): string {
  if (serverName !== undefined && certificate.checkHost(serverName) !== undefined) return serverName;
  const names = (certificate.subjectAltName ?? '').split(', ');
  const [dns] = names.filter((each) => each.startsWith('DNS:')).map((each) => each.slice('DNS:'.length));
  const [address] = names
    .filter((each) => each.startsWith('IP Address:'))
    .map((each) => each.slice('IP Address:'.length));
  const name = dns?.replace(/^\*/, 'www') ?? address ?? '';
  if (isIP(name) !== 0 || /^[A-Za-z0-9.-]+$/.test(name)) return name;
  throw mistake(
    'the certificate of the server names no host',
    'make one with a subjectAltName, or say --insecure-backend',
  );
}
