/**
 * `npm:paster#grantip` (`egg:Paste#grantip`): gives clients a user name and roles by their address. Keys are addresses and
 * CIDR blocks, values `user:role,role` as in Paste. IPv6 addresses belong in `grant`, because a colon ends a key.
 */
import type { IncomingMessage } from 'node:http';
import { asLines } from '../../config/settings/convert.ts';
import {
  defineSettings,
  type OptionsOf,
  otherSettings,
  type SettingsOf,
  withDefaults,
} from '../../config/settings/setting.ts';
import { bool, type SettingType } from '../../config/settings/setting-types.ts';
import { clientAddress } from '../../http/client-address.ts';
import { type IdentifiedRequest, remoteUser, setRemoteRoles, setRemoteUser } from '../../http/remote-user.ts';
import { Peers, parseNetwork } from '../../net/peers.ts';
import type { Filter, Settings } from '../../protocol/types.ts';
import { accessFilter, plainRefusal } from '../access/access-decision.ts';

/** A rule as it is written: a network, and `user:role,role`. */
export type Grant = readonly [network: string, granted: string];

/** Lines that each name a network and what its clients are granted. */
const grants: SettingType<readonly Grant[]> = {
  allowed: 'lines such as "2001:db8::/32 joe:editor"',
  parse: (text) =>
    asLines(text).map((line) => {
      const [network = '', granted = '', ...rest] = line.split(/\s+/);
      if (parseNetwork(network) === undefined) throw new Error(`"${network}" is neither an address nor a CIDR block`);
      if (granted === '' || rest.length > 0) throw new Error(`"${line}" is not a network and user:role,role`);
      return [network, granted];
    }),
};

export const grantipSettings = defineSettings(
  {
    clobber_username: { type: bool, default: false, help: 'Set the user even if another filter has set one.' },
    refuse_others: {
      type: bool,
      default: false,
      help: 'Respond with 403 to clients whose address no line grants anything.',
    },
    grant: { type: grants, default: [], help: 'The same as keys, a line each; for IPv6.', example: '::1 -:system' },
  },
  {
    meaning: 'names and roles by the client’s address',
    others: {
      accepts: (key) => parseNetwork(key) !== undefined,
      help: 'an address or a CIDR block, and user:role,role',
    },
  },
);

/** Makes the filter of a `[filter:*]` section. */
export function makeGrantip(_globalConf: Settings, settings: SettingsOf<typeof grantipSettings>): Filter {
  return grantIp({ ...settings, grant: [...otherSettings(grantipSettings, settings), ...settings.grant] });
}
makeGrantip.settings = grantipSettings;

interface GrantRule {
  readonly peers: Peers;
  readonly user: string;
  readonly roles: readonly string[];
}

/** Paste's name for removing the user that an earlier rule or filter has set. */
const REMOVE = '__remove__';

const FORBIDDEN = plainRefusal(403);

/**
 * A filter that gives clients a user name and roles by their address: `{ grant: [['10.0.0.0/8', 'joe:editor']] }`. All
 * rules that match an address apply, in their order. `-` means no user or no role, `__remove__` removes the user, and
 * `-editor` removes a role.
 */
export function grantIp(options: OptionsOf<typeof grantipSettings> = {}): Filter {
  const settings = withDefaults(grantipSettings, options);
  const rules = settings.grant.flatMap(rulesOf);
  return accessFilter((req: IncomingMessage) => {
    const address = clientAddress(req);
    const matching = address === undefined ? [] : rules.filter(({ peers }) => peers.admits(address));
    if (matching.length === 0) return settings.refuse_others ? FORBIDDEN : undefined;
    applyRules(req, matching, settings.clobber_username);
    return undefined;
  });
}

function rulesOf([address, granted]: Grant): GrantRule[] {
  const network = parseNetwork(address);
  if (network === undefined) return [];
  const [user = '', roles = ''] = granted.split(/:(.*)/s);
  return [
    {
      peers: new Peers([network]),
      user: user === '-' ? '' : user.trim(),
      roles: roles.split(/[\s,]+/).filter((role) => role !== '' && role !== '-'),
    },
  ];
}

function applyRules(req: IdentifiedRequest, rules: readonly GrantRule[], clobber: boolean): void {
  const roles = new Set(req.remoteRoles ?? (req.environ?.['REMOTE_USER_TOKENS'] ?? '').split(',').filter(Boolean));
  for (const { user, roles: changes } of rules) {
    if (user === REMOVE) setRemoteUser(req, undefined);
    else if (user !== '' && (clobber || remoteUser(req) === undefined)) setRemoteUser(req, user);
    for (const role of changes) {
      if (role.startsWith('-')) roles.delete(role.slice(1));
      else roles.add(role);
    }
  }
  setRemoteRoles(req, [...roles]);
}
