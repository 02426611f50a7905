/** HTTP/2: an application without TLS and a client of it, which end with the test; and frames for clients of other manners. */
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

const FRAME_TYPES = { DATA: 0, HEADERS: 1, RST_STREAM: 3, SETTINGS: 4, PING: 6, CONTINUATION: 9 } as const;

/** What a client sends first: the preface and a SETTINGS frame (RFC 9113 section 3.4). */
export const PREFACE = Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame('SETTINGS', 0, 0)]);

export const END_STREAM = 1;
export const END_HEADERS = 4;

/** RFC 9113 section 4.1. */
export function frame(
  type: keyof typeof FRAME_TYPES,
  flags: number,
  stream: number,
  payload: Buffer = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = FRAME_TYPES[type];
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** `/` of the host `a`, by the static table of HPACK (RFC 7541 appendix A). */
export function requestHeaders(method: 'GET' | 'POST'): Buffer {
  return Buffer.from([method === 'GET' ? 0x82 : 0x83, 0x86, 0x84, 0x41, 1, 0x61]);
}
