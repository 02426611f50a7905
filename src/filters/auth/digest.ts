/**
 * `npm:paster#auth_digest` (`egg:Paste#auth_digest`): asks for a name and a password without the password being sent
 * (RFC 7616). SHA-256 and MD5, `qop=auth`; a request that is sent a second time is refused.
 */
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import {
  defineSettings,
  type OptionsOf,
  path,
  type SettingsOf,
  seconds,
  secret,
  withDefaults,
} from '../../config/setting.ts';
import { setRemoteUser } from '../../http/identity.ts';
import type { MountedRequest } from '../../http/mount.ts';
import type { Filter, Settings } from '../../protocol/types.ts';
import { gate, type Refusal, refuse } from '../gate.ts';
import { Nonces } from './digest-nonces.ts';
import { equalTexts } from './password.ts';
import { realm } from './realm.ts';
import { UserList, userLines, usersFile } from './user-list.ts';

export const authDigestSettings = defineSettings(
  {
    realm: { type: realm, required: true, help: 'What the password is for. The hashes are made with it.' },
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

/** By the name that HTTP has for it: Node's name, and how many hexadecimal digits it gives. The best comes first. */
const ALGORITHMS = {
  'SHA-256': { hash: 'sha256', digits: 64 },
  MD5: { hash: 'md5', digits: 32 },
} as const;

type Algorithm = keyof typeof ALGORITHMS;
const NAMES = Object.keys(ALGORITHMS) as readonly Algorithm[];

interface Entry {
  readonly realm: string;
  readonly algorithm: Algorithm;
  /** The hash of `name:realm:password`, RFC 7616's H(A1). */
  readonly hash: string;
}

/**
 * A filter that lets only users in who know their password; the application finds the name in `req.remoteUser`. Each
 * process remembers which requests it has seen: the same one may succeed once at each of several workers with `secret`.
 * @throws ConfigError for users that cannot be read.
 */
export function authDigest(options: OptionsOf<typeof authDigestSettings>): Filter {
  const settings = withDefaults(authDigestSettings, options);
  const read = (rest: string): Entry => readEntry(rest, settings.realm);
  const users = new UserList(settings.users, settings.users_file, read, ({ algorithm }) => algorithm);
  const nonces = new Nonces(settings.nonce_lifetime * 1000, settings.secret);
  const challenge = (isStale: boolean): Refusal => {
    const offered = NAMES.filter((name) => users.kinds.has(name));
    const nonce = nonces.create();
    const stale = isStale ? ', stale=true' : '';
    return refuse(401, {
      'www-authenticate': offered.map(
        (name) =>
          `Digest realm="${settings.realm}", qop="auth", algorithm=${name}, nonce="${nonce}", charset=UTF-8${stale}`,
      ),
    });
  };
  return gate((req) => {
    const answer = readAnswer(req);
    if (answer === undefined || answer.realm !== settings.realm) return challenge(false);
    if (!isForThis(answer.uri, req)) return refuse(400, {}, 'Bad Request: the credentials are for another address');
    const known = users.get(answer.user);
    const isMeant = known?.algorithm === answer.algorithm;
    // Another user's hash of the same kind is compared where there is none: the time must not tell.
    const entry = isMeant ? known : users.kinds.get(answer.algorithm);
    if (entry === undefined || !isRight(answer, entry, req.method ?? '') || !isMeant) return challenge(false);
    // Only now: whoever does not know the password is told nothing of nonces, and makes nobody remember any.
    if (!nonces.isGood(answer.nonce) || !nonces.use(answer.nonce, Number.parseInt(answer.count, 16))) {
      return challenge(true);
    }
    setRemoteUser(req, answer.user, 'Digest');
    return undefined;
  });
}

function readEntry(rest: string, expected: string): Entry {
  const colon = rest.lastIndexOf(':');
  const entryRealm = rest.slice(0, Math.max(0, colon));
  const hash = rest.slice(colon + 1).toLowerCase();
  const algorithm = NAMES.find((name) => ALGORITHMS[name].digits === hash.length);
  if (entryRealm !== expected) throw new Error(`the realm is "${entryRealm}", and not "${expected}"`);
  if (algorithm === undefined || !/^[\da-f]+$/.test(hash)) {
    throw new Error('the hash is neither MD5 (32 hexadecimal digits) nor SHA-256 (64)');
  }
  return { realm: entryRealm, algorithm, hash };
}

/** What a client has answered to a challenge, RFC 7616 section 3.4. */
interface Answer {
  readonly user: string;
  readonly realm: string;
  readonly nonce: string;
  readonly uri: string;
  readonly algorithm: string;
  readonly count: string;
  readonly cnonce: string;
  readonly response: string;
}

const PARAMETER = /[ \t]*([\w*-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))[ \t]*(?:,|$)/y;

function readAnswer({ headers }: IncomingMessage): Answer | undefined {
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

/** Undefined where it is malformed, or says the same thing twice. */
function readParameters(text: string): Map<string, string> | undefined {
  const values = new Map<string, string>();
  PARAMETER.lastIndex = 0;
  while (PARAMETER.lastIndex < text.length) {
    const match = PARAMETER.exec(text);
    const name = match?.[1]?.toLowerCase();
    if (match === null || name === undefined || values.has(name)) return undefined;
    values.set(name, match[2]?.replace(/\\(.)/g, '$1') ?? match[3] ?? '');
  }
  return values;
}

/** The name as it stands, or percent-encoded as `username*=UTF-8''...` (RFC 5987). Headers come as latin-1. */
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

/** Credentials for one address are no good for another (RFC 7616 section 3.4.6). */
function isForThis(uri: string, req: MountedRequest): boolean {
  const target = req.originalUrl ?? req.url ?? '';
  return uri === target || withoutOrigin(uri) === withoutOrigin(target);
}

function withoutOrigin(target: string): string {
  return target.replace(/^https?:\/\/[^/?#]*/i, '') || '/';
}

function isRight(answer: Answer, entry: Entry, method: string): boolean {
  const digest = (data: string): string =>
    createHash(ALGORITHMS[entry.algorithm].hash).update(data, 'latin1').digest('hex');
  const { nonce, count, cnonce, uri } = answer;
  const expected = digest(`${entry.hash}:${nonce}:${count}:${cnonce}:auth:${digest(`${method}:${uri}`)}`);
  return equalTexts(answer.response, expected);
}
