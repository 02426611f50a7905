/**
 * `npm:paster#proxy_headers`: the client as the proxies in front tell of it, Tornado's `xheaders`. Only the proxies that
 * are named are believed, by `proxy-addr`; from anybody else the headers are taken out of the request.
 */
import { defineSettings, type OptionsOf, type SettingsOf, withDefaults } from '../config/setting.ts';
import { present } from '../http/presented.ts';
import type { Filter, Settings } from '../protocol/types.ts';
import { gate, refuse } from './gate.ts';
import { believedHeaders, MALFORMED, proxyNames, readForwarding, trustedProxies } from './trusted-proxies.ts';

export const proxyHeadersSettings = defineSettings(
  {
    trusted_proxies: {
      type: proxyNames,
      default: ['loopback'],
      help: 'Who is believed: addresses, CIDR blocks, loopback (a Unix socket too), linklocal, uniquelocal.',
      example: 'loopback 10.0.0.0/8',
    },
    headers: believedHeaders,
  },
  { meaning: 'the client’s address, scheme and host, as trusted proxies tell of them' },
);

/** Makes the filter of a `[filter:*]` section. */
export function makeProxyHeaders(_globalConf: Settings, settings: SettingsOf<typeof proxyHeadersSettings>): Filter {
  return proxyHeaders(settings);
}
makeProxyHeaders.settings = proxyHeadersSettings;

const BAD_REQUEST = refuse(400, {}, 'Bad Request: the header Forwarded is malformed');

/** A filter that shows the application the client in place of the proxies that are trusted. */
export function proxyHeaders(options: OptionsOf<typeof proxyHeadersSettings> = {}): Filter {
  const settings = withDefaults(proxyHeadersSettings, options);
  const believed = new Set(settings.headers);
  return async (app) => {
    const trusts = await trustedProxies(settings.trusted_proxies);
    return gate((req) => {
      const presented = readForwarding(req, trusts, believed);
      if (presented === MALFORMED) return BAD_REQUEST;
      present(req, presented);
      return undefined;
    })(app);
  };
}
