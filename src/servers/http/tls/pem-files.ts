/** The PEM files that the settings name: which belong together, and how they are read. */
import { ConfigError, errorCode, errorMessage } from '../../../errors.ts';
import { readConfiguration } from '../../../files/user-files.ts';
import type { HttpSettings } from '../settings.ts';

/** A file and the setting that names it. */
export interface PemFile {
  readonly setting: 'ssl_pem' | 'ssl_cert' | 'ssl_key' | 'ssl_client_ca';
  readonly path: string;
}

/** A certificate and its key, in two files or in one. */
export interface CertificateFiles {
  readonly cert: PemFile;
  readonly key: PemFile;
}

/** @returns none: the server does not speak TLS. @throws ConfigError where two settings contradict each other. */
export function certificateFiles(settings: HttpSettings): CertificateFiles[] {
  const { ssl_pem: pem, ssl_cert: cert, ssl_key: key } = settings;
  if (pem !== undefined && (cert !== undefined || key !== undefined)) {
    throw new ConfigError('PASTER_TLS', 'ssl_pem and ssl_cert/ssl_key are mutually exclusive', { setting: 'ssl_pem' });
  }
  checkClientSettings(settings);
  if (pem !== undefined) {
    return pem.map((path) => ({ cert: { setting: 'ssl_pem', path }, key: { setting: 'ssl_pem', path } }));
  }
  if (cert === undefined && key === undefined) return [];
  if (cert === undefined || key === undefined) {
    throw new ConfigError('PASTER_TLS', `${cert === undefined ? 'ssl_key' : 'ssl_cert'} alone is not enough`, {
      setting: cert === undefined ? 'ssl_key' : 'ssl_cert',
      hint: 'give both ssl_cert and ssl_key, or ssl_pem',
    });
  }
  if (cert.length !== key.length) {
    throw new ConfigError('PASTER_TLS', `ssl_cert has ${lines(cert)} and ssl_key has ${lines(key)}`, {
      setting: 'ssl_key',
      hint: 'write the key of each certificate on the same line of ssl_key',
    });
  }
  return cert.map((path, index) => ({
    cert: { setting: 'ssl_cert', path },
    key: { setting: 'ssl_key', path: key[index] ?? '' },
  }));
}

function lines({ length }: readonly string[]): string {
  return length === 1 ? '1 line' : `${length} lines`;
}

function checkClientSettings(settings: HttpSettings): void {
  const { ssl_pem, ssl_cert, ssl_client_ca, ssl_client_verify } = settings;
  const hint = 'clients can only show a certificate to a server that speaks TLS';
  if (ssl_client_ca !== undefined && ssl_pem === undefined && ssl_cert === undefined) {
    throw new ConfigError('PASTER_TLS', 'ssl_client_ca needs ssl_pem, or ssl_cert and ssl_key', {
      setting: 'ssl_client_ca',
      hint,
    });
  }
  if (ssl_client_verify !== undefined && ssl_client_ca === undefined) {
    throw new ConfigError('PASTER_TLS', 'ssl_client_verify needs ssl_client_ca', {
      setting: 'ssl_client_verify',
      hint: 'name the file with the certificates of the authorities that sign those of the clients',
    });
  }
}

/** @throws ConfigError with the path and what to do. */
export function readPem({ setting, path }: PemFile): Buffer {
  try {
    return readConfiguration(path);
  } catch (error) {
    throw new ConfigError('PASTER_TLS', `${setting}: ${reason(error, path)}`, {
      setting,
      path,
      cause: error,
      hint: hintFor(error, path),
    });
  }
}

function reason(error: unknown, path: string): string {
  return errorCode(error) === 'ENOENT' ? `there is no file ${path}` : errorMessage(error);
}

function hintFor(error: unknown, path: string): string | undefined {
  switch (errorCode(error)) {
    case 'ENOENT':
      return /\s/.test(path)
        ? 'write one path per line; a relative path is relative to the INI file'
        : 'create it or correct the path; a relative path is relative to the INI file';
    case 'EACCES':
      return 'the user that the server runs as must be able to read it';
    case 'EISDIR':
      return 'name the PEM file in this directory';
    default:
      return undefined;
  }
}
