/** Certificates (RFC 5280) of a local authority and of a server for development. */
import { createHash, createPublicKey, type KeyObject, randomBytes, sign } from 'node:crypto';
import { isIP } from 'node:net';

const DAY_MS = 86_400_000;
/** For clients whose clock is slow. */
const EARLIER_MS = 3_600_000;

const ECDSA_SHA256 = sequence(oid('1.2.840.10045.4.3.2'));
const SERVER_AUTH = oid('1.3.6.1.5.5.7.3.1');

/** The extensions of RFC 5280 section 4.2.1. */
const SUBJECT_KEY_IDENTIFIER = '2.5.29.14';
const KEY_USAGE = '2.5.29.15';
const SUBJECT_ALT_NAME = '2.5.29.17';
const BASIC_CONSTRAINTS = '2.5.29.19';
const NAME_CONSTRAINTS = '2.5.29.30';
const AUTHORITY_KEY_IDENTIFIER = '2.5.29.35';
const EXTENDED_KEY_USAGE = '2.5.29.37';

const DIGITAL_SIGNATURE = bitString(Buffer.from([0x80]), 7);
const SIGN_CERTIFICATES_AND_CRLS = bitString(Buffer.from([0x06]), 1);

/** The value 2 means version 3. */
const VERSION_3 = integer(Buffer.from([2]));

/** The networks whose addresses an authority may certify: loopback, private and link-local ones. */
const LOCAL_NETWORKS = [
  ['127.0.0.0', 8],
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['169.254.0.0', 16],
  ['100.64.0.0', 10],
  ['::1', 128],
  ['fc00::', 7],
  ['fe80::', 10],
] as const;

/** Domains that belong to this machine and its network (RFC 6761, 6762, 8375). */
const LOCAL_DOMAINS = ['localhost', 'local', 'test', 'home.arpa', 'internal'] as const;

/** An authority: its key, its name, and the host name that it may certify besides local names. */
export interface Authority {
  readonly key: KeyObject;
  readonly hostName: string;
}

/**
 * The certificate of an authority. It can certify nothing but local names and addresses, so a thief of its
 * key cannot pose as any other server.
 */
export function authorityCertificate({ key, hostName }: Authority, days: number): string {
  return certificate({
    issuer: key,
    issuerName: authorityName(hostName),
    subjectName: authorityName(hostName),
    subjectKey: createPublicKey(key),
    days,
    extensions: [
      // It may sign certificates of servers, but not of further authorities: the path length is 0.
      extension(BASIC_CONSTRAINTS, sequence(TRUE, integer(Buffer.from([0]))), true),
      extension(KEY_USAGE, SIGN_CERTIFICATES_AND_CRLS, true),
      extension(NAME_CONSTRAINTS, sequence(element(0xa0, ...permitted(hostName))), true),
    ],
  });
}

/** The certificate of a server. @param names host names and IP addresses that the authority may certify */
export function serverCertificate(
  authority: Authority,
  subject: KeyObject,
  names: readonly string[],
  days: number,
): string {
  return certificate({
    issuer: authority.key,
    issuerName: authorityName(authority.hostName),
    subjectName: name('paster development server', 'localhost'),
    subjectKey: createPublicKey(subject),
    days,
    extensions: [
      extension(BASIC_CONSTRAINTS, sequence(), true),
      extension(KEY_USAGE, DIGITAL_SIGNATURE, true),
      extension(EXTENDED_KEY_USAGE, sequence(SERVER_AUTH)),
      extension(SUBJECT_ALT_NAME, sequence(...names.map(generalName))),
    ],
  });
}

/** Whether an authority of this machine may certify a host name or an IP address. */
export function isCertifiable(name: string, hostName: string): boolean {
  if (isIP(name) !== 0) return LOCAL_NETWORKS.some(([network, bits]) => isWithin(name, network, bits));
  return name === hostName || LOCAL_DOMAINS.some((domain) => name === domain || name.endsWith(`.${domain}`));
}

interface CertificateFields {
  readonly issuer: KeyObject;
  readonly issuerName: Buffer;
  readonly subjectName: Buffer;
  readonly subjectKey: KeyObject;
  readonly days: number;
  readonly extensions: readonly Buffer[];
}

function certificate({ issuer, issuerName, subjectName, subjectKey, days, extensions }: CertificateFields): string {
  const now = Date.now();
  const serial = randomBytes(16);
  // As a positive number of a fixed length.
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const toBeSigned = sequence(
    element(0xa0, VERSION_3),
    integer(serial),
    ECDSA_SHA256,
    issuerName,
    sequence(time(new Date(now - EARLIER_MS)), time(new Date(now + days * DAY_MS))),
    subjectName,
    publicKeyInfo(subjectKey),
    element(
      0xa3,
      sequence(
        ...extensions,
        extension(SUBJECT_KEY_IDENTIFIER, octetString(keyId(subjectKey))),
        extension(AUTHORITY_KEY_IDENTIFIER, sequence(element(0x80, keyId(createPublicKey(issuer))))),
      ),
    ),
  );
  const signed = sequence(toBeSigned, ECDSA_SHA256, bitString(sign('sha256', toBeSigned, issuer)));
  const lines = signed.toString('base64').replace(/(.{64})(?=.)/g, '$1\n');
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}

function authorityName(hostName: string): Buffer {
  return name('paster development CA', hostName);
}

function name(organization: string, commonName: string): Buffer {
  return sequence(
    set(sequence(oid('2.5.4.10'), utf8(organization))),
    set(sequence(oid('2.5.4.3'), utf8(commonName.slice(0, 64)))),
  );
}

function publicKeyInfo(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' });
}

/** The point of the key is at the end, uncompressed. */
function keyId(key: KeyObject): Buffer {
  return createHash('sha1').update(publicKeyInfo(key).subarray(-65)).digest();
}

function extension(id: string, value: Buffer, isCritical = false): Buffer {
  return sequence(oid(id), ...(isCritical ? [TRUE] : []), octetString(value));
}

function generalName(text: string): Buffer {
  return isIP(text) === 0 ? element(0x82, Buffer.from(text, 'latin1')) : element(0x87, addressBytes(text));
}

function permitted(hostName: string): Buffer[] {
  const domains = [...new Set([...LOCAL_DOMAINS, hostName])].map((domain) =>
    element(0x82, Buffer.from(domain, 'latin1')),
  );
  const networks = LOCAL_NETWORKS.map(([network, bits]) => {
    const bytes = addressBytes(network);
    return element(0x87, bytes, maskBytes(bits, bytes.length));
  });
  return [...domains, ...networks].map((base) => sequence(base));
}

function isWithin(address: string, network: string, bits: number): boolean {
  const [bytes, base] = [addressBytes(address), addressBytes(network)];
  if (bytes.length !== base.length) return false;
  const mask = maskBytes(bits, base.length);
  return bytes.every((byte, index) => (byte & (mask[index] ?? 0)) === base[index]);
}

function maskBytes(bits: number, length: number): Buffer {
  return Buffer.from(
    Array.from({ length }, (_, index) => 0xff & ~(0xff >> Math.min(8, Math.max(0, bits - 8 * index)))),
  );
}

/** The 4 or 16 bytes of an IP address. */
function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  // The URL parser writes an address with an IPv4 part in groups, too.
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const groupsOf = (text = '') => (text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16)));
  const [first, last] = [groupsOf(head), groupsOf(tail)];
  const groups = [...first, ...Array.from({ length: 8 - first.length - last.length }, () => 0), ...last];
  return Buffer.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}

// --- ASN.1 in DER (ITU-T X.690), the form of certificates: as much of it as these need

/** An element: its tag, the length, the contents. */
function element(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  return Buffer.concat([Buffer.from([tag]), lengthOf(content.length), content]);
}

function lengthOf(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length]);
  const bytes: number[] = [];
  for (let left = length; left > 0; left = Math.floor(left / 256)) bytes.unshift(left % 256);
  return Buffer.from([0x80 | bytes.length, ...bytes]);
}

function sequence(...members: readonly Buffer[]): Buffer {
  return element(0x30, ...members);
}

function set(...members: readonly Buffer[]): Buffer {
  return element(0x31, ...members);
}

/** A number that is not negative, by its bytes. */
function integer(bytes: Buffer): Buffer {
  const first = bytes.findIndex((byte) => byte !== 0);
  const shortest = first === -1 ? Buffer.from([0]) : bytes.subarray(first);
  const isNegative = ((shortest[0] ?? 0) & 0x80) !== 0;
  return element(0x02, ...(isNegative ? [Buffer.from([0])] : []), shortest);
}

const TRUE = element(0x01, Buffer.from([0xff]));

/** @param unused the number of bits at the end that do not count */
function bitString(bytes: Buffer, unused = 0): Buffer {
  return element(0x03, Buffer.from([unused]), bytes);
}

function octetString(content: Buffer): Buffer {
  return element(0x04, content);
}

function utf8(text: string): Buffer {
  return element(0x0c, Buffer.from(text));
}

/** An object identifier, such as `2.5.29.17`. */
function oid(text: string): Buffer {
  const [first = 0, second = 0, ...others] = text.split('.').map(Number);
  const bytes = [first * 40 + second, ...others].flatMap((part) => {
    const groups = [part % 128];
    for (let left = Math.floor(part / 128); left > 0; left = Math.floor(left / 128))
      groups.unshift(0x80 | (left % 128));
    return groups;
  });
  return element(0x06, Buffer.from(bytes));
}

/** A time of a certificate: with two digits for the year until 2049, as RFC 5280 section 4.1.2.5 requires. */
function time(date: Date): Buffer {
  const text = `${date.toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`;
  return date.getUTCFullYear() < 2050
    ? element(0x17, Buffer.from(text.slice(2), 'latin1'))
    : element(0x18, Buffer.from(text, 'latin1'));
}
