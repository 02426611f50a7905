/**
 * Socket.IO (through Engine.IO) begins with long polling: a session of several requests. Only the process that got the first request
 * knows the session. With several workers, the other requests reach any of them, and most sessions fail with "Session ID unknown".
 */
import type { IncomingMessage } from 'node:http';
import { createRequire } from 'node:module';
import { sep } from 'node:path';
import type { App } from './types.ts';

const ENGINE = `${sep}node_modules${sep}engine.io${sep}`;
const POLLING = /[?&]transport=polling(?:&|$)/;

/** Whether a request waits for the next message of its session, for up to 25 seconds. */
export function waitsForMessage({ method, url = '' }: IncomingMessage): boolean {
  return method === 'GET' && POLLING.test(url) && /[?&]sid=/.test(url);
}

/** The application, with a warning at its first request that polls; the application itself if it has not loaded Engine.IO. */
export function warnOfPollingSessions(app: App, workers: number, warn: (message: string) => void): App {
  if (workers < 2 || !isEngineLoaded()) return app;
  let isWarned = false;
  const watched: App = (req, res) => {
    if (!isWarned && POLLING.test(req.url ?? '')) {
      isWarned = true;
      warn(
        `Socket.IO polls, and only one of the ${workers} workers knows the session of a client: set sticky = true in the ` +
          "server's section, and use an adapter such as @socket.io/redis-adapter if clients send messages to each other",
      );
    }
    return app(req, res);
  };
  return Object.assign(watched, app);
}

/** Engine.IO is a CommonJS package, also for ES modules that import it. */
function isEngineLoaded(): boolean {
  // All modules of a process are in one cache, whatever file asks for it.
  return Object.keys(createRequire(process.execPath).cache).some((file) => file.includes(ENGINE));
}
