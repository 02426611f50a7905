/** What the hooks of a response see, and what the client receives, over every protocol and Node's own HTTP/2. */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { connect, createServer, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, test } from 'vitest';
import { headersGiven } from '../../src/http/response/header-lists.ts';
import { interceptResponse, replaceResponse } from '../../src/http/response/response-interceptor.ts';
import type { App } from '../../src/protocol/types.ts';
import type { Backend } from '../contract/backends/backend.ts';
import { cgiBackend } from '../contract/backends/cgi-backend.ts';
import { fastcgiBackend } from '../contract/backends/fastcgi-backend.ts';
import { httpBackend } from '../contract/backends/http-backend.ts';
import { http2Backend } from '../contract/backends/http2-backend.ts';
import { scgiBackend } from '../contract/backends/scgi-backend.ts';

interface Received {
  readonly status: number;
  readonly body: string;
}

type Ask = (app: App) => Promise<Received>;

const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

const askOver =
  (backend: Backend): Ask =>
  async (app) => {
    const serving = await backend.start(app);
    stops.push(() => serving.close());
    const { status, body } = await serving.request();
    return { status, body: body.toString() };
  };

/** Over HTTP/2 of Node, whose response writes its last chunk by calling `write` within `end`. */
async function askNodesHttp2(app: App): Promise<Received> {
  const server = createServer((req, res) => app(req as never, res as unknown as ServerResponse)).listen(0, '127.0.0.1');
  const sessions: ServerHttp2Session[] = [];
  server.on('session', (session) => sessions.push(session));
  await once(server, 'listening');
  const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  stops.push(async () => {
    client.destroy();
    for (const session of sessions) session.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const stream = client.request({ ':path': '/' });
  const [headers] = await once(stream, 'response');
  return { status: headers[':status'], body: await text(stream) };
}

const PROTOCOLS: [string, Ask][] = [
  ...[httpBackend, http2Backend, fastcgiBackend, scgiBackend, cgiBackend].map((backend): [string, Ask] => [
    backend.name,
    askOver(backend),
  ]),
  ['Node’s own HTTP/2', askNodesHttp2],
];

/** Records what the hooks see. */
function record(res: ServerResponse, calls: string[], passes = true) {
  return interceptResponse(res, {
    onHead(status, given) {
      calls.push(`head ${status} ${JSON.stringify(headersGiven(given))}`);
      return passes;
    },
    onWrite: (chunk) => void calls.push(`write ${chunk}`),
    onEnd: (chunk) => void calls.push(`end ${chunk}`),
  });
}

describe.each(PROTOCOLS)('over %s', (_name, ask) => {
  test('one interceptor and several see each call once', async () => {
    const outer: string[] = [];
    const inner: string[] = [];
    const received = await ask((_req, res) => {
      record(res, outer);
      record(res, inner);
      res.writeHead(201, { 'x-a': 'b' });
      res.write('four');
      res.end('more');
    });
    expect(received).toEqual({ status: 201, body: 'fourmore' });
    expect(inner).toEqual(['head 201 [["x-a","b"]]', 'write four', 'end more']);
    expect(outer).toEqual(inner);
  });

  test('the hook sees a head that the application does not write before it sees the body', async () => {
    const calls: string[] = [];
    const received = await ask((_req, res) => {
      record(res, calls);
      res.statusCode = 202;
      res.end('all');
    });
    expect(received).toEqual({ status: 202, body: 'all' });
    expect(calls).toEqual(['head 202 []', 'end all']);
  });

  test('another response is sent instead of a discarded one, whose callbacks are called', async () => {
    const calls: string[] = [];
    const received = await ask((_req, res) => {
      const interceptor = record(res, calls, false);
      res.writeHead(404);
      res.write('none', () => calls.push('written'));
      res.end('of it', () => {
        calls.push('ended');
        interceptor.send(404, { 'content-type': 'text/plain' }, Buffer.from('a page'));
      });
    });
    expect(received).toEqual({ status: 404, body: 'a page' });
    expect(calls).toEqual(['head 404 []', 'end of it', 'written', 'ended']);
  });

  test('a replaced response ignores what the application does later', async () => {
    const received = await ask((_req, res) => {
      res.setHeader('x-a', 'b');
      replaceResponse(res, {}, () => res.writeHead(503).end('too late'));
      res.setHeader('x-a', 'c');
      res.writeHead(200);
      res.write('more');
      res.end('and more');
    });
    expect(received).toEqual({ status: 503, body: 'too late' });
  });
});

test('a hook that throws prevents the call', async () => {
  const received = await askOver(httpBackend)((_req, res) => {
    interceptResponse(res, {
      onEnd(chunk) {
        if (chunk === 'bad') throw new Error('not this');
      },
    });
    expect(() => res.end('bad')).toThrow('not this');
    res.end('good');
  });
  expect(received).toEqual({ status: 200, body: 'good' });
});
