/** The host that a client requests over HTTP/2, which has no Host header. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { proxy, transparentProxy } from '../../src/apps/proxy/proxy.ts';
import { urlMap } from '../../src/apps/urlmap.ts';
import type { App } from '../../src/protocol/types.ts';
import { whenOver } from '../helpers/programs/lifetime.ts';
import { overHttp2 } from '../helpers/requests/http2.ts';

// From the beginning: Node reports each kind of problem only once in a process.
const warnings: Error[] = [];
process.on('warning', (warning) => warnings.push(warning));

/** The response to a request for `authority`. */
async function answered(app: App, authority: string): Promise<[status: number | undefined, body: string]> {
  const { client } = await overHttp2(app);
  const stream = client.request({ ':path': '/x', ':authority': authority });
  const [headers] = await once(stream, 'response');
  return [headers[':status'], await text(stream)];
}

/** An HTTP/1 server that responds with the host it was asked for, and with a reason phrase. */
async function upstream(): Promise<string> {
  const server = createServer((req, res) => res.writeHead(200, 'Quite').end(req.headers.host)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  whenOver(() => void server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('urlmap maps by the host', async () => {
  const app = await urlMap({
    'domain a.example': (_req, res) => res.end('a'),
    'domain a.example port 81': (_req, res) => res.end('81'),
    '/': (_req, res) => res.end('any'),
  });
  expect(await answered(app, 'a.example')).toEqual([200, 'a']);
  expect(await answered(app, 'A.example:81')).toEqual([200, '81']);
  expect(await answered(app, 'b.example')).toEqual([200, 'any']);
});

test('transparent_proxy checks the host and forwards it', async () => {
  const host = await upstream();
  expect(await answered(await transparentProxy({ allowedHosts: [host] }), host)).toEqual([200, host]);
  expect(await answered(await transparentProxy({ allowedHosts: [host] }), 'b.example')).toEqual([403, 'Forbidden\n']);
  expect(await answered(await transparentProxy({ forceHost: host }), 'b.example')).toEqual([200, 'b.example']);
});

test('early hints of a server behind a proxy reach the client', async () => {
  const server = createServer((_req, res) => {
    res.writeEarlyHints({ link: '</a.css>; rel=preload' });
    res.end('body');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  whenOver(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const { client } = await overHttp2(await proxy({ address: `http://127.0.0.1:${port}` }));
  const stream = client.request({ ':path': '/' });
  const [hints] = await once(stream, 'headers');
  expect([hints[':status'], hints.link]).toEqual([103, '</a.css>; rel=preload']);
  expect(await text(stream)).toBe('body');
});

test('the reason phrase of a server behind a proxy is dropped without a warning', async () => {
  const host = await upstream();
  expect(await answered(await proxy({ address: `http://${host}` }), 'b.example')).toEqual([200, host]);
  await new Promise(setImmediate);
  expect(warnings).toEqual([]);
});
