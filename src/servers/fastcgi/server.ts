/**
 * The FastCGI server: connections from listeners that somebody else has opened, an application behind them. Speaks
 * FastCGI 1.0 in the roles RESPONDER and AUTHORIZER. Holds no socket address and forks nothing.
 */
import type { Server as NetServer, Socket } from 'node:net';
import { bool, defineSettings, int, type SettingsOf } from '../../config/setting.ts';
import { ConfigError } from '../../errors.ts';
import { REPORT } from '../../gateway/error-stream.ts';
import type { Exchange } from '../../gateway/exchange.ts';
import { type Network, networks, Peers } from '../../gateway/peers.ts';
import { requestEvents } from '../../gateway/request-events.ts';
import type { GatewaySocket } from '../../gateway/socket.ts';
import { callApp } from '../../http/failure.ts';
import { type Logger, silentLogger } from '../../log.ts';
import type { Address } from '../../net/address.ts';
import type { App, Running, ServeOptions, Server, Settings } from '../../protocol/types.ts';
import { timerMs } from '../../timer.ts';
import { GatewayServing } from '../gateway-serving.ts';
import { gatewaySettings, obsoleteFlupSettings } from '../gateway-settings.ts';
import { Connection, type ConnectionHost } from './connection.ts';

export const fastcgiSettings = defineSettings(
  {
    ...gatewaySettings,
    allow: {
      ...gatewaySettings.allow,
      help: 'The web servers that may connect by TCP. Left out: FCGI_WEB_SERVER_ADDRS from the environment, else this machine only.',
    },
    max_connections: {
      ...gatewaySettings.max_connections,
      help: 'Connections at a time; requests on more are turned away with FCGI_OVERLOADED.',
    },
    max_requests_in_flight: {
      type: int({ min: 1, max: 1_000_000 }),
      default: 4096,
      help: 'Requests at a time, over all connections of a process; more are turned away with FCGI_OVERLOADED.',
    },
    multiplexed: {
      type: bool,
      default: false,
      help: 'Whether a web server may have several requests in flight on one connection (no common one does).',
    },
  },
  { meaning: 'FastCGI, behind a web server', obsolete: obsoleteFlupSettings },
);

type FastcgiSettings = SettingsOf<typeof fastcgiSettings>;

/** The factory behind `npm:paster#fastcgi` and `egg:Flup#fcgi_fork`, `#fcgi_thread`, `#fcgi`. */
export function makeFastcgiServer(_globalConf: Settings, settings: FastcgiSettings): Server {
  const peers = new Peers(settings.allow ?? environmentPeers());
  return {
    scheme: 'fastcgi',
    // As a program that a web server or spawn-fcgi has started (FastCGI 1.0 section 2.2, FCGI_LISTENSOCK_FILENO).
    defaultAddress: { kind: 'fd', fd: 0 },
    checkAddress: (address: Address) => peers.checkAddress(address, 'FastCGI'),
    async serve(app: App, listeners: readonly NetServer[], options: ServeOptions = {}): Promise<Running> {
      return new FastcgiServing(app, listeners, settings, peers, options.log ?? silentLogger);
    },
  };
}
makeFastcgiServer.settings = fastcgiSettings;

/** The specification's own list (section 3.2). */
function environmentPeers(): readonly Network[] | undefined {
  const text = process.env['FCGI_WEB_SERVER_ADDRS'];
  if (text === undefined || text.trim() === '') return undefined;
  try {
    return networks.parse(text);
  } catch (cause) {
    throw new ConfigError('PASTER_BAD_PEERS', `FCGI_WEB_SERVER_ADDRS: ${(cause as Error).message}`, {
      hint: networks.allowed,
      cause,
    });
  }
}

class FastcgiServing extends GatewayServing implements ConnectionHost {
  readonly maxRequestsInFlight: number;
  readonly maxParamsSize: number;
  readonly headersTimeout: number;
  readonly sendTimeout: number;
  readonly multiplexed: boolean;
  readonly mount: string | undefined;
  readonly run: (exchange: Exchange) => void;
  #inFlight = 0;

  constructor(app: App, listeners: readonly NetServer[], settings: FastcgiSettings, peers: Peers, log: Logger) {
    super({ protocol: 'FastCGI', listeners, peers, maxConnections: settings.max_connections, log });
    this.run = requestEvents((req, res) => {
      const socket = req.socket as unknown as GatewaySocket;
      callApp(app, req, res, log, (line) => socket[REPORT](`paster: ${line}\n`));
    });
    this.maxRequestsInFlight = settings.max_requests_in_flight;
    this.maxParamsSize = settings.max_params_size;
    this.headersTimeout = timerMs(settings.headers_timeout);
    this.sendTimeout = timerMs(settings.send_timeout);
    this.multiplexed = settings.multiplexed;
    this.mount = settings.script_name;
  }

  protected connected(socket: Socket, overloaded: boolean): Connection {
    return new Connection(socket, this, overloaded);
  }

  // --- what connections call -----------------------------------------------------------------------------------------

  admit(): boolean {
    if (this.#inFlight >= this.maxRequestsInFlight) return false;
    this.#inFlight++;
    return true;
  }

  released(): void {
    this.#inFlight--;
  }
}
