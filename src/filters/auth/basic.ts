/** `npm:paster#auth_basic` (`egg:Paste#auth_basic`): asks for a name and a password (RFC 7617). */
import { createHmac, randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { defineSettings, type OptionsOf, type SettingsOf, withDefaults } from '../../config/settings/setting.ts';
import { path } from '../../config/settings/setting-types.ts';
import { clientKey } from '../../http/client-address.ts';
import { setRemoteUser } from '../../http/remote-user.ts';
import type { Filter, Settings } from '../../protocol/types.ts';
import { accessFilter, plainRefusal } from '../access/access-decision.ts';
import { equalTexts, hashKind, isPasswordHash, PASSWORD_HASHES } from './password.ts';
import { type Verdict, type VerifyPassword, verifyInThread } from './password-pool.ts';
import { realm, UserList, userLines, usersFile } from './user-list.ts';

export const authBasicSettings = defineSettings(
  {
    realm: { type: realm, default: 'Restricted', help: 'The purpose of the password; browsers may show it.' },
    users_file: {
      type: path,
      help: 'A file as htpasswd writes it; read again when it changes.',
      example: '%(here)s/htpasswd',
    },
    users: {
      type: userLines,
      default: [] as readonly string[],
      help: `A line "name:hash" for each user; the hash is ${PASSWORD_HASHES}.`,
    },
  },
  { meaning: 'asks for a name and a password (Basic)' },
);

/** Makes the filter of a `[filter:*]` section. */
export function makeAuthBasic(_globalConf: Settings, settings: SettingsOf<typeof authBasicSettings>): Filter {
  return authBasic({ ...settings, users_file: usersFile(settings.users_file) });
}
makeAuthBasic.settings = authBasicSettings;
makeAuthBasic.check = makeAuthBasic;

/**
 * A filter that asks for a user's name and password; the application finds the name in `req.remoteUser`.
 * @throws ConfigError for malformed users.
 */
export function authBasic(options: OptionsOf<typeof authBasicSettings> = {}): Filter {
  const settings = withDefaults(authBasicSettings, options);
  const users = new UserList(settings.users, settings.users_file, readHash, hashKind);
  const passwords = new PasswordCheck(users, verifyInThread);
  const challenge = plainRefusal(401, {
    'www-authenticate': `Basic realm="${settings.realm}", charset="UTF-8"`,
  });
  return accessFilter(async (req) => {
    const credentials = readCredentials(req);
    if (credentials === undefined) return challenge;
    const verdict = await passwords.check(clientKey(req), credentials);
    if (verdict === 'busy') return BUSY;
    if (verdict === 'wrong') return challenge;
    setRemoteUser(req, credentials.user, 'Basic');
    return undefined;
  });
}

/** Seconds after which a client may try again. */
const RETRY_AFTER = '2';
const BUSY = plainRefusal(
  503,
  { 'retry-after': RETRY_AFTER },
  'Service Unavailable: too many passwords are being checked',
);

function readHash(hash: string): string {
  if (isPasswordHash(hash)) return hash;
  throw new Error(`unknown kind of password hash; use ${PASSWORD_HASHES}`);
}

/** Of base64 characters: far more than a name and a password need. */
const MAX_ENCODED = 2048;

function readCredentials({ headers }: IncomingMessage): Credentials | undefined {
  const encoded = /^basic +([A-Za-z\d+/_-]+={0,2}) *$/i.exec(headers.authorization ?? '')?.[1];
  if (encoded === undefined || encoded.length > MAX_ENCODED) return undefined;
  const decoded = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: RFC 7617 section 2 excludes them
  if (colon < 1 || /[\x00-\x1f\x7f]/.test(decoded)) return undefined;
  return { user: decoded.slice(0, colon), password: decoded.slice(colon + 1) };
}

/** How many verified passwords are remembered, and for how long. */
const MAX_VERIFIED = 1000;
const VERIFIED_MS = 600_000;

export interface Credentials {
  readonly user: string;
  readonly password: string;
}

interface VerifiedPassword {
  readonly digest: string;
  readonly until: number;
}

/**
 * Verifies credentials without computing a slow hash for each request, since a browser sends the password with every one. A
 * correct password is remembered for ten minutes, as a keyed digest that is useless outside this process; a user whose hash
 * changes is verified again. Concurrent requests with the same credentials share one verification.
 */
export class PasswordCheck {
  readonly #users: UserList<string>;
  readonly #verify: VerifyPassword;
  readonly #key = randomBytes(32);
  readonly #verified = new Map<string, VerifiedPassword>();
  /** Verifications in progress, by digest. */
  readonly #pending = new Map<string, Promise<Verdict>>();

  constructor(users: UserList<string>, verify: VerifyPassword) {
    this.#users = users;
    this.#verify = verify;
  }

  async check(client: string, { user, password }: Credentials): Promise<Verdict> {
    const hash = this.#users.get(user);
    const digest = createHmac('sha256', this.#key).update(`${user}\0${hash}\0${password}`).digest('base64');
    const verified = this.#verified.get(user);
    if (verified && verified.until > Date.now() && equalTexts(verified.digest, digest)) return 'right';
    let pending = this.#pending.get(digest);
    if (pending === undefined) {
      pending = this.#verify(client, { password, hash, decoys: this.#decoys(hash) });
      this.#pending.set(digest, pending);
      pending.finally(() => this.#pending.delete(digest)).catch(() => {});
    }
    const verdict = await pending;
    if (verdict === 'right') this.#addVerified(user, digest);
    return verdict;
  }

  /** A hash of each other kind in the list: verifying these as well makes every user's password the same work. */
  #decoys(hash: string | undefined): string[] {
    const own = hash === undefined ? undefined : hashKind(hash);
    return [...this.#users.kinds].filter(([kind]) => kind !== own).map(([, decoy]) => decoy);
  }

  #addVerified(user: string, digest: string): void {
    if (this.#verified.size >= MAX_VERIFIED) this.#verified.clear();
    this.#verified.set(user, { digest, until: Date.now() + VERIFIED_MS });
  }
}
