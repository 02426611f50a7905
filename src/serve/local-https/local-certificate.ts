/**
 * The certificate of `serve --https`, and the local authority that signs it. Both are made once, in a directory of the user's
 * own; the certificate again when it is about to expire or when this machine has other names or addresses.
 */
import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import { dirname, join } from 'node:path';
import { errorCode, errorMessage, RunError } from '../../errors.ts';
import { exposureOf } from '../../files/path-steps.ts';
import { type Authority, authorityCertificate, isCertifiable, serverCertificate } from './certificate.ts';

const DAY_MS = 86_400_000;
const AUTHORITY_DAYS = 3650;
/** The most that Apple's systems accept of an authority that a user has added is 825. */
const SERVER_DAYS = 397;
/** It is made again when less than this is left. */
const RENEW_DAYS = 30;

export interface LocalCertificate {
  /** A file with the certificate and its key. */
  readonly pem: string;
  /** The certificate of the authority, for clients to trust. */
  readonly authority: string;
  /** Whether the authority is new, so that no client trusts it yet. */
  readonly isNew: boolean;
}

/** @throws RunError if there is no directory for it that only this user can access. */
export function localCertificate(): LocalCertificate {
  const directory = ownDirectory();
  try {
    const found = existingAuthority(directory);
    const authority = found ?? makeAuthority(directory);
    const pem = join(directory, 'server.pem');
    const names = localNames().filter((name) => isCertifiable(name, authority.hostName));
    if (!isCurrent(pem, authority, names)) {
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
      replaceFile(pem, pemOf(privateKey) + serverCertificate(authority, privateKey, names, SERVER_DAYS), 0o600);
    }
    return { pem, authority: join(directory, 'ca.pem'), isNew: found === undefined };
  } catch (error) {
    throw new RunError('PASTER_LOCAL_CERTIFICATE', `--https: ${errorMessage(error)}`, {
      hint: `remove ${directory} to begin with a new certificate authority`,
      cause: error,
    });
  }
}

interface FoundAuthority extends Authority {
  readonly certificate: X509Certificate;
}

/** Its key and its certificate are in one file, so that they always belong together. */
function existingAuthority(directory: string): FoundAuthority | undefined {
  const text = readIfPresent(join(directory, 'ca-key.pem'));
  if (text === undefined) return undefined;
  const certificate = new X509Certificate(text);
  const key = createPrivateKey(text);
  if (!certificate.checkPrivateKey(key))
    throw new Error('the key of the certificate authority does not belong to its certificate');
  // It must outlive what it signs.
  if (daysLeft(certificate) < SERVER_DAYS) return undefined;
  // It may have been removed.
  if (readIfPresent(join(directory, 'ca.pem')) !== certificate.toString()) {
    replaceFile(join(directory, 'ca.pem'), certificate.toString(), 0o644);
  }
  return { key, certificate, hostName: /^CN=(.*)$/m.exec(certificate.subject)?.[1] ?? 'localhost' };
}

function makeAuthority(directory: string): FoundAuthority {
  const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const hostName = ownHostName();
  const certificate = authorityCertificate({ key, hostName }, AUTHORITY_DAYS);
  const file = join(directory, 'ca-key.pem');
  const made = temporaryFile(file, pemOf(key) + certificate, 0o600);
  try {
    // It replaces an authority that expires too soon.
    if (existsSync(file)) renameSync(made, file);
    else linkSync(made, file);
  } catch (error) {
    // Another process was first.
    if (errorCode(error) !== 'EEXIST') throw error;
  } finally {
    rmSync(made, { force: true });
  }
  const found = existingAuthority(directory);
  if (!found) throw new Error(`${file} has disappeared`);
  return found;
}

/** Whether the certificate is this authority's, is for these names, and does not expire soon. */
function isCurrent(pem: string, { certificate: issuer }: FoundAuthority, names: readonly string[]): boolean {
  const text = readIfPresent(pem);
  if (text === undefined) return false;
  try {
    const certificate = new X509Certificate(text);
    return (
      daysLeft(certificate) >= RENEW_DAYS &&
      certificate.verify(issuer.publicKey) &&
      certificate.checkPrivateKey(createPrivateKey(text)) &&
      names.every((name) => certificate.checkHost(name) ?? certificate.checkIP(name))
    );
  } catch {
    // It was cut, or edited by hand.
    return false;
  }
}

/** What clients on this machine and in its network call it. */
function localNames(): string[] {
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  // A link-local address of IPv6 needs an interface in the URL, which browsers do not accept.
  const reachable = addresses.filter(({ address, internal }) => !internal && !/^fe80:/i.test(address));
  const own = ownHostName();
  const isShort = own !== 'localhost' && !own.includes('.');
  const names = ['localhost', own, ...(isShort ? [`${own}.local`] : []), '127.0.0.1', '::1'];
  return [...new Set([...names, ...reachable.map(({ address }) => address)])];
}

/** The name of this machine, if it is one that may be in a certificate. */
function ownHostName(): string {
  const name = hostname().toLowerCase();
  return /^(?=.{1,64}$)[a-z\d]([a-z\d-]*[a-z\d])?(\.[a-z\d]([a-z\d-]*[a-z\d])?)*$/.test(name) && !/^[\d.]+$/.test(name)
    ? name
    : 'localhost';
}

// --- files -----------------------------------------------------------------------------------------------------------

/**
 * Made if it does not exist. No other user may be able to get in, or to put another directory in its place. This is checked
 * before anything is made, too: with `sudo`, HOME may be a directory in which another user has laid symbolic links.
 */
function ownDirectory(): string {
  const { XDG_DATA_HOME, HOME } = process.env;
  const data = XDG_DATA_HOME?.startsWith('/') ? XDG_DATA_HOME : HOME?.startsWith('/') && join(HOME, '.local/share');
  const hint = 'set XDG_DATA_HOME to a directory that only you can write to';
  if (!data) throw new RunError('PASTER_LOCAL_CERTIFICATE', '--https: there is no directory for the keys', { hint });
  const directory = join(data, 'paster', 'https');
  try {
    refuseShared(nearestExisting(directory));
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    refuseShared(directory);
    const real = realpathSync(directory);
    if (lstatSync(real).uid !== process.geteuid?.()) throw new Error('it belongs to another user');
    chmodSync(real, 0o700);
    return real;
  } catch (cause) {
    const message = `--https: ${directory} is not a safe place for keys: ${errorMessage(cause)}`;
    throw new RunError('PASTER_LOCAL_CERTIFICATE', message, { hint, cause });
  }
}

function refuseShared(directory: string): void {
  const { exposedAbove, exposedInside } = exposureOf(directory);
  if (exposedAbove === undefined && !exposedInside) return;
  throw new Error(`other users can write to ${exposedAbove ?? directory}`);
}

function nearestExisting(directory: string): string {
  return existsSync(directory) ? directory : nearestExisting(dirname(directory));
}

function readIfPresent(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function temporaryFile(file: string, text: string, mode: number): string {
  const path = `${file}.${process.pid}-${Date.now()}`;
  writeFileSync(path, text, { mode, flag: 'wx' });
  return path;
}

/** A server that reads the file meanwhile gets the old one or the new one. */
function replaceFile(file: string, text: string, mode: number): void {
  renameSync(temporaryFile(file, text, mode), file);
}

function pemOf(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

function daysLeft({ validTo }: X509Certificate): number {
  return (Date.parse(validTo) - Date.now()) / DAY_MS;
}
