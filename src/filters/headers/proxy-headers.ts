/**
 * `npm:paster#proxy_headers`: takes the client's address, scheme and host from the headers of the proxies in front, as
 * Tornado's `xheaders`. Only the named proxies are trusted, by `proxy-addr`; from other peers these headers are removed.
 */
import { defineSettings, type OptionsOf, type SettingsOf, withDefaults } from '../../config/settings/setting.ts';
import { overrideClient } from '../../http/override-client.ts';
import type { Filter, Settings } from '../../protocol/types.ts';
import { accessFilter, plainRefusal } from '../access/access-decision.ts';
import { headersSetting, MALFORMED, proxyNames, readForwarding, trustedProxies } from './trusted-proxies.ts';

export const proxyHeadersSettings = defineSettings(
  {
    trusted_proxies: {
      type: proxyNames,
      default: ['loopback'],
      help: 'The proxies that are trusted: addresses, CIDR blocks, loopback (a Unix socket too), linklocal, uniquelocal.',
      example: 'loopback 10.0.0.0/8',
    },
    headers: headersSetting,
  },
  { meaning: 'the client’s address, scheme and host, as trusted proxies report them' },
);

/** Makes the filter of a `[filter:*]` section. */
export function makeProxyHeaders(_globalConf: Settings, settings: SettingsOf<typeof proxyHeadersSettings>): Filter {
  return proxyHeaders(settings);
}
makeProxyHeaders.settings = proxyHeadersSettings;

const BAD_REQUEST = plainRefusal(400, {}, 'Bad Request: the header Forwarded is malformed');

/** A filter that shows the application the client instead of the trusted proxies. */
export function proxyHeaders(options: OptionsOf<typeof proxyHeadersSettings> = {}): Filter {
  const settings = withDefaults(proxyHeadersSettings, options);
  const trustedHeaders = new Set(settings.headers);
  return async (app) => {
    const isTrusted = await trustedProxies(settings.trusted_proxies);
    return accessFilter((req) => {
      const presented = readForwarding(req, isTrusted, trustedHeaders);
      if (presented === MALFORMED) return BAD_REQUEST;
      overrideClient(req, presented);
      return undefined;
    })(app);
  };
}
