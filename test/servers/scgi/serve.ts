/** An SCGI server for a test: on a TCP port or a Unix socket of its own, its log kept. */
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Server as NetServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lineLogger } from '../../../src/log.ts';
import type { App, Running } from '../../../src/protocol/types.ts';
import { makeScgiServer } from '../../../src/servers/scgi/server.ts';
import { ScgiClient } from './client.ts';

export interface Served {
  readonly running: Running;
  readonly log: string[];
  client(): Promise<ScgiClient>;
  close(): Promise<void>;
}

/** `settings` as an INI section has them. */
export async function serveScgi(
  app: App,
  settings: Record<string, string> = {},
  { unix = false }: { unix?: boolean } = {},
): Promise<Served> {
  const directory = mkdtempSync(join(tmpdir(), 'paster-scgi-'));
  const path = join(directory, 's');
  const listener: NetServer = createServer({ allowHalfOpen: true });
  await new Promise<void>((resolve) => {
    if (unix) listener.listen(path, resolve);
    else listener.listen(0, '127.0.0.1', resolve);
  });
  const to = unix ? path : (listener.address() as AddressInfo).port;
  const log: string[] = [];
  const running = await makeScgiServer({}, readSettings(settings)).serve(app, [listener], {
    log: lineLogger('debug', (line, level) => log.push(`${level}: ${line}`)),
  });
  const clients: ScgiClient[] = [];
  return {
    running,
    log,
    async client() {
      const client = await ScgiClient.connect(to);
      clients.push(client);
      return client;
    },
    async close() {
      for (const client of clients) client.close();
      await running.close({ graceful: false });
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

export function readSettings(settings: Record<string, string>): Parameters<typeof makeScgiServer>[1] {
  const result = makeScgiServer.settings['~standard'].validate(settings);
  if ('issues' in result) throw new Error(result.issues.map((issue) => issue.message).join('; '));
  return result.value;
}
