/** `npm:paster#bodylimit`: refuses bodies that are too large, by their Content-Length or when too many bytes have come. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { defineSettings, type OptionsOf, type SettingsOf, withDefaults } from '../../config/settings/setting.ts';
import { size } from '../../config/settings/setting-types.ts';
import { CONTENT_TOO_LARGE, refuseBody, writeHead413 } from '../../http/error-response.ts';
import { replaceResponse } from '../../http/response/response-interceptor.ts';
import { canBeReplaced } from '../../http/response/response-outcome.ts';
import { declineUpgrade } from '../../protocol/default-handlers.ts';
import type { App, Filter, Settings } from '../../protocol/types.ts';

export const bodylimitSettings = defineSettings(
  {
    max_body_size: {
      type: size,
      default: 10 * 2 ** 20,
      help: 'The size of the largest body that a request may have.',
      example: '50M',
    },
  },
  { meaning: 'refuses bodies that are too large' },
);

/** Makes the filter of a `[filter:*]` section. */
export function makeBodylimit(_globalConf: Settings, settings: SettingsOf<typeof bodylimitSettings>): Filter {
  return bodyLimit(settings);
}
makeBodylimit.settings = bodylimitSettings;

/** A filter that responds with 413 to a body that is too large. The application may have read the beginning of it. */
export function bodyLimit(options: OptionsOf<typeof bodylimitSettings> = {}): Filter {
  const { max_body_size: limit } = withDefaults(bodylimitSettings, options);
  const isAnnounced = (req: IncomingMessage): boolean => Number(req.headers['content-length'] ?? 0) > limit;
  // The body may have come while a filter outside waited for something.
  const isBuffered = (req: IncomingMessage): boolean => req.readableLength > limit;
  return (app) => {
    const limited: App = (req, res) => {
      if (isAnnounced(req) || isBuffered(req)) return refuseBody(req, res);
      watchBody(req, res, limit);
      return app(req, res);
    };
    const { upgrade } = app;
    if (upgrade) {
      limited.upgrade = (req, socket, head) =>
        isAnnounced(req) ? declineUpgrade(respond413, req, socket) : upgrade.call(app, req, socket, head);
    }
    return limited;
  };
}

/** Counts the bytes of a body where they arrive: every server calls `push` with them, and with null at the end. */
function watchBody(req: IncomingMessage, res: ServerResponse, limit: number): void {
  const before = { ...res.getHeaders() };
  const { push } = req;
  let length = req.readableLength;
  const countAndPush = (chunk: Buffer | null, encoding?: BufferEncoding): boolean => {
    length += chunk?.length ?? 0;
    if (length <= limit) return push.call(req, chunk, encoding);
    if (canBeReplaced(res)) {
      replaceResponse(res, before, () => refuseBody(req, res));
    } else if (!res.writableEnded) {
      // The response has begun, and can only be cut off.
      res.destroy();
    }
    // The rest is discarded until the client has read the response.
    return true;
  };
  req.push = countAndPush;
}

function respond413(_req: IncomingMessage, res: ServerResponse): void {
  writeHead413(res);
  res.end(CONTENT_TOO_LARGE);
}
