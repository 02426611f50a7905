/** A certificate authority that exists during the test, and certificates that it signs. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { needProgram } from '../programs/program.ts';

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

export class Authority {
  readonly cert: string;
  readonly #openssl: string;
  readonly #key: string;
  readonly #directory: string;

  /** Without openssl the running test is skipped. */
  constructor(directory: string, name = 'authority') {
    this.#openssl = needProgram('openssl');
    this.#directory = directory;
    this.cert = join(directory, `${name}.pem`);
    this.#key = join(directory, `${name}.key`);
    const request = ['req', '-x509', ...KEY, '-subj', `/CN=${name}`, '-days', '30'];
    execFileSync(this.#openssl, [...request, '-keyout', this.#key, '-out', this.cert], { stdio: 'ignore' });
  }

  /** @param names in the form of `subjectAltName`. @returns the paths of a certificate and its key */
  sign(file: string, commonName: string, names?: string, days = 30): { cert: string; key: string } {
    const [cert, key, request, extensions] = ['pem', 'key', 'csr', 'ext'].map((end) =>
      join(this.#directory, `${file}.${end}`),
    ) as [string, string, string, string];
    const run = (args: readonly string[]): void => void execFileSync(this.#openssl, args, { stdio: 'ignore' });
    run(['req', '-new', ...KEY, '-subj', `/CN=${commonName}`, '-keyout', key, '-out', request]);
    writeFileSync(extensions, names === undefined ? '' : `subjectAltName=${names}\n`);
    const signing = ['x509', '-req', '-in', request, '-CA', this.cert, '-CAkey', this.#key, '-extfile', extensions];
    run([...signing, '-days', String(days), '-out', cert]);
    return { cert, key };
  }
}
