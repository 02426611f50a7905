/**
 * The CGI server (RFC 3875): the one request that the environment and standard input of this process hold, its answer on
 * standard output, and then the end. Listens nowhere.
 */
import { defineSettings } from '../../config/setting.ts';
import { ConfigError, RunError } from '../../errors.ts';
import type { EnvironPairs } from '../../gateway/environ.ts';
import { requestEvents } from '../../gateway/request-events.ts';
import { callApp } from '../../http/failure.ts';
import { type Logger, silentLogger } from '../../log.ts';
import { formatAddress } from '../../net/address.ts';
import type { App, Running, Server, Settings } from '../../protocol/types.ts';
import { plainAnswer } from '../plain-output.ts';
import { CgiExchange, type CgiStreams } from './exchange.ts';
import { forgetProxyHeader, ownEnviron, ownStreams, reserveOutput } from './own-process.ts';

export const cgiSettings = defineSettings({}, { meaning: 'CGI: one request a process, started by a web server' });

/** The factory behind `npm:paster#cgi` and `egg:PasteScript#cgi`. */
export function makeCgiServer(_globalConf: Settings, _settings: unknown): Server {
  return {
    scheme: 'cgi',
    checkAddress(address) {
      throw new ConfigError('PASTER_ADDRESS', `CGI listens nowhere, and not on ${formatAddress(address)}`, {
        hint: 'leave out host, port, socket and listen: a web server starts this program for each request',
      });
    },
    oneShot: {
      prepare() {
        ownEnviron();
        reserveOutput();
        forgetProxyHeader();
      },
      async fail() {
        const { output } = ownStreams();
        const answer = plainAnswer(500, 'Internal Server Error');
        await new Promise<void>((resolve) => output.write(answer, () => resolve()));
      },
    },
    async serve(app, _listeners, options = {}) {
      const serving = serveCgi(app, ownEnviron(), ownStreams(), options.log ?? silentLogger);
      // Where a server would go on listening, this process would end without a word.
      process.once('beforeExit', () => serving.forsaken());
      return serving;
    },
  };
}
makeCgiServer.settings = cgiSettings;

export interface CgiServing extends Running {
  /** To be called when nothing can come of the request any more. */
  forsaken(): void;
}

/** Serves one request; `finished` rejects with a RunError where the application has broken its answer off. */
export function serveCgi(app: App, pairs: EnvironPairs, streams: CgiStreams, log: Logger): CgiServing {
  const run = requestEvents((req, res) => callApp(app, req, res, log));
  const exchange = new CgiExchange(pairs, streams, log, run);
  const finished = exchange.ended.then((ending) => {
    // A CGI program has no other way to say so than its exit status.
    if (ending === 'broken') throw new RunError('PASTER_BROKEN_ANSWER', 'the application broke its answer off');
  });
  finished.catch(() => {});
  return {
    addresses: [],
    finished,
    forsaken: () => exchange.forsaken(),
    /** Who ends a CGI program is the web server whose client has gone, gracefully or not: nobody waits for the answer. */
    async close() {
      exchange.abandon();
    },
  };
}
