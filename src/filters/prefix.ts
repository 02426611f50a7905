/**
 * `npm:paster#prefix` (`egg:PasteDeploy#prefix`): an application that a proxy shows below a path. As in PasteDeploy, but
 * that a prefix ends where a segment does, and that only trusted proxies are believed.
 */
import { bool, defineSettings, type OptionsOf, oneOf, type SettingsOf, text, withDefaults } from '../config/setting.ts';
import { ConfigError } from '../errors.ts';
import { askedHost } from '../http/asked-host.ts';
import type { ForwardingHeader } from '../http/forwarded.ts';
import { type MountedRequest, mountRequest, toOriginForm } from '../http/mount.ts';
import { AMBIGUOUS, AMBIGUOUS_PATH, longestPrefix, PathPrefixes } from '../http/path-prefixes.ts';
import { present } from '../http/presented.ts';
import type { Filter, Settings } from '../protocol/types.ts';
import { gate, refuse } from './gate.ts';
import {
  believedHeaders,
  MALFORMED,
  proxyNames,
  readForwarding,
  type Trust,
  trustedProxies,
} from './trusted-proxies.ts';

export const prefixSettings = defineSettings(
  {
    prefix: {
      type: text,
      default: '/',
      help: 'The path that the application is found at, outside; it is taken off where it is still there.',
      example: '/app',
    },
    translate_forwarded_server: {
      type: bool,
      default: true,
      help: 'Take client, scheme and host from the forwarding headers named in `headers`, as proxy_headers does.',
    },
    trusted_proxies: {
      type: proxyNames,
      default: ['loopback'],
      help: 'Who is believed: addresses, CIDR blocks, loopback (a Unix socket too), linklocal, uniquelocal.',
    },
    headers: believedHeaders,
    force_port: { type: text, help: 'The port that Host is to have; empty: none, the scheme’s own.' },
    scheme: { type: oneOf('http', 'https'), help: 'The scheme, whatever the connection’s is.' },
  },
  { meaning: 'an application that a proxy shows below a path' },
);

/** Makes the filter of a `[filter:*]` section. */
export function makePrefix(_globalConf: Settings, settings: SettingsOf<typeof prefixSettings>): Filter {
  return prefix(settings);
}
makePrefix.settings = prefixSettings;

const BAD_HEADER = refuse(400, {}, 'Bad Request: the header Forwarded is malformed');
const BAD_PATH = refuse(400, {}, AMBIGUOUS_PATH);

/** A filter that makes an application work below a path of a proxy, with the addresses that are seen from outside. */
export function prefix(options: OptionsOf<typeof prefixSettings> = {}): Filter {
  const settings = withDefaults(prefixSettings, options);
  const path = settings.prefix.replace(/(?<!\/)\/+$/, '');
  if (path !== '' && !path.startsWith('/')) {
    throw new ConfigError('PASTER_PREFIX', `prefix: "${settings.prefix}" does not begin with a slash`, {
      setting: 'prefix',
    });
  }
  const prefixes = new PathPrefixes<true>();
  prefixes.add(path, true);
  const port = settings.force_port?.trim();
  if (port !== undefined && !/^\d{0,5}$/.test(port)) {
    throw new ConfigError('PASTER_PREFIX', `force_port: "${port}" is not a port`, { setting: 'force_port' });
  }
  const believed = new Set(settings.headers);
  return async (app) => {
    const trusts = settings.translate_forwarded_server ? await trustedProxies(settings.trusted_proxies) : undefined;
    return gate((req: MountedRequest) => {
      if (trusts && !translate(req, trusts, believed)) return BAD_HEADER;
      present(req, {
        encrypted: settings.scheme === undefined ? undefined : settings.scheme === 'https',
        host: port === undefined ? undefined : hostWithPort(req, port),
      });
      if (path === '') return undefined;
      toOriginForm(req);
      const match = longestPrefix(req.url ?? '/', [prefixes]);
      if (match === AMBIGUOUS) return BAD_PATH;
      if (match) mountRequest(req, match.length);
      else mountOutside(req, path);
      return undefined;
    })(app);
  };
}

function translate(req: MountedRequest, trusts: Trust, believed: ReadonlySet<ForwardingHeader>): boolean {
  const presented = readForwarding(req, trusts, believed);
  if (presented === MALFORMED) return false;
  present(req, presented);
  return true;
}

function hostWithPort(req: MountedRequest, port: string): string {
  const host = (askedHost(req) ?? '').replace(/:\d*$/, '');
  return port === '' ? host : `${host}:${port}`;
}

/** A path without the prefix is one that the proxy has taken the prefix off: only the mount gets it. */
function mountOutside(req: MountedRequest, path: string): void {
  req.originalUrl ??= `${path}${req.url ?? '/'}`;
  req.baseUrl = (req.baseUrl ?? '') + path;
  const { environ } = req;
  if (environ?.['PATH_INFO'] !== undefined) environ['SCRIPT_NAME'] = (environ['SCRIPT_NAME'] ?? '') + path;
}
