/** HTTP/2: the HTTP server with `http2 = true`, without TLS, and its client; and frames for clients that write their own. */
import { once } from 'node:events';
import { type ClientHttp2Session, connect } from 'node:http2';
import { type AddressInfo, createServer } from 'node:net';
import { type Logger, silentLogger } from '../../../src/log.ts';
import type { App, Running } from '../../../src/protocol/types.ts';
import { makeHttpServer } from '../../../src/servers/http/server.ts';
import { httpSettings } from '../../../src/servers/http/settings.ts';
import { whenOver } from '../programs/lifetime.ts';

export async function serveHttp2(app: App, log: Logger): Promise<{ readonly host: string; readonly running: Running }> {
  const settings = httpSettings['~standard'].validate({ http2: 'true', max_header_size: '65536' });
  if (!('value' in settings)) throw new Error('the settings are not valid');
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const host = `127.0.0.1:${(listener.address() as AddressInfo).port}`;
  return { host, running: await (await makeHttpServer({}, settings.value)).serve(app, [listener], { log }) };
}

export interface OverHttp2 {
  readonly client: ClientHttp2Session;
  /** The server's host and port. */
  readonly host: string;
}

/** A server and a client that end with the test. */
export async function overHttp2(app: App, log = silentLogger): Promise<OverHttp2> {
  const { host, running } = await serveHttp2(app, log);
  const client = connect(`http://${host}`);
  client.on('error', () => {});
  whenOver(async () => {
    client.destroy();
    await running.close({ graceful: false });
  });
  return { client, host };
}

const FRAME_TYPES = { DATA: 0, HEADERS: 1, RST_STREAM: 3, SETTINGS: 4, PING: 6, CONTINUATION: 9 } as const;

/** The first bytes of a client: the preface and a SETTINGS frame (RFC 9113 section 3.4). */
export const PREFACE = Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame('SETTINGS', 0, 0)]);

export const END_STREAM = 1;
export const END_HEADERS = 4;

/** A frame (RFC 9113 section 4.1). */
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

/** A request for `/` of the host `a`, encoded by the static table of HPACK (RFC 7541 appendix A). */
export function requestHeaders(method: 'GET' | 'POST'): Buffer {
  return Buffer.from([method === 'GET' ? 0x82 : 0x83, 0x86, 0x84, 0x41, 1, 0x61]);
}
