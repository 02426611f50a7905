/**
 * The SCGI server: connections from listeners that somebody else has opened, an application behind them, one request a
 * connection. Holds no socket address and forks nothing.
 */
import type { Server as NetServer, Socket } from 'node:net';
import { defineSettings, type SettingsOf } from '../../config/setting.ts';
import type { Exchange } from '../../gateway/exchange.ts';
import { Peers } from '../../gateway/peers.ts';
import { requestEvents } from '../../gateway/request-events.ts';
import { callApp } from '../../http/failure.ts';
import { type Logger, silentLogger } from '../../log.ts';
import type { App, Running, ServeOptions, Server, Settings } from '../../protocol/types.ts';
import { timerMs } from '../../timer.ts';
import { GatewayServing } from '../gateway-serving.ts';
import { gatewaySettings, obsoleteFlupSettings } from '../gateway-settings.ts';
import { type ConnectionHost, ScgiConnection } from './connection.ts';

export const scgiSettings = defineSettings(gatewaySettings, {
  meaning: 'SCGI, behind a web server',
  obsolete: obsoleteFlupSettings,
});

type ScgiSettings = SettingsOf<typeof scgiSettings>;

/** The factory behind `npm:paster#scgi` and `egg:Flup#scgi_fork`, `#scgi_thread`, `#scgi`. */
export function makeScgiServer(_globalConf: Settings, settings: ScgiSettings): Server {
  const peers = new Peers(settings.allow);
  return {
    scheme: 'scgi',
    defaultAddress: { kind: 'tcp', host: '127.0.0.1', port: 4000 },
    checkAddress: (address) => peers.checkAddress(address, 'SCGI'),
    async serve(app: App, listeners: readonly NetServer[], options: ServeOptions = {}): Promise<Running> {
      return new ScgiServing(app, listeners, settings, peers, options.log ?? silentLogger);
    },
  };
}
makeScgiServer.settings = scgiSettings;

class ScgiServing extends GatewayServing implements ConnectionHost {
  readonly maxParamsSize: number;
  readonly mount: string | undefined;
  readonly headersTimeout: number;
  readonly sendTimeout: number;
  readonly run: (exchange: Exchange) => void;

  constructor(app: App, listeners: readonly NetServer[], settings: ScgiSettings, peers: Peers, log: Logger) {
    super({ protocol: 'SCGI', listeners, peers, maxConnections: settings.max_connections, log });
    this.run = requestEvents((req, res) => callApp(app, req, res, log));
    this.maxParamsSize = settings.max_params_size;
    this.mount = settings.script_name;
    this.headersTimeout = timerMs(settings.headers_timeout);
    this.sendTimeout = timerMs(settings.send_timeout);
  }

  protected connected(socket: Socket, overloaded: boolean): ScgiConnection {
    return new ScgiConnection(socket, this, overloaded);
  }
}
