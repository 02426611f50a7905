/**
 * `npm:paster#cors`: lets pages of other origins read the responses, by npm `cors`. A browser opens a WebSocket without a
 * preflight request, so this filter refuses upgrades for pages of an origin that is not allowed.
 */
import type { IncomingMessage } from 'node:http';
import { asList } from '../../config/settings/convert.ts';
import { defineSettings, type OptionsOf, type SettingsOf, withDefaults } from '../../config/settings/setting.ts';
import { bool, int, list, type SettingType } from '../../config/settings/setting-types.ts';
import { ConfigError } from '../../errors.ts';
import { requestHost } from '../../http/request-headers.ts';
import { declineUpgrade } from '../../protocol/default-handlers.ts';
import { middlewareFilter } from '../../protocol/middleware.ts';
import type { App, Filter, Settings } from '../../protocol/types.ts';
import { plainRefusal } from '../access/access-decision.ts';

/** Origins as browsers write them; `*` is all of them. */
const origins: SettingType<readonly string[]> = {
  allowed: '*, or origins such as https://example.com, separated by spaces',
  parse: (text) =>
    asList(text).map((word) => {
      if (word === '*' || word === 'null') return word;
      const url = URL.canParse(word) ? new URL(word) : undefined;
      if (url === undefined || !/^[a-z][a-z\d+.-]*:\/\/[^/?#@]+\/?$/i.test(word)) {
        throw new Error(`"${word}" is not an origin`);
      }
      return url.origin === 'null' ? word.replace(/\/$/, '') : url.origin;
    }),
};

export const corsSettings = defineSettings(
  {
    origins: {
      type: origins,
      required: true,
      help: 'The origins whose pages may read the responses; *: all.',
      example: 'https://example.com http://localhost:3000',
    },
    methods: {
      type: list,
      default: ['GET', 'HEAD', 'PUT', 'PATCH', 'POST', 'DELETE'],
      help: 'The methods that those pages may use.',
    },
    allowed_headers: {
      type: list,
      help: 'Request headers that those pages may send. Without it, those that they ask for.',
    },
    exposed_headers: {
      type: list,
      default: [] as readonly string[],
      help: 'Response headers that those pages may read.',
    },
    credentials: { type: bool, default: false, help: 'Whether cookies are sent along; not with *.' },
    max_age: {
      type: int({ min: 0, max: 31_536_000 }),
      help: 'Seconds for which a browser may keep the result of a preflight request.',
    },
  },
  { meaning: 'which other origins’ pages may read the responses' },
);

/** Makes the filter of a `[filter:*]` section. */
export function makeCors(_globalConf: Settings, settings: SettingsOf<typeof corsSettings>): Filter {
  return cors(settings);
}
makeCors.settings = corsSettings;

const OTHER_ORIGIN = plainRefusal(403, {}, 'Forbidden: a page of another origin');

/** A filter that responds to preflight requests and tells browsers which origins may read the other responses. */
export function cors(options: OptionsOf<typeof corsSettings>): Filter {
  const settings = withDefaults(corsSettings, options);
  const allowsAll = settings.origins.includes('*');
  if (allowsAll && settings.credentials) {
    throw new ConfigError('PASTER_CORS', 'credentials: browsers send no cookies where all origins may read', {
      setting: 'credentials',
      hint: 'name the origins',
    });
  }
  const allowed = new Set(settings.origins);
  return async (app) => {
    const { default: makeMiddleware } = await import('cors');
    const middleware = makeMiddleware({
      origin: allowsAll ? '*' : [...allowed],
      methods: [...settings.methods],
      ...(settings.allowed_headers ? { allowedHeaders: [...settings.allowed_headers] } : {}),
      exposedHeaders: [...settings.exposed_headers],
      credentials: settings.credentials,
      ...(settings.max_age === undefined ? {} : { maxAge: settings.max_age }),
    });
    const filtered: App = middlewareFilter(middleware)(app);
    const { upgrade } = app;
    if (upgrade) {
      filtered.upgrade = (req, socket, head) =>
        allowsAll || isSameOrigin(req) || allowed.has(req.headers.origin ?? '')
          ? upgrade.call(app, req, socket, head)
          : declineUpgrade(OTHER_ORIGIN, req, socket);
    }
    return filtered;
  };
}

/** Also true without an Origin header: the client is no browser, and CORS restricts only browsers. */
function isSameOrigin(req: IncomingMessage): boolean {
  const { headers, socket } = req;
  if (headers.origin === undefined) return true;
  const scheme = 'encrypted' in socket && socket.encrypted === true ? 'https' : 'http';
  return headers.origin.toLowerCase() === `${scheme}://${requestHost(req) ?? ''}`.toLowerCase();
}
