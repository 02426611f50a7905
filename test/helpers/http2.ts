/** An application over HTTP/2 without TLS, and a client of it; both end with the test. */
import { once } from 'node:events';
import { type ClientHttp2Session, connect, createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { App } from '../../src/protocol/types.ts';
import { whenOver } from './lifetime.ts';

export interface OverHttp2 {
  readonly client: ClientHttp2Session;
  /** Of the server, with its port. */
  readonly host: string;
}

export async function overHttp2(app: App): Promise<OverHttp2> {
  const server = createServer((req, res) => void app(req as never, res as never)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = connect(`http://${host}`);
  whenOver(() => {
    client.destroy();
    server.close();
  });
  return { client, host };
}
