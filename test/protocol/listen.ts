/** Serves an application by a real HTTP server, as it would be without paster. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import { callApp } from '../../src/http/error-response.ts';
import { silentLogger } from '../../src/log.ts';
import type { App } from '../../src/protocol/types.ts';

/** @returns the URL. */
export async function listen(app: App): Promise<string> {
  await app.ready?.();
  const server = createServer((req, res) => callApp(app, req, res, silentLogger)).listen(0, '127.0.0.1');
  server.on('upgrade', (req, socket, head) => app.upgrade?.(req, socket, head));
  await once(server, 'listening');
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await app.close?.();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
