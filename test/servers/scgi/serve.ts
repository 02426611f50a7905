/** Starts an SCGI server for a test. */
import type { App } from '../../../src/protocol/types.ts';
import { makeScgiServer } from '../../../src/servers/scgi/server.ts';
import { type Served as ServedTo, serveGateway, settingsOf } from '../serve-gateway.ts';
import { ScgiClient } from './client.ts';

export type Served = ServedTo<ScgiClient>;

/** On a TCP port, or a Unix socket; `settings` are those of an INI section. */
export function serveScgi(
  app: App,
  settings: Record<string, string> = {},
  { unix = false }: { unix?: boolean } = {},
): Promise<Served> {
  const server = makeScgiServer({}, readSettings(settings));
  return serveGateway(server, app, (to) => ScgiClient.connect(to), { unix });
}

export function readSettings(settings: Record<string, string>): Parameters<typeof makeScgiServer>[1] {
  return settingsOf(makeScgiServer, settings);
}
