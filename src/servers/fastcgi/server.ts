/** The FastCGI server: FastCGI 1.0 in the roles RESPONDER and AUTHORIZER. */
import type { Server as NetServer } from 'node:net';
import { defineSettings, type SettingsOf } from '../../config/settings/setting.ts';
import { bool } from '../../config/settings/setting-types.ts';
import { withConvention } from '../../deploy/sections/application-settings.ts';
import { processSettings } from '../../deploy/server/server-settings.ts';
import { ConfigError } from '../../errors.ts';
import { REPORT } from '../../gateway/error-stream.ts';
import type { GatewaySocket } from '../../gateway/socket.ts';
import { callApp } from '../../http/error-response.ts';
import { silentLogger } from '../../log.ts';
import type { Address } from '../../net/address.ts';
import { type Network, networks, Peers } from '../../net/peers.ts';
import type { App, Running, ServeOptions, Server, Settings } from '../../protocol/types.ts';
import { gatewaySettings, obsoleteFlupSettings } from '../gateway-settings.ts';
import { RunningGateway } from '../running-gateway.ts';
import { FastcgiConnection } from './connection.ts';
import { RequestLimits } from './request-limits.ts';

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
    max_requests_in_flight: processSettings.declarations.max_requests_in_flight,
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
    async serve(inner: App, listeners: readonly NetServer[], options: ServeOptions = {}): Promise<Running> {
      const app = withConvention(inner, settings.mount);
      const log = options.log ?? silentLogger;
      const limits = new RequestLimits(settings.max_requests_in_flight, settings.multiplexed);
      return new RunningGateway({
        protocol: 'FastCGI',
        listeners,
        peers,
        settings,
        log,
        handler(req, res) {
          const socket = req.socket as unknown as GatewaySocket;
          callApp(app, req, res, log, (line) => socket[REPORT](`paster: ${line}\n`));
        },
        connect: (socket, gateway, overloaded) => new FastcgiConnection(socket, gateway, limits, overloaded),
      });
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
