/** The CGI server (RFC 3875): one request from the environment and standard input of this process, its response on standard output. */
import { readFileSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { defineSettings, type SettingsOf } from '../../config/settings/setting.ts';
import { withConvention } from '../../deploy/sections/application-settings.ts';
import { ConfigError, RunError } from '../../errors.ts';
import type { EnvironPairs } from '../../gateway/environ.ts';
import { requestDispatcher } from '../../gateway/exchange.ts';
import { callApp } from '../../http/error-response.ts';
import { type Logger, silentLogger } from '../../log.ts';
import { formatAddress } from '../../net/address.ts';
import type { App, Running, Server, Settings } from '../../protocol/types.ts';
import { plainResponse } from '../cgi-output.ts';
import { gatewaySettings } from '../gateway-settings.ts';
import { CgiExchange, type CgiStreams } from './exchange.ts';

export const cgiSettings = defineSettings(
  { mount: gatewaySettings.mount },
  { meaning: 'CGI: one request a process, started by a web server' },
);

/** The factory behind `npm:paster#cgi` and `egg:PasteScript#cgi`. */
export function makeCgiServer(_globalConf: Settings, settings: SettingsOf<typeof cgiSettings>): Server {
  return {
    scheme: 'cgi',
    checkAddress(address) {
      throw new ConfigError('PASTER_ADDRESS', `CGI does not listen, so it cannot use ${formatAddress(address)}`, {
        hint: 'leave out host, port, socket and listen: a web server starts this program for each request',
      });
    },
    oneShot: {
      prepare() {
        ownEnviron();
        reserveOutput();
        removeProxyHeader();
      },
      async fail() {
        const { output } = ownStreams();
        const response = plainResponse(500, 'Internal Server Error');
        await new Promise<void>((resolve) => output.write(response, () => resolve()));
      },
    },
    async serve(app, _listeners, options = {}) {
      const serving = serveCgi(
        withConvention(app, settings.mount),
        ownEnviron(),
        ownStreams(),
        options.log ?? silentLogger,
      );
      // Without a listener, this process would otherwise end without a response.
      process.once('beforeExit', () => serving.endWithoutResponse());
      return serving;
    },
  };
}
makeCgiServer.settings = cgiSettings;

export interface CgiServing extends Running {
  /** To be called when the process would end without a response. */
  endWithoutResponse(): void;
}

/** Serves one request; `finished` rejects with a RunError if the application has broken its response off. */
export function serveCgi(app: App, pairs: EnvironPairs, streams: CgiStreams, log: Logger): CgiServing {
  const run = requestDispatcher((req, res) => callApp(app, req, res, log));
  const exchange = new CgiExchange(pairs, streams, log, run);
  const finished = exchange.ended.then((ending) => {
    // A CGI program can only report it by its exit status.
    if (ending === 'broken')
      throw new RunError('PASTER_BROKEN_ANSWER', 'the application ended its response before it was complete');
  });
  finished.catch(() => {});
  return {
    addresses: [],
    finished,
    endWithoutResponse: () => exchange.endWithoutResponse(),
    /** A web server ends a CGI program when its client has disconnected, so that graceful or not, no response is needed. */
    async close() {
      exchange.abandon();
    },
  };
}

// --- the process that the web server has started: its environment and its standard streams -------------------------

/** Where the response goes, also after `reserveOutput` has replaced `process.stdout`. */
let responseOutput: Writable | undefined;

/** The web server's streams. */
function ownStreams(): CgiStreams {
  return { input: () => process.stdin, output: responseOutput ?? process.stdout };
}

/**
 * Keeps standard output for the response: what the application prints goes to standard error, which is the web server's log.
 * This covers `process.stdout` and `console`; Node cannot redirect descriptor 1 itself, which child processes inherit and
 * native code writes to.
 */
function reserveOutput(): void {
  responseOutput ??= process.stdout;
  Object.defineProperty(process, 'stdout', { configurable: true, enumerable: true, get: () => process.stderr });
}

/**
 * Removes the header `Proxy` from this process's environment, where HTTP libraries would use it as the address of their proxy
 * (CVE-2016-5385, "httpoxy"). The request keeps it.
 */
function removeProxyHeader(): void {
  delete process.env['HTTP_PROXY'];
}

/**
 * The environment that this process was started with, name and value in turn, bytes as latin-1. Linux has the bytes;
 * elsewhere they are encoded from Node's text, which gives the same for valid UTF-8.
 * @throws RunError if there is no request in it.
 */
function ownEnviron(): string[] {
  const pairs: string[] = [];
  for (const entry of readEnviron().split('\0')) {
    const equals = entry.indexOf('=', 1);
    // paster's own variables, such as its arguments, are not part of the request.
    if (equals !== -1 && !entry.startsWith('PASTER_')) pairs.push(entry.slice(0, equals), entry.slice(equals + 1));
  }
  if (!pairs.some((name, i) => i % 2 === 0 && name === 'REQUEST_METHOD')) {
    throw new RunError('PASTER_NO_REQUEST', 'there is no request in the environment: REQUEST_METHOD is not set', {
      hint: 'a web server starts a CGI program; to try an application, use paster request',
    });
  }
  return pairs;
}

function readEnviron(): string {
  try {
    return readFileSync('/proc/self/environ', 'latin1');
  } catch {
    const entries = Object.entries(process.env).map(([name, value]) => `${name}=${value}`);
    return Buffer.from(entries.join('\0')).toString('latin1');
  }
}
