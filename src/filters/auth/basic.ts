/** `npm:paster#auth_basic` (`egg:Paste#auth_basic`): asks for a name and a password (RFC 7617). */
import { createHmac, randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { defineSettings, type OptionsOf, type SettingsOf, text, withDefaults } from '../../config/setting.ts';
import { setRemoteUser } from '../../http/identity.ts';
import type { Filter, Settings } from '../../protocol/types.ts';
import { gate, refuse } from '../gate.ts';
import { equalTexts, isPasswordHash, PASSWORD_HASHES, verifyPassword } from './password.ts';
import { realm } from './realm.ts';
import { UserList, userLines, usersFile } from './user-list.ts';

export const authBasicSettings = defineSettings(
  {
    realm: { type: realm, default: 'Restricted', help: 'What the password is for; browsers may show it.' },
    users_file: {
      type: text,
      help: 'A file as htpasswd writes it, relative to the INI file; read again when it changes.',
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
export function makeAuthBasic(globalConf: Settings, settings: SettingsOf<typeof authBasicSettings>): Filter {
  return authBasic({ ...settings, users_file: usersFile(globalConf, settings.users_file) });
}
makeAuthBasic.settings = authBasicSettings;

/**
 * A filter that lets only users in who know their password; the application finds the name in `req.remoteUser`.
 * @throws ConfigError for users that cannot be read.
 */
export function authBasic(options: OptionsOf<typeof authBasicSettings> = {}): Filter {
  const settings = withDefaults(authBasicSettings, options);
  const users = new UserList(settings.users, settings.users_file, readHash);
  const passwords = new PasswordCheck(users);
  const challenge = refuse(401, {
    'www-authenticate': `Basic realm="${settings.realm}", charset="UTF-8"`,
  });
  return gate(async (req) => {
    const credentials = readCredentials(req);
    if (credentials === undefined || !(await passwords.areRight(credentials))) return challenge;
    setRemoteUser(req, credentials.user, 'Basic');
    return undefined;
  });
}

function readHash(hash: string): string {
  if (isPasswordHash(hash)) return hash;
  throw new Error(`the password is not hashed in a way that is known here: ${PASSWORD_HASHES}`);
}

interface Credentials {
  readonly user: string;
  readonly password: string;
}

/** What htpasswd and RFC 7617 section 2 leave of a password. */
const LONGEST = 1024;

function readCredentials({ headers }: IncomingMessage): Credentials | undefined {
  const encoded = /^basic +([A-Za-z\d+/_-]+={0,2}) *$/i.exec(headers.authorization ?? '')?.[1];
  if (encoded === undefined || encoded.length > 2 * LONGEST) return undefined;
  const decoded = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: RFC 7617 section 2 excludes them
  if (colon < 1 || /[\x00-\x1f\x7f]/.test(decoded)) return undefined;
  return { user: decoded.slice(0, colon), password: decoded.slice(colon + 1) };
}

/** How many right passwords are remembered. */
const REMEMBERED = 1000;

/**
 * Slow hashes are slow on purpose, and a browser sends the password with every request: what was right is remembered, as a
 * keyed digest that is worth nothing outside this process. A user whose hash changes is asked anew.
 */
class PasswordCheck {
  readonly #users: UserList<string>;
  readonly #key = randomBytes(32);
  readonly #right = new Map<string, string>();

  constructor(users: UserList<string>) {
    this.#users = users;
  }

  async areRight({ user, password }: Credentials): Promise<boolean> {
    const hash = this.#users.get(user);
    if (hash === undefined) {
      // As long as for a user who is there: the time must not tell who is.
      const decoy = this.#users.any;
      if (decoy !== undefined) await verifyPassword(password, decoy);
      return false;
    }
    const digest = createHmac('sha256', this.#key).update(`${hash}\0${password}`).digest('base64');
    const remembered = this.#right.get(user);
    if (remembered !== undefined && equalTexts(remembered, digest)) return true;
    if (!(await verifyPassword(password, hash))) return false;
    if (this.#right.size >= REMEMBERED) this.#right.clear();
    this.#right.set(user, digest);
    return true;
  }
}
