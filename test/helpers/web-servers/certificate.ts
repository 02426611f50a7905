/** A certificate that openssl makes for the test. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { needProgram, requireProgram } from '../programs/program.ts';

export interface Certificate {
  readonly cert: string;
  readonly key: string;
  /** The path of a file with both. */
  readonly pem: string;
}

/** Returns undefined without openssl. */
export function optionalCertificate(directory: string, subject?: string): Certificate | undefined {
  return requireProgram('openssl') === undefined ? undefined : makeCertificate(directory, subject);
}

/** Without openssl the running test is skipped. */
export function makeCertificate(directory: string, subject = 'IP:127.0.0.1'): Certificate {
  const openssl = needProgram('openssl');
  const [cert, key, pem] = ['cert.pem', 'key.pem', 'both.pem'].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ];
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const names = ['-subj', '/CN=localhost', '-addext', `subjectAltName=${subject}`];
  execFileSync(openssl, [...request, ...names, '-days', '30', '-keyout', key, '-out', cert], { stdio: 'ignore' });
  writeFileSync(pem, readFileSync(key, 'utf8') + readFileSync(cert, 'utf8'));
  return { cert, key, pem };
}
