/** `npm:paster#auth_basic` (`egg:Paste#auth_basic`): asks for a name and a password (RFC 7617). */
import type { IncomingMessage } from 'node:http';
import { defineSettings, type OptionsOf, path, type SettingsOf, withDefaults } from '../../config/setting.ts';
import { clientKey } from '../../http/client-address.ts';
import { setRemoteUser } from '../../http/identity.ts';
import type { Filter, Settings } from '../../protocol/types.ts';
import { gate, refuse } from '../gate.ts';
import { hashKind, isPasswordHash, PASSWORD_HASHES } from './password.ts';
import { type Credentials, PasswordCheck } from './password-check.ts';
import { verifyInThread } from './password-pool.ts';
import { realm } from './realm.ts';
import { UserList, userLines, usersFile } from './user-list.ts';

export const authBasicSettings = defineSettings(
  {
    realm: { type: realm, default: 'Restricted', help: 'What the password is for; browsers may show it.' },
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
 * A filter that lets only users in who know their password; the application finds the name in `req.remoteUser`.
 * @throws ConfigError for users that cannot be read.
 */
export function authBasic(options: OptionsOf<typeof authBasicSettings> = {}): Filter {
  const settings = withDefaults(authBasicSettings, options);
  const users = new UserList(settings.users, settings.users_file, readHash, hashKind);
  const passwords = new PasswordCheck(users, verifyInThread);
  const challenge = refuse(401, {
    'www-authenticate': `Basic realm="${settings.realm}", charset="UTF-8"`,
  });
  return gate(async (req) => {
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
const BUSY = refuse(503, { 'retry-after': RETRY_AFTER }, 'Service Unavailable: too many passwords are being checked');

function readHash(hash: string): string {
  if (isPasswordHash(hash)) return hash;
  throw new Error(`the password is not hashed in a way that is known here: ${PASSWORD_HASHES}`);
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
