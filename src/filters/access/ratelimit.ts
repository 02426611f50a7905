/**
 * `npm:paster#ratelimit`: limits the requests of each client, counted by `rate-limiter-flexible` in the memory of the
 * process. With `workers = 4` a client that reaches all of them can send four times as many.
 */
import type { ServerResponse } from 'node:http';
import { defineSettings, type OptionsOf, type SettingsOf, withDefaults } from '../../config/settings/setting.ts';
import { int, type SettingType } from '../../config/settings/setting-types.ts';
import { clientAddress, clientKey } from '../../http/client-address.ts';
import { type Network, networks, Peers } from '../../net/peers.ts';
import type { Filter, Settings } from '../../protocol/types.ts';
import { accessFilter, plainRefusal } from './access-decision.ts';

/** A duration in whole seconds, as the header Retry-After has it; not 0. */
const windowSeconds: SettingType<number> = { ...int({ min: 1, max: 86_400 }), allowed: 'seconds, from 1 to 86400' };

export const ratelimitSettings = defineSettings(
  {
    limit: {
      type: int({ min: 1, max: 1_000_000_000 }),
      required: true,
      help: 'How many requests a client may make within the window, with each worker.',
    },
    window: { type: windowSeconds, default: 60, help: 'Seconds until a client’s count starts again at 0.' },
    exempt: {
      type: networks,
      default: [] as readonly Network[],
      help: 'Clients without a limit: addresses and CIDR blocks.',
      example: '127.0.0.1 10.0.0.0/8',
    },
  },
  { meaning: 'limits the requests of each client in a period of time' },
);

/** Makes the filter of a `[filter:*]` section. */
export function makeRatelimit(_globalConf: Settings, settings: SettingsOf<typeof ratelimitSettings>): Filter {
  return rateLimit(settings);
}
makeRatelimit.settings = ratelimitSettings;

/** The library resolves with this, and rejects with it when the limit is exceeded. */
interface RequestCount {
  readonly msBeforeNext: number;
  readonly remainingPoints: number;
}

/** A filter that responds with 429 to clients that send too many requests. Each process counts for itself. */
export function rateLimit(options: OptionsOf<typeof ratelimitSettings>): Filter {
  const { limit, window, exempt } = withDefaults(ratelimitSettings, options);
  const exempted = exempt.length > 0 ? new Peers(exempt) : undefined;
  return async (app) => {
    const { RateLimiterMemory } = await import('rate-limiter-flexible');
    const limiter = new RateLimiterMemory({ points: limit, duration: window });
    return accessFilter(async (req, res) => {
      const address = clientAddress(req);
      if (address !== undefined && exempted?.admits(address)) return undefined;
      const { isWithin, count } = await limiter.consume(clientKey(req)).then(
        (consumed) => ({ isWithin: true, count: consumed }),
        (refused: RequestCount | Error) => {
          if (refused instanceof Error) throw refused;
          return { isWithin: false, count: refused };
        },
      );
      const reset = String(Math.ceil(count.msBeforeNext / 1000));
      if (res) setRateLimitHeaders(res, `${limit};w=${window}`, limit, count.remainingPoints, reset);
      return isWithin ? undefined : plainRefusal(429, { 'retry-after': reset });
    })(app);
  };
}

/** The headers of draft-ietf-httpapi-ratelimit-headers-06. */
function setRateLimitHeaders(
  res: ServerResponse,
  policy: string,
  limit: number,
  remaining: number,
  reset: string,
): void {
  res.setHeader('RateLimit-Policy', policy);
  res.setHeader('RateLimit-Limit', limit);
  res.setHeader('RateLimit-Remaining', remaining);
  res.setHeader('RateLimit-Reset', reset);
}
