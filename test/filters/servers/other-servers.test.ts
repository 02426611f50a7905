/** The filters on requests that do not come from node:http: those of HTTP/2, and of FastCGI behind a web server. */
import { once } from 'node:events';
import { connect } from 'node:http2';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { loadFilter, loadServer } from '../../../src/deploy/load.ts';
import type { App } from '../../../src/protocol/types.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { whenOver } from '../../helpers/programs/lifetime.ts';
import { requireProgram } from '../../helpers/programs/program.ts';
import { ask } from '../../helpers/requests/ask.ts';
import { startNginx } from '../../helpers/web-servers/front-end.ts';
import { seen, serveThrough } from '../serve.ts';

const PASSWORD = { authorization: `Basic ${Buffer.from('joe:secret').toString('base64')}` };

const SECTIONS = [
  'proxy_headers\nheaders = x-forwarded-for x-forwarded-proto x-forwarded-host',
  'auth_basic\nusers = joe:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=',
  'bodylimit\nmax_body_size = 100k',
  'timeout\ntimeout = 1',
  'gzip\nthreshold = 0',
  'session\nsecret = a-secret-of-more-than-32-characters!',
];

const app: App = async (req, res) => {
  if (req.url === '/never') return;
  let length = 0;
  for await (const chunk of req) length += chunk.length;
  const { environ, session } = req as unknown as { environ?: unknown; session: Record<string, unknown> };
  session['seen'] = true;
  res.setHeader('content-type', 'application/json');
  res.end(JSON.stringify({ ...seen(req), environ, length }));
};

const FORWARDED = {
  ...PASSWORD,
  'x-forwarded-for': '192.0.2.1',
  'x-forwarded-proto': 'https',
  'x-forwarded-host': 'example.com',
};

const EXPECTED = { address: '192.0.2.1', encrypted: true, host: 'example.com', remoteUser: 'joe', length: 0 };

describe('HTTP/2', () => {
  async function askHttp2(url: string, headers: Record<string, string>, body?: Buffer) {
    const client = connect(url);
    client.on('error', () => {});
    const stream = client.request({ ':path': '/', ':method': body ? 'POST' : 'GET', ...headers });
    stream.on('error', () => {});
    stream.end(body);
    const [head] = await once(stream, 'response');
    const answer = await text(stream);
    client.close();
    return { status: head[':status'], headers: head, answer };
  }

  test('passes all filters, and each filter refuses its requests', async () => {
    const { url } = await serveThrough(SECTIONS, app, { server: 'host = 127.0.0.1\nport = 0\nhttp2 = true' });
    const { status, headers, answer } = await askHttp2(url, FORWARDED);
    expect(status).toBe(200);
    expect(JSON.parse(answer)).toMatchObject(EXPECTED);
    expect(headers['set-cookie']?.[0]).toContain('; secure;');
    expect((await askHttp2(url, {})).status).toBe(401);
    expect((await askHttp2(url, PASSWORD, Buffer.alloc(200_000))).status).toBe(413);
    expect((await askHttp2(url, { ...PASSWORD, ':path': '/never' })).status).toBe(503);
  });
});

const nginx = requireProgram('nginx');

describe.runIf(nginx)('FastCGI behind nginx', () => {
  async function serveFastcgi(): Promise<string> {
    const ini = SECTIONS.map((section, index) => `[filter:f${index}]\nuse = npm:paster#${section}\n`).join('');
    const directory = temporaryDirectory({ 'x.ini': ini });
    let filtered = app;
    for (const index of [...SECTIONS.keys()].reverse()) {
      filtered = await (await loadFilter(`config:x.ini#f${index}`, { relativeTo: directory }))(filtered);
    }
    const socket = join(directory, 's');
    const running = await (await loadServer('npm:paster#fastcgi', { overrides: { socket } })).serve(filtered);
    whenOver(() => running.close({ graceful: false }));
    return (await startNginx(nginx ?? '', { socket })).url;
  }

  test('passes all filters, also in the CGI environment, and each filter refuses its requests', async () => {
    const url = await serveFastcgi();
    const { body } = await ask(url, '/', { headers: { ...FORWARDED, 'accept-encoding': 'gzip' } });
    expect(JSON.parse(gunzipSync(body).toString())).toMatchObject({
      ...EXPECTED,
      environ: {
        REMOTE_ADDR: '192.0.2.1',
        HTTPS: 'on',
        REQUEST_SCHEME: 'https',
        HTTP_HOST: 'example.com',
        SERVER_NAME: 'example.com',
        SERVER_PORT: '443',
        REMOTE_USER: 'joe',
        AUTH_TYPE: 'Basic',
      },
    });
    expect((await ask(url, '/')).status).toBe(401);
    const large = { method: 'POST', headers: PASSWORD, body: Buffer.alloc(200_000) };
    expect((await ask(url, '/', large)).status).toBe(413);
    const chunked = { method: 'POST', headers: PASSWORD, body: [Buffer.alloc(100_000), Buffer.alloc(100_000)] };
    expect((await ask(url, '/', chunked)).status).toBe(413);
    expect((await ask(url, '/never', { headers: PASSWORD })).status).toBe(503);
    expect((await ask(url, '/', { headers: PASSWORD })).status).toBe(200);
  });
});
