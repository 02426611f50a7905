/**
 * Measures how long requests have waited in front of this server. In the header X-Request-Start, proxies say when they got a
 * request: as `t=1700000000.123` (nginx, HAProxy, Apache), or in milliseconds or microseconds (Heroku and others).
 */
import type { IncomingMessage } from 'node:http';
import { meter } from '../../metrics/meter.ts';
import type { Peers } from '../../net/peers.ts';
import type { App } from '../../protocol/types.ts';

const HEADER = 'x-request-start';
const TIME = /^(?:t=)?(\d{10,16})(?:\.(\d{1,9}))?$/;
/** The client of a request that waits longer has given up, so the header must be wrong. */
const MAX_WAIT_S = 600;
/** Clocks of two machines may differ: a request that comes from the future has not waited. */
const CLOCK_ERROR_S = 5;

/**
 * Wraps the application of a server whose requests are counted.
 * @param peers the peers whose header is trusted; undefined: all, since the server accepts only trusted peers
 */
export function measureQueueTime(app: App, peers: Peers | undefined): App {
  const measured: App = (req, res) => {
    const start = requestStart(req);
    if (start !== undefined && (peers === undefined || peers.admitsConnection(req.socket))) {
      const seconds = queueSeconds(start, Date.now() / 1000);
      if (seconds !== undefined) meter().queued(seconds);
    }
    return app(req, res);
  };
  return Object.setPrototypeOf(measured, app);
}

/** Reads the raw headers: behind a gateway, `req.headers` is made only when it is read, which costs time. */
function requestStart({ rawHeaders }: IncomingMessage): string | undefined {
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index];
    if (name?.length === HEADER.length && name.toLowerCase() === HEADER) return rawHeaders[index + 1];
  }
  return undefined;
}

/**
 * @param text the value of the header
 * @param now seconds since 1970
 * @returns undefined if the text is not a time, or a time at which the request cannot have come
 */
export function queueSeconds(text: string, now: number): number | undefined {
  const [, digits, decimals = ''] = TIME.exec(text.trim()) ?? [];
  if (digits === undefined) return undefined;
  // Ten digits are seconds until the year 2286, 13 milliseconds, 16 microseconds.
  const seconds = Number(`${digits}.${decimals}0`) / 10 ** (digits.length - 10);
  const waited = now - seconds;
  return waited > MAX_WAIT_S || waited < -CLOCK_ERROR_S ? undefined : Math.max(0, waited);
}
