/** `npm:paster#timeout`: answers in the application's place when that takes too long to begin. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  bool,
  defineSettings,
  type OptionsOf,
  oneOf,
  type SettingsOf,
  type SettingType,
  seconds,
  withDefaults,
} from '../config/setting.ts';
import { isUnanswered, replaceAnswer } from '../http/replace-answer.ts';
import type { App, Filter, Settings } from '../protocol/types.ts';
import { timerMs } from '../timer.ts';
import { refuse } from './gate.ts';

/** What Node's timers can wait, and no request has to: a day. */
const LONGEST = 86_400;

const limitSeconds: SettingType<number> = {
  allowed: `a number of seconds, more than 0 and at most ${LONGEST}`,
  max: LONGEST,
  parse(value) {
    const number = seconds.parse(value);
    if (number === 0 || number > LONGEST) throw new Error(`${number} is out of range`);
    return number;
  },
};

export const timeoutSettings = defineSettings(
  {
    timeout: { type: limitSeconds, default: 30, help: 'Seconds within which the application has to begin its answer.' },
    status: { type: oneOf('503', '504'), default: '503', help: 'The status of the answer in its place.' },
    whole_answer: {
      type: bool,
      default: false,
      help: 'Cut an answer that has begun and is not complete by then; event streams too.',
    },
  },
  { meaning: 'an answer in the application’s place when that takes too long' },
);

/** Makes the filter of a `[filter:*]` section. */
export function makeTimeout(_globalConf: Settings, settings: SettingsOf<typeof timeoutSettings>): Filter {
  return timeout(settings);
}
makeTimeout.settings = timeoutSettings;

/**
 * A filter that answers 503 when the application has not begun to answer in time. The application is not stopped: it is
 * told by `close` of its response, and what it writes then goes nowhere. An upgraded connection is its own affair.
 */
export function timeout(options: OptionsOf<typeof timeoutSettings> = {}): Filter {
  const { timeout: limit, status, whole_answer: isForAll } = withDefaults(timeoutSettings, options);
  const refusal = refuse(Number(status));
  const answer = (req: IncomingMessage, res: ServerResponse): void => {
    // The body of the request may still be coming.
    res.shouldKeepAlive = false;
    refusal(req, res);
  };
  const expire = (
    req: IncomingMessage,
    res: ServerResponse,
    before: ReturnType<ServerResponse['getHeaders']>,
  ): void => {
    if (isUnanswered(res)) replaceAnswer(res, before, () => answer(req, res));
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
