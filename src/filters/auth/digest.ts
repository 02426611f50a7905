/**
 * `npm:paster#auth_digest` (`egg:Paste#auth_digest`): asks for a name and a password, which the client does not send itself
 * (RFC 7616). SHA-256 and MD5, `qop=auth`; a replayed request is refused.
 */
import { createHash, createHmac, randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { defineSettings, type OptionsOf, type SettingsOf, withDefaults } from '../../config/settings/setting.ts';
import { path, seconds, secret } from '../../config/settings/setting-types.ts';
import type { MountedRequest } from '../../http/mount.ts';
import { setRemoteUser } from '../../http/remote-user.ts';
import type { Filter, Settings } from '../../protocol/types.ts';
import { accessFilter, plainRefusal, type Refusal } from '../access/access-decision.ts';
import { equalTexts } from './password.ts';
import { realm, UserList, userLines, usersFile } from './user-list.ts';

export const authDigestSettings = defineSettings(
  {
    realm: { type: realm, required: true, help: 'The purpose of the password. The hashes contain it.' },
    users_file: {
      type: path,
      help: 'A file as htdigest writes it; read again when it changes.',
      example: '%(here)s/htdigest',
    },
    users: {
      type: userLines,
      default: [] as readonly string[],
      help: 'A line "name:realm:HASH" for each user: MD5 (32 digits) or SHA-256 (64) of "name:realm:password".',
    },
    nonce_lifetime: {
      type: seconds,
      default: 300,
      help: 'Seconds for which a nonce is good; clients get another one.',
    },
    secret: { type: secret, help: 'Signs the nonces, so that with several workers each knows those of all.' },
  },
  { meaning: 'asks for a name and a password (Digest)' },
);

/** Makes the filter of a `[filter:*]` section. */
export function makeAuthDigest(_globalConf: Settings, settings: SettingsOf<typeof authDigestSettings>): Filter {
  return authDigest({ ...settings, users_file: usersFile(settings.users_file) });
}
makeAuthDigest.settings = authDigestSettings;
makeAuthDigest.check = makeAuthDigest;

/** By the algorithm's name in HTTP, the best first: Node's name for it, and the length of its hashes in hexadecimal digits. */
const ALGORITHMS = {
  'SHA-256': { hash: 'sha256', digits: 64 },
  MD5: { hash: 'md5', digits: 32 },
} as const;

type Algorithm = keyof typeof ALGORITHMS;
const ALGORITHM_NAMES = Object.keys(ALGORITHMS) as readonly Algorithm[];

interface DigestEntry {
  readonly realm: string;
  readonly algorithm: Algorithm;
  /** The hash of `name:realm:password`, RFC 7616's H(A1). */
  readonly hash: string;
}

/**
 * A filter that asks for a user's name and password; the application finds the name in `req.remoteUser`. Each process
 * remembers the requests it has seen, so with `secret` the same request may succeed once at each worker.
 * @throws ConfigError for malformed users.
 */
export function authDigest(options: OptionsOf<typeof authDigestSettings>): Filter {
  const settings = withDefaults(authDigestSettings, options);
  const read = (rest: string): DigestEntry => readEntry(rest, settings.realm);
  const users = new UserList(settings.users, settings.users_file, read, ({ algorithm }) => algorithm);
  const nonces = new Nonces(settings.nonce_lifetime * 1000, settings.secret);
  const challenge = (isStale: boolean): Refusal => {
    const offered = ALGORITHM_NAMES.filter((name) => users.kinds.has(name));
    const nonce = nonces.create();
    const stale = isStale ? ', stale=true' : '';
    return plainRefusal(401, {
      'www-authenticate': offered.map(
        (name) =>
          `Digest realm="${settings.realm}", qop="auth", algorithm=${name}, nonce="${nonce}", charset=UTF-8${stale}`,
      ),
    });
  };
  return accessFilter((req) => {
    const credentials = readDigestCredentials(req);
    if (credentials === undefined || credentials.realm !== settings.realm) return challenge(false);
    if (!isForUrlOf(credentials.uri, req))
      return plainRefusal(400, {}, 'Bad Request: the credentials are for another address');
    const known = users.get(credentials.user);
    const isOfKind = known?.algorithm === credentials.algorithm;
    // For an unknown user another user's hash of the same kind is compared, so that the time does not tell whether the user exists.
    const entry = isOfKind ? known : users.kinds.get(credentials.algorithm);
    if (entry === undefined || !isRightResponse(credentials, entry, req.method ?? '') || !isOfKind)
      return challenge(false);
    // Only now, so that a client without the password learns nothing about nonces and cannot make this process store any.
    if (!nonces.isGood(credentials.nonce) || !nonces.use(credentials.nonce, Number.parseInt(credentials.count, 16))) {
      return challenge(true);
    }
    setRemoteUser(req, credentials.user, 'Digest');
    return undefined;
  });
}

function readEntry(rest: string, expected: string): DigestEntry {
  const colon = rest.lastIndexOf(':');
  const entryRealm = rest.slice(0, Math.max(0, colon));
  const hash = rest.slice(colon + 1).toLowerCase();
  const algorithm = ALGORITHM_NAMES.find((name) => ALGORITHMS[name].digits === hash.length);
  if (entryRealm !== expected) throw new Error(`the realm is "${entryRealm}" instead of "${expected}"`);
  if (algorithm === undefined || !/^[\da-f]+$/.test(hash)) {
    throw new Error('the hash is neither MD5 (32 hexadecimal digits) nor SHA-256 (64)');
  }
  return { realm: entryRealm, algorithm, hash };
}

/** A client's response to a challenge (RFC 7616 section 3.4). */
interface DigestCredentials {
  readonly user: string;
  readonly realm: string;
  readonly nonce: string;
  readonly uri: string;
  readonly algorithm: string;
  readonly count: string;
  readonly cnonce: string;
  readonly response: string;
}

const AUTH_PARAMETER = /[ \t]*([\w*-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))[ \t]*(?:,|$)/y;

function readDigestCredentials({ headers }: IncomingMessage): DigestCredentials | undefined {
  const [scheme = ''] = /^digest[ \t]+/i.exec(headers.authorization ?? '') ?? [];
  if (scheme === '') return undefined;
  const values = readParameters((headers.authorization ?? '').slice(scheme.length));
  if (values === undefined || values.get('qop') !== 'auth' || values.get('userhash') === 'true') return undefined;
  const user = readUser(values);
  const get = (name: string): string => values.get(name) ?? '';
  if (user === undefined || !/^[\da-f]{8}$/i.test(get('nc')) || get('cnonce') === '') return undefined;
  return {
    user,
    realm: get('realm'),
    nonce: get('nonce'),
    uri: get('uri'),
    algorithm: values.get('algorithm')?.toUpperCase() ?? 'MD5',
    count: get('nc'),
    cnonce: get('cnonce'),
    response: get('response').toLowerCase(),
  };
}

/** Undefined if the text is malformed or has a parameter twice. */
function readParameters(text: string): Map<string, string> | undefined {
  const values = new Map<string, string>();
  AUTH_PARAMETER.lastIndex = 0;
  while (AUTH_PARAMETER.lastIndex < text.length) {
    const match = AUTH_PARAMETER.exec(text);
    const name = match?.[1]?.toLowerCase();
    if (match === null || name === undefined || values.has(name)) return undefined;
    values.set(name, match[2]?.replace(/\\(.)/g, '$1') ?? match[3] ?? '');
  }
  return values;
}

/** The name as it is, or percent-encoded as `username*=UTF-8''...` (RFC 5987). Node decodes headers as latin-1. */
function readUser(values: ReadonlyMap<string, string>): string | undefined {
  const plain = values.get('username');
  const extended = values.get('username*');
  if ((plain === undefined) === (extended === undefined)) return undefined;
  if (plain !== undefined) return Buffer.from(plain, 'latin1').toString('utf8');
  try {
    return decodeURIComponent(/^utf-8'[\w-]*'(.+)$/i.exec(extended ?? '')?.[1] ?? '') || undefined;
  } catch {
    return undefined;
  }
}

/** Credentials for one URL must not be accepted for another (RFC 7616 section 3.4.6). */
function isForUrlOf(uri: string, req: MountedRequest): boolean {
  const target = req.originalUrl ?? req.url ?? '';
  return uri === target || withoutOrigin(uri) === withoutOrigin(target);
}

function withoutOrigin(target: string): string {
  return target.replace(/^https?:\/\/[^/?#]*/i, '') || '/';
}

function isRightResponse(credentials: DigestCredentials, entry: DigestEntry, method: string): boolean {
  const digest = (data: string): string =>
    createHash(ALGORITHMS[entry.algorithm].hash).update(data, 'latin1').digest('hex');
  const { nonce, count, cnonce, uri } = credentials;
  const expected = digest(`${entry.hash}:${nonce}:${count}:${cnonce}:auth:${digest(`${method}:${uri}`)}`);
  return equalTexts(credentials.response, expected);
}

/** How far behind the highest count a request may arrive: browsers send several at once. */
const COUNT_WINDOW = 64;
/** How many used nonces are remembered. The oldest is forgotten first, and its client gets a new one. */
const MAX_USED = 10_000;

interface NonceUse {
  highest: number;
  readonly seen: Set<number>;
}

/**
 * The nonces of Digest authentication (RFC 7616 section 3.3). They are signed, so a nonce is stored only once a request with
 * the right password has used it, together with the counts of those requests.
 */
export class Nonces {
  readonly #key: Buffer;
  readonly #lifetime: number;
  readonly #used = new Map<string, NonceUse>();
  /** A nonce made before this time that is not in `#used` may have been used and forgotten. */
  #forgottenUntil = 0;

  /**
   * @param lifetime milliseconds
   * @param secret must be the same in all workers; without it each worker accepts only its own nonces
   */
  constructor(lifetime: number, secret: string | undefined) {
    this.#lifetime = lifetime;
    this.#key = secret === undefined ? randomBytes(32) : createHmac('sha256', secret).update('paster digest').digest();
  }

  create(now: number = Date.now()): string {
    const text = `${now.toString(36)}.${randomBytes(9).toString('base64url')}`;
    return `${text}.${this.#sign(text)}`;
  }

  /** Whether this server made the nonce and it has not expired. */
  isGood(nonce: string, now: number = Date.now()): boolean {
    const [time = '', random = '', signature = '', ...rest] = nonce.split('.');
    if (rest.length > 0 || !equalTexts(signature, this.#sign(`${time}.${random}`))) return false;
    const made = Number.parseInt(time, 36);
    return made <= now && now - made <= this.#lifetime && (made > this.#forgottenUntil || this.#used.has(nonce));
  }

  /**
   * Records a use. Call it only after the password has been verified.
   * @returns false if the count was used before or is too far behind: the request may be a replay.
   */
  use(nonce: string, count: number): boolean {
    const use = this.#used.get(nonce) ?? { highest: 0, seen: new Set<number>() };
    if (count <= use.highest - COUNT_WINDOW || use.seen.has(count)) return false;
    use.seen.add(count);
    use.highest = Math.max(use.highest, count);
    for (const seen of use.seen) if (seen <= use.highest - COUNT_WINDOW) use.seen.delete(seen);
    this.#used.set(nonce, use);
    if (this.#used.size > MAX_USED) this.#forgetOldest();
    return true;
  }

  #forgetOldest(): void {
    const [oldest] = this.#used.keys();
    if (oldest === undefined) return;
    this.#used.delete(oldest);
    this.#forgottenUntil = Math.max(this.#forgottenUntil, Number.parseInt(oldest, 36));
  }

  #sign(text: string): string {
    return createHmac('sha256', this.#key).update(text).digest('base64url');
  }
}
