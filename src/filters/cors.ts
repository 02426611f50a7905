/**
 * `npm:paster#cors`: which other origins' pages may read the answers, by npm `cors`. A browser asks nobody before it opens
 * a WebSocket, so an upgrade that a page of another origin asks for is refused here.
 */
import type { IncomingMessage } from 'node:http';
import { asList } from '../config/convert.ts';
import {
  bool,
  defineSettings,
  int,
  list,
  type OptionsOf,
  type SettingsOf,
  type SettingType,
  withDefaults,
} from '../config/setting.ts';
import { ConfigError } from '../errors.ts';
import { askedHost } from '../http/asked-host.ts';
import { declineUpgrade } from '../protocol/decline-upgrade.ts';
import { middlewareFilter } from '../protocol/middleware.ts';
import type { App, Filter, Settings } from '../protocol/types.ts';
import { refuse } from './gate.ts';

/** Origins as browsers write them; the star is all of them. */
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
      help: 'The origins whose pages may read the answers; *: all.',
      example: 'https://example.com http://localhost:3000',
    },
    methods: {
      type: list,
      default: ['GET', 'HEAD', 'PUT', 'PATCH', 'POST', 'DELETE'],
      help: 'The methods that those pages may use.',
    },
    allowed_headers: { type: list, help: 'The headers that they may send; without it, those that they ask for.' },
    exposed_headers: { type: list, default: [] as readonly string[], help: 'The headers that they may read.' },
    credentials: { type: bool, default: false, help: 'Whether cookies are sent along; not with *.' },
    max_age: {
      type: int({ min: 0, max: 31_536_000 }),
      help: 'Seconds for which a browser remembers what it was told.',
    },
  },
  { meaning: 'which other origins’ pages may read the answers' },
);

/** Makes the filter of a `[filter:*]` section. */
export function makeCors(_globalConf: Settings, settings: SettingsOf<typeof corsSettings>): Filter {
  return cors(settings);
}
makeCors.settings = corsSettings;

const FORBIDDEN = refuse(403, {}, 'Forbidden: a page of another origin');

/** A filter that answers preflight requests and says which origins may read the other answers. */
export function cors(options: OptionsOf<typeof corsSettings>): Filter {
  const settings = withDefaults(corsSettings, options);
  const isAll = settings.origins.includes('*');
  if (isAll && settings.credentials) {
    throw new ConfigError('PASTER_CORS', 'credentials: browsers send no cookies where all origins may read', {
      setting: 'credentials',
      hint: 'name the origins',
    });
  }
  const allowed = new Set(settings.origins);
  return async (app) => {
    const { default: makeMiddleware } = await import('cors');
    const middleware = makeMiddleware({
      origin: isAll ? '*' : [...allowed],
      methods: [...settings.methods],
      ...(settings.allowed_headers ? { allowedHeaders: [...settings.allowed_headers] } : {}),
      exposedHeaders: [...settings.exposed_headers],
      credentials: settings.credentials,
      ...(settings.max_age === undefined ? {} : { maxAge: settings.max_age }),
    });
    const shared: App = middlewareFilter(middleware)(app);
    const { upgrade } = app;
    if (upgrade) {
      shared.upgrade = (req, socket, head) =>
        isAll || isSameOrigin(req) || allowed.has(req.headers.origin ?? '')
          ? upgrade.call(app, req, socket, head)
          : declineUpgrade(FORBIDDEN, req, socket);
    }
    return shared;
  };
}

/** Programs that are no browsers send no Origin, and read what they like anyway. */
function isSameOrigin(req: IncomingMessage): boolean {
  const { headers, socket } = req;
  if (headers.origin === undefined) return true;
  const scheme = 'encrypted' in socket && socket.encrypted === true ? 'https' : 'http';
  return headers.origin.toLowerCase() === `${scheme}://${askedHost(req) ?? ''}`.toLowerCase();
}
