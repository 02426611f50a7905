/** The certificate and the key that the settings name. */
import { ConfigError, errorMessage } from '../../errors.ts';
import { readConfiguration } from '../../user-files.ts';
import type { HttpSettings } from './settings.ts';

export interface Tls {
  readonly cert: Buffer;
  readonly key: Buffer;
}

export function readTls(settings: HttpSettings): Tls | undefined {
  const tls = readTlsFiles(settings);
  if (tls) {
    try {
      process.getBuiltinModule('node:tls').createSecureContext(tls);
    } catch (error) {
      throw new ConfigError('PASTER_TLS', `certificate and key cannot be used: ${errorMessage(error)}`, {
        cause: error,
        hint: 'both have to be PEM, and the key that of the certificate',
      });
    }
  }
  return tls;
}

function readTlsFiles(settings: HttpSettings): Tls | undefined {
  const { ssl_pem: pem, ssl_cert: cert, ssl_key: key } = settings;
  if (pem !== undefined && (cert !== undefined || key !== undefined)) {
    throw new ConfigError('PASTER_TLS', 'ssl_pem and ssl_cert/ssl_key exclude each other', { setting: 'ssl_pem' });
  }
  if (pem !== undefined) return { cert: readPem('ssl_pem', pem), key: readPem('ssl_pem', pem) };
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined || key === undefined) {
    throw new ConfigError('PASTER_TLS', `${cert === undefined ? 'ssl_key' : 'ssl_cert'} alone is not enough`, {
      setting: cert === undefined ? 'ssl_key' : 'ssl_cert',
      hint: 'give both ssl_cert and ssl_key, or ssl_pem',
    });
  }
  return { cert: readPem('ssl_cert', cert), key: readPem('ssl_key', key) };
}

function readPem(setting: string, file: string): Buffer {
  try {
    return readConfiguration(file);
  } catch (error) {
    throw new ConfigError('PASTER_TLS', `${setting}: ${errorMessage(error)}`, { setting });
  }
}
