/** Starts a FastCGI server for a test. */
import type { App } from '../../../src/protocol/types.ts';
import { makeFastcgiServer } from '../../../src/servers/fastcgi/server.ts';
import { type ListenerOptions, type Served as ServedTo, serveGateway, settingsOf } from '../serve-gateway.ts';
import { FastcgiClient } from './client.ts';

export type Served = ServedTo<FastcgiClient>;

/** On a Unix socket unless `unix` is false; `settings` are those of an INI section. */
export function serveFastcgi(
  app: App,
  settings: Record<string, string> = {},
  { unix = true, ...listener }: ListenerOptions & { readonly unix?: boolean } = {},
): Promise<Served> {
  const server = makeFastcgiServer({}, readSettings(settings));
  return serveGateway(server, app, (to) => FastcgiClient.connect(to), { unix, ...listener });
}

export function readSettings(settings: Record<string, string>): Parameters<typeof makeFastcgiServer>[1] {
  return settingsOf(makeFastcgiServer, settings);
}
