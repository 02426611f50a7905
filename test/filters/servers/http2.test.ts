/** Several filters together over HTTP/2, and how the access log distinguishes aborted streams from complete ones. */
import { once } from 'node:events';
import { constants, type IncomingHttpHeaders } from 'node:http2';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { bodyLimit } from '../../../src/filters/access/bodylimit.ts';
import { timeout } from '../../../src/filters/access/timeout.ts';
import { lint } from '../../../src/filters/debugging/lint.ts';
import { errorPages } from '../../../src/filters/errors/error-page.ts';
import { errorDocuments } from '../../../src/filters/errors/errordocument.ts';
import { httpExceptions } from '../../../src/filters/errors/httpexceptions.ts';
import { recursive } from '../../../src/filters/errors/recursive.ts';
import { translogger } from '../../../src/filters/logging/translogger.ts';
import { applyFilter } from '../../../src/protocol/filter.ts';
import type { App } from '../../../src/protocol/types.ts';
import { overHttp2 } from '../../helpers/requests/http2.ts';
import { Lines } from '../serve-filter.ts';

interface Answer {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly code: number;
}

const site: App = async (req, res) => {
  switch (req.url) {
    case '/fine':
      res.write('four');
      return res.end('more');
    case '/missing':
      return res.writeHead(404, { 'set-cookie': 'a=1' }).end('raw');
    case '/page':
      return res.end(`the page of ${req.headers.host}`);
    case '/throws':
      throw new Error('oh');
    case '/late':
      res.write('begun');
      throw new Error('late');
    case '/teapot':
      throw Object.assign(new Error('short and stout'), { status: 418 });
    default:
      return res.writeHead(400).end();
  }
};

test('log, pages and errors work as over HTTP/1.1', async () => {
  const lines = new Lines();
  const mistakes = new Lines();
  const filters = [
    translogger({ format: '%(REQUEST_URI)s %(HTTP_VERSION)s %(status)s %(bytes)s' }, lines.write),
    errorPages({}, () => {}),
    httpExceptions(),
    errorDocuments({ 404: '/page' }),
    recursive(),
    lint({}, mistakes.write),
  ];
  let app = site;
  for (const filter of filters.reverse()) app = await applyFilter(filter, app);
  const { client, host } = await overHttp2(app);

  async function ask(path: string): Promise<Answer> {
    const stream = client.request({ ':path': path }).setEncoding('utf8');
    stream.on('error', () => {});
    const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders];
    let body = '';
    stream.on('data', (text) => {
      body += text;
    });
    await new Promise((resolve) => stream.on('close', resolve));
    return { headers, body, code: stream.rstCode };
  }

  expect(await ask('/fine')).toMatchObject({ body: 'fourmore', code: constants.NGHTTP2_NO_ERROR });
  const missing = await ask('/missing');
  const page = `the page of ${host}`;
  expect([missing.headers[':status'], missing.body, missing.headers['set-cookie']]).toEqual([404, page, ['a=1']]);
  expect((await ask('/throws')).headers[':status']).toBe(500);
  const late = await ask('/late');
  expect([late.body, late.code === constants.NGHTTP2_NO_ERROR]).toEqual(['begun', false]);
  expect((await ask('/teapot')).body).toContain('short and stout');
  expect((await lines.atLeast(5)).slice(0, 3)).toEqual([
    '/fine HTTP/2.0 200 8',
    `/missing HTTP/2.0 404 ${page.length}`,
    expect.stringMatching(/^\/throws HTTP\/2\.0 500 \d+$/),
  ]);
  expect(mistakes.all).toEqual([expect.stringContaining('throws after the head')]);
});

test('the log distinguishes aborted streams from complete ones', async () => {
  const lines = new Lines();
  const app = await applyFilter(translogger({ json: true }, lines.write), (req, res) => {
    if (req.url === '/endless') return res.write('begun');
    if (req.url === '/destroyed') return res.write('begun', () => res.destroy());
    return req.url === '/never' ? undefined : res.end('whole');
  });
  const { client } = await overHttp2(app);
  const ask = (path: string) => client.request({ ':path': path }).on('error', () => {});
  await once(ask('/whole').resume(), 'close');
  const destroyed = ask('/destroyed').resume();
  await new Promise((resolve) => destroyed.on('close', resolve));
  const endless = ask('/endless');
  await once(endless, 'data');
  endless.close(constants.NGHTTP2_CANCEL);
  await once(endless, 'close');
  ask('/never');
  // When this response arrives, the server has received the request before it.
  await once(ask('/whole').resume(), 'close');
  client.destroy();
  expect((await lines.atLeast(5)).map((line) => JSON.parse(line))).toMatchObject([
    { url: '/whole', status: 200, aborted: false },
    { url: '/destroyed', status: 200, aborted: true },
    { url: '/endless', status: 200, aborted: true },
    { url: '/whole', status: 200, aborted: false },
    { url: '/never', status: 499, aborted: true },
  ]);
});

test('a response that replaces another one drops its reason phrase, which may be invalid', async () => {
  const app = await applyFilter(timeout({ timeout: 0.01 }), (_req, res) => {
    res.statusMessage = 'two\r\nlines';
  });
  const { client } = await overHttp2(app);
  const [headers] = await once(client.request({ ':path': '/' }), 'response');
  expect(headers[':status']).toBe(503);
});

test('a body that is too large is refused at once, even if the rest of it never arrives', async () => {
  const { client } = await overHttp2(await applyFilter(bodyLimit({ max_body_size: 5 }), site));
  const stream = client.request({ ':method': 'POST', ':path': '/fine', 'content-length': 10 });
  stream.write('half');
  const [headers] = await once(stream, 'response');
  stream.resume();
  // When the ping returns, everything that the server sent with the head has arrived.
  await new Promise((resolve) => client.ping(resolve));
  await nextTurn();
  expect([headers[':status'], stream.readableEnded]).toEqual([413, true]);
  stream.end(' more.');
});
