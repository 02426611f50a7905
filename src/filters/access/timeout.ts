/** `npm:paster#timeout`: responds instead of the application if that takes too long. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { defineSettings, type OptionsOf, type SettingsOf, withDefaults } from '../../config/settings/setting.ts';
import { bool, oneOf, type SettingType, seconds } from '../../config/settings/setting-types.ts';
import { replaceResponse } from '../../http/response/response-interceptor.ts';
import { canBeReplaced } from '../../http/response/response-outcome.ts';
import type { App, Filter, Settings } from '../../protocol/types.ts';
import { timerMs } from '../../timer.ts';
import { plainRefusal } from './access-decision.ts';

/** A day, more than any request needs. Node's timers end after 25 days. */
const MAX_SECONDS = 86_400;

const limitSeconds: SettingType<number> = {
  allowed: `a number of seconds, more than 0 and at most ${MAX_SECONDS}`,
  max: MAX_SECONDS,
  parse(value) {
    const number = seconds.parse(value);
    if (number === 0 || number > MAX_SECONDS) throw new Error(`${number} is out of range`);
    return number;
  },
};

export const timeoutSettings = defineSettings(
  {
    timeout: { type: limitSeconds, default: 30, help: 'Seconds within which the application must begin its response.' },
    status: { type: oneOf('503', '504'), default: '503', help: 'The status of the response that is sent instead.' },
    whole_answer: {
      type: bool,
      default: false,
      help: 'Also end a response that has begun and is not complete by then, even an event stream.',
    },
  },
  { meaning: 'responds instead of an application that takes too long' },
);

/** Makes the filter of a `[filter:*]` section. */
export function makeTimeout(_globalConf: Settings, settings: SettingsOf<typeof timeoutSettings>): Filter {
  return timeout(settings);
}
makeTimeout.settings = timeoutSettings;

/**
 * A filter that responds with 503 if the application has not begun its response in time. The application is not stopped: its
 * response emits 'close', and what it writes then is discarded. Upgrades are not limited.
 */
export function timeout(options: OptionsOf<typeof timeoutSettings> = {}): Filter {
  const { timeout: limit, status, whole_answer: isForAll } = withDefaults(timeoutSettings, options);
  const refusal = plainRefusal(Number(status));
  const respond = (req: IncomingMessage, res: ServerResponse): void => {
    // The client may still be sending the body.
    res.shouldKeepAlive = false;
    refusal(req, res);
  };
  const expire = (
    req: IncomingMessage,
    res: ServerResponse,
    before: ReturnType<ServerResponse['getHeaders']>,
  ): void => {
    if (canBeReplaced(res)) replaceResponse(res, before, () => respond(req, res));
    else if (isForAll && !res.writableEnded) res.destroy();
  };
  return (app) => {
    const limited: App = (req, res) => {
      const before = { ...res.getHeaders() };
      const timer = setTimeout(() => expire(req, res, before), timerMs(limit));
      res.once('close', () => clearTimeout(timer));
      return app(req, res);
    };
    return limited;
  };
}
