/** A certificate with its key, as a server presents it. */
import type { X509Certificate } from 'node:crypto';
import type { SecureContext } from 'node:tls';
import { ConfigError, errorMessage } from '../../../errors.ts';
import { type CertificateFiles, type PemFile, readPem } from './pem-files.ts';

/** For modules that only TLS needs: loading them takes time. */
const builtin = process.getBuiltinModule;

/** What `tls.Server.setSecureContext` takes. */
export interface ContextOptions {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** The authorities that sign the certificates of clients. */
  readonly ca?: Buffer;
}

export interface Certificate {
  readonly files: CertificateFiles;
  readonly options: ContextOptions;
  readonly context: SecureContext;
  /** The host names that it is for, in lower case; one may begin with `*.`. */
  readonly names: readonly string[];
  /** In milliseconds of `Date.now()`. */
  readonly expires: number;
  /** For messages: its first name. */
  readonly title: string;
}

/**
 * Reads a certificate and its key.
 * @param before returned if the files and `ca` are the same as then
 * @throws ConfigError if a file cannot be read, or if they do not belong together
 */
export function readCertificate(files: CertificateFiles, ca: Buffer | undefined, before?: Certificate): Certificate {
  const cert = readPem(files.cert);
  const key = files.key.path === files.cert.path ? cert : readPem(files.key);
  if (
    before &&
    cert.equals(before.options.cert) &&
    key.equals(before.options.key) &&
    sameBytes(ca, before.options.ca)
  ) {
    return before;
  }
  const options = { cert, key, ...(ca ? { ca } : {}) };
  try {
    const context = builtin('node:tls').createSecureContext({ ...options, honorCipherOrder: true });
    const x509 = new (builtin('node:crypto').X509Certificate)(cert);
    const names = hostNames(x509);
    return { files, options, context, names, expires: Date.parse(x509.validTo), title: titleOf(x509, names) };
  } catch (error) {
    throw unusable(files, error);
  }
}

/** @throws ConfigError if it has no certificate. */
export function readAuthorities(file: PemFile): Buffer {
  const ca = readPem(file);
  try {
    new (builtin('node:crypto').X509Certificate)(ca);
    builtin('node:tls').createSecureContext({ ca });
    return ca;
  } catch (error) {
    throw new ConfigError(
      'PASTER_TLS',
      `${file.setting}: ${file.path} has no usable certificate: ${errorMessage(error)}`,
      {
        setting: file.setting,
        path: file.path,
        cause: error,
        hint: 'it has to be PEM, with the certificates of the authorities that sign those of the clients',
      },
    );
  }
}

function unusable({ cert, key }: CertificateFiles, error: unknown): ConfigError {
  const where = key.path === cert.path ? cert.path : `${cert.path}, ${key.path}`;
  return new ConfigError('PASTER_TLS', `certificate and key cannot be used: ${errorMessage(error)}: ${where}`, {
    setting: cert.setting,
    path: cert.path,
    cause: error,
    hint: 'both have to be PEM, and the key that of the certificate',
  });
}

function sameBytes(one: Buffer | undefined, other: Buffer | undefined): boolean {
  return one === undefined || other === undefined ? one === other : one.equals(other);
}

/** `DNS:example.org, DNS:*.example.org, IP Address:127.0.0.1`. Node quotes a name with characters that no host name has. */
const DNS_NAME = /^DNS:(\*\.)?([a-z\d_-]+(?:\.[a-z\d_-]+)*)$/i;

/** Those of the certificate's subjectAltName; the common name counts only without one (RFC 9525). */
function hostNames(x509: X509Certificate): string[] {
  const names = (x509.subjectAltName ?? '').split(', ').flatMap((each) => {
    const [, wildcard = '', name] = DNS_NAME.exec(each) ?? [];
    return name === undefined ? [] : [`${wildcard}${name}`.toLowerCase()];
  });
  const commonName = commonNameOf(x509);
  return x509.subjectAltName !== undefined || commonName === undefined ? names : [commonName.toLowerCase()];
}

function titleOf(x509: X509Certificate, names: readonly string[]): string {
  const address = /IP Address:([\da-f.:]+)/i.exec(x509.subjectAltName ?? '')?.[1];
  return names[0] ?? address ?? commonNameOf(x509) ?? 'a certificate without a name';
}

function commonNameOf({ subject }: X509Certificate): string | undefined {
  return /^CN=(.+)$/m.exec(subject ?? '')?.[1];
}
