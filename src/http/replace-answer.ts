/**
 * Takes an answer out of an application's hands: somebody else answers, and what the application still writes goes
 * nowhere, without its noticing.
 */
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';

/** The headers that an answer has before the application is asked: those of the filters around. */
export type EarlyHeaders = Readonly<OutgoingHttpHeaders>;

/** Whether nothing of an answer is on its way. */
export function isUnanswered(res: ServerResponse): boolean {
  return !res.headersSent && !res.writableEnded && !res.destroyed;
}

/**
 * Answers with `answer`; from then on the application's calls do nothing. Headers that it has set are taken away.
 * @param before `res.getHeaders()` of the time before the application was called
 */
export function replaceAnswer(res: ServerResponse, before: EarlyHeaders, answer: () => void): void {
  for (const name of res.getHeaderNames()) if (!(name in before)) res.removeHeader(name);
  for (const [name, value] of Object.entries(before)) if (value !== undefined) res.setHeader(name, value);
  res.statusMessage = '';
  answer();
  mute(res);
}

/** What is called too late would throw, in the application's own timers and callbacks too. */
function mute(res: ServerResponse): void {
  const itself = (): ServerResponse => res;
  const nothing = (): void => {};
  const finished = (...args: unknown[]): boolean => {
    const callback = args.at(-1);
    if (typeof callback === 'function') process.nextTick(() => callback());
    return true;
  };
  Object.assign(res, {
    setHeader: itself,
    appendHeader: itself,
    setHeaders: itself,
    removeHeader: nothing,
    flushHeaders: nothing,
    writeHead: itself,
    write: finished,
    end: (...args: unknown[]) => {
      finished(...args);
      return res;
    },
  });
}
