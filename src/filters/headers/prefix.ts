/**
 * `npm:paster#prefix` (`egg:PasteDeploy#prefix`): for an application that a proxy serves below a path. Unlike PasteDeploy's,
 * a prefix ends at a segment of the path, and only the named proxies are trusted.
 */
import { defineSettings, type OptionsOf, type SettingsOf, withDefaults } from '../../config/settings/setting.ts';
import { bool, oneOf, text } from '../../config/settings/setting-types.ts';
import { ConfigError } from '../../errors.ts';
import type { ForwardingHeader } from '../../http/client-address.ts';
import { type MountedRequest, mountRequest, toOriginForm } from '../../http/mount.ts';
import { overrideClient } from '../../http/override-client.ts';
import { AMBIGUOUS, AMBIGUOUS_PATH, longestPrefix, PathPrefixes } from '../../http/path-prefixes.ts';
import { requestHost } from '../../http/request-headers.ts';
import type { Filter, Settings } from '../../protocol/types.ts';
import { accessFilter, plainRefusal } from '../access/access-decision.ts';
import {
  headersSetting,
  type IsTrusted,
  MALFORMED,
  proxyNames,
  readForwarding,
  trustedProxies,
} from './trusted-proxies.ts';

export const prefixSettings = defineSettings(
  {
    prefix: {
      type: text,
      default: '/',
      help: 'The path that clients use for the application. It is removed from the path of a request that still has it.',
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
      help: 'The proxies that are trusted: addresses, CIDR blocks, loopback (a Unix socket too), linklocal, uniquelocal.',
    },
    headers: headersSetting,
    force_port: { type: text, help: 'The port in Host; empty: none, so the default port of the scheme.' },
    scheme: { type: oneOf('http', 'https'), help: 'The scheme to use instead of the connection’s.' },
  },
  { meaning: 'an application that a proxy serves below a path' },
);

/** Makes the filter of a `[filter:*]` section. */
export function makePrefix(_globalConf: Settings, settings: SettingsOf<typeof prefixSettings>): Filter {
  return prefix(settings);
}
makePrefix.settings = prefixSettings;

const BAD_HEADER = plainRefusal(400, {}, 'Bad Request: the header Forwarded is malformed');
const BAD_PATH = plainRefusal(400, {}, AMBIGUOUS_PATH);

/** A filter that makes an application work below a proxy's path, with the URLs, host and scheme that clients see. */
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
  if (port !== undefined && port !== '' && !isPort(port)) {
    throw new ConfigError('PASTER_PREFIX', `force_port: "${port}" is not a port`, {
      setting: 'force_port',
      hint: 'allowed: a whole number from 1 to 65535, or nothing',
    });
  }
  const trustedHeaders = new Set(settings.headers);
  return async (app) => {
    const isTrusted = settings.translate_forwarded_server ? await trustedProxies(settings.trusted_proxies) : undefined;
    return accessFilter((req: MountedRequest) => {
      if (isTrusted && !applyForwarding(req, isTrusted, trustedHeaders)) return BAD_HEADER;
      overrideClient(req, {
        encrypted: settings.scheme === undefined ? undefined : settings.scheme === 'https',
        host: port === undefined ? undefined : hostWithPort(req, port),
      });
      if (path === '') return undefined;
      toOriginForm(req);
      const match = longestPrefix(req.url ?? '/', [prefixes]);
      if (match === AMBIGUOUS) return BAD_PATH;
      if (match) mountRequest(req, match.length);
      else addMount(req, path);
      return undefined;
    })(app);
  };
}

function applyForwarding(
  req: MountedRequest,
  isTrusted: IsTrusted,
  trustedHeaders: ReadonlySet<ForwardingHeader>,
): boolean {
  const presented = readForwarding(req, isTrusted, trustedHeaders);
  if (presented === MALFORMED) return false;
  overrideClient(req, presented);
  return true;
}

function hostWithPort(req: MountedRequest, port: string): string {
  const host = (requestHost(req) ?? '').replace(/:\d*$/, '');
  return port === '' ? host : `${host}:${port}`;
}

/** For a request whose prefix the proxy has already removed: the prefix is added to the mount, and the path stays. */
function addMount(req: MountedRequest, path: string): void {
  req.originalUrl ??= `${path}${req.url ?? '/'}`;
  req.baseUrl = (req.baseUrl ?? '') + path;
  const { environ } = req;
  if (environ?.['PATH_INFO'] !== undefined) environ['SCRIPT_NAME'] = (environ['SCRIPT_NAME'] ?? '') + path;
}

function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535;
}
