/** `npm:paster#bodylimit`: refuses bodies that are too large, by what they announce and by what comes. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { defineSettings, type OptionsOf, type SettingsOf, size, withDefaults } from '../config/setting.ts';
import { CONTENT_TOO_LARGE, refuseBody, writeHead413 } from '../http/refuse-body.ts';
import { isUnanswered, replaceAnswer } from '../http/replace-answer.ts';
import { declineUpgrade } from '../protocol/decline-upgrade.ts';
import type { App, Filter, Settings } from '../protocol/types.ts';

export const bodylimitSettings = defineSettings(
  {
    max_body_size: {
      type: size,
      default: 10 * 2 ** 20,
      help: 'The most bytes that the body of a request may have.',
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

/** A filter that answers 413 to a body that is too large; what of it has come until then the application has seen. */
export function bodyLimit(options: OptionsOf<typeof bodylimitSettings> = {}): Filter {
  const { max_body_size: limit } = withDefaults(bodylimitSettings, options);
  const isAnnounced = (req: IncomingMessage): boolean => Number(req.headers['content-length'] ?? 0) > limit;
  // A filter in front may have waited for something while the body began to come.
  const isHere = (req: IncomingMessage): boolean => req.readableLength > limit;
  return (app) => {
    const limited: App = (req, res) => {
      if (isAnnounced(req) || isHere(req)) return refuseBody(req, res);
      watchBody(req, res, limit);
      return app(req, res);
    };
    const { upgrade } = app;
    if (upgrade) {
      limited.upgrade = (req, socket, head) =>
        isAnnounced(req) ? declineUpgrade(answer413, req, socket) : upgrade.call(app, req, socket, head);
    }
    return limited;
  };
}

/** Whatever server it came over, a body's bytes go through `push`, and its end does, as null. */
function watchBody(req: IncomingMessage, res: ServerResponse, limit: number): void {
  const before = { ...res.getHeaders() };
  const { push } = req;
  let length = req.readableLength;
  req.push = (chunk: Buffer | null, encoding?: BufferEncoding): boolean => {
    length += chunk?.length ?? 0;
    if (length <= limit) return push.call(req, chunk, encoding);
    if (isUnanswered(res)) {
      replaceAnswer(res, before, () => refuseBody(req, res));
    } else if (!res.writableEnded) {
      // The answer has begun: nothing is left but to break it off.
      res.destroy();
    }
    // More is taken in and thrown away, until the answer has been read.
    return true;
  };
}

function answer413(_req: IncomingMessage, res: ServerResponse): void {
  writeHead413(res);
  res.end(CONTENT_TOO_LARGE);
}
