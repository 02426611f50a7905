/**
 * `npm:paster#proxy` (`egg:Paste#proxy`) and `npm:paster#transparent_proxy` (`egg:Paste#transparent_proxy`): the applications
 * of an INI file, and their settings.
 */

import { debugFlags } from '../../config/debug.ts';
import { asList } from '../../config/settings/convert.ts';
import { defineSettings, type SettingsOf } from '../../config/settings/setting.ts';
import { list, oneOf, type SettingType, seconds, text } from '../../config/settings/setting-types.ts';
import { ConfigError } from '../../errors.ts';
import { TOKEN } from '../../http/request-headers.ts';
import type { App, Settings } from '../../protocol/types.ts';
import { OPEN_PROXY, OPEN_PROXY_HINT, proxy, transparentProxy } from './proxy.ts';
import { ADDRESS_FORMS, parseTarget } from './target.ts';

const timeoutSetting = {
  type: seconds,
  default: 60,
  help: 'Seconds without anything from the other server after which it has failed (504); 0: no limit.',
} as const;

/** Names of methods or headers. A comma is an error, since the name would silently match nothing. */
const tokens: SettingType<readonly string[]> = {
  allowed: 'names separated by spaces or line ends',
  parse(value) {
    const found = asList(value);
    const wrong = found.find((name) => !TOKEN.test(name));
    if (wrong !== undefined) throw new Error(`"${wrong}" is not a name`);
    return found;
  },
};

const passHeaders = {
  type: tokens,
  default: [],
  help: 'Headers that only proxies set, other than X-Forwarded-For, to pass on as the client sent them.',
  example: 'forwarded x-real-ip',
} as const;

export const proxySettings = defineSettings(
  {
    address: {
      type: {
        allowed: ADDRESS_FORMS,
        parse(value) {
          parseTarget(value);
          return value;
        },
      },
      required: true,
      help: 'The other server, and what its paths begin with.',
      example: 'http://127.0.0.1:3000/',
    },
    allowed_request_methods: {
      type: tokens,
      default: [],
      help: 'The methods to pass on (default: all). Requests with other methods get 405.',
      example: 'GET HEAD POST',
    },
    suppress_http_headers: {
      type: tokens,
      default: [],
      help: 'Headers of the client that are not passed on.',
      example: 'cookie authorization',
    },
    pass_headers: passHeaders,
    timeout: timeoutSetting,
  },
  { meaning: 'another HTTP server as an application' },
);

/** Makes the application of an `[app:*]` section. */
export function makeProxy(_globalConf: Settings, settings: SettingsOf<typeof proxySettings>): Promise<App> {
  return proxy({
    address: settings.address,
    allowedRequestMethods: settings.allowed_request_methods,
    suppressHttpHeaders: settings.suppress_http_headers,
    passHeaders: settings.pass_headers,
    timeout: settings.timeout,
  });
}
makeProxy.settings = proxySettings;

export const transparentProxySettings = defineSettings(
  {
    force_host: {
      type: text,
      help: 'Where all requests go, host or host:port; their Host header stays as it is.',
      example: '127.0.0.1:3000',
    },
    force_scheme: { type: oneOf('http', 'https'), default: 'http', help: 'The scheme of requests to force_host.' },
    allowed_hosts: {
      type: list,
      default: [],
      help: 'Without force_host: the hosts that clients may ask for, host or host:port; * is any, with debug only.',
      example: 'www.example.org api.example.org:8080',
    },
    pass_headers: passHeaders,
    timeout: timeoutSetting,
  },
  {
    meaning: 'the HTTP server that a request names, or a fixed one',
    oneOfThese: { names: ['force_host', 'allowed_hosts'], without: OPEN_PROXY, hint: OPEN_PROXY_HINT },
  },
);

/** Makes the application of an `[app:*]` section. */
export function makeTransparentProxy(
  globalConf: Settings,
  settings: SettingsOf<typeof transparentProxySettings>,
): Promise<App> {
  const { force_host: forceHost, force_scheme: forceScheme, allowed_hosts: allowedHosts } = settings;
  if (allowedHosts.includes('*') && forceHost === undefined && !debugFlags(globalConf).debug) {
    throw new ConfigError(
      'PASTER_OPEN_PROXY',
      'allowed_hosts: * would let any client reach what this machine reaches',
      {
        setting: 'allowed_hosts',
        hint: 'name the hosts; * is for debug = true',
      },
    );
  }
  return transparentProxy({
    forceScheme,
    allowedHosts,
    passHeaders: settings.pass_headers,
    timeout: settings.timeout,
    ...(forceHost === undefined ? {} : { forceHost }),
  });
}
makeTransparentProxy.settings = transparentProxySettings;
makeTransparentProxy.check = makeTransparentProxy;
