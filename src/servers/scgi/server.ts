/** The SCGI server: one request for each connection. */
import type { Server as NetServer } from 'node:net';
import { defineSettings, type SettingsOf } from '../../config/settings/setting.ts';
import { withConvention } from '../../deploy/sections/application-settings.ts';
import { callApp } from '../../http/error-response.ts';
import { silentLogger } from '../../log.ts';
import { Peers } from '../../net/peers.ts';
import type { App, Running, ServeOptions, Server, Settings } from '../../protocol/types.ts';
import { gatewaySettings, obsoleteFlupSettings } from '../gateway-settings.ts';
import { RunningGateway } from '../running-gateway.ts';
import { ScgiConnection } from './connection.ts';

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
    async serve(inner: App, listeners: readonly NetServer[], options: ServeOptions = {}): Promise<Running> {
      const app = withConvention(inner, settings.mount);
      const log = options.log ?? silentLogger;
      return new RunningGateway({
        protocol: 'SCGI',
        listeners,
        peers,
        settings,
        log,
        handler: (req, res) => callApp(app, req, res, log),
        connect: (connection, gateway, overloaded) => new ScgiConnection(connection, gateway, overloaded),
      });
    },
  };
}
makeScgiServer.settings = scgiSettings;
