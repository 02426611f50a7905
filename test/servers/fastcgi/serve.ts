/** A FastCGI server for a test: on a Unix socket or a TCP port of its own, its log kept. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server as NetServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lineLogger } from '../../../src/log.ts';
import type { App, Running } from '../../../src/protocol/types.ts';
import { makeFastcgiServer } from '../../../src/servers/fastcgi/server.ts';
import { FastcgiClient } from './client.ts';

export interface Served {
  readonly path: string;
  readonly running: Running;
  readonly log: string[];
  client(): Promise<FastcgiClient>;
  close(): Promise<void>;
}

/** `settings` as an INI section has them. */
export async function serveFastcgi(
  app: App,
  settings: Record<string, string> = {},
  { allowHalfOpen = false }: { allowHalfOpen?: boolean } = {},
): Promise<Served> {
  const directory = mkdtempSync(join(tmpdir(), 'paster-fastcgi-'));
  const path = join(directory, 's');
  const listener: NetServer = createServer({ allowHalfOpen });
  await new Promise<void>((resolve) => listener.listen(path, resolve));
  const log: string[] = [];
  const server = makeFastcgiServer({}, readSettings(settings));
  const running = await server.serve(app, [listener], {
    log: lineLogger('debug', (line, level) => log.push(`${level}: ${line}`)),
  });
  const clients: FastcgiClient[] = [];
  return {
    path,
    running,
    log,
    async client() {
      const client = await FastcgiClient.connect(path);
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

export function readSettings(settings: Record<string, string>): Parameters<typeof makeFastcgiServer>[1] {
  const result = makeFastcgiServer.settings['~standard'].validate(settings);
  if ('issues' in result) throw new Error(result.issues.map((issue) => issue.message).join('; '));
  return result.value;
}
