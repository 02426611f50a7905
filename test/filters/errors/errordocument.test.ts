/** Error pages: the response of another path, with the status, the cookies and the required headers of the error. */
import express from 'express';
import Fastify from 'fastify';
import { describe, expect, test } from 'vitest';
import {
  type ErrorDocumentRequest,
  errorDocuments,
  makeErrordocument,
} from '../../../src/filters/errors/errordocument.ts';
import { toApp } from '../../../src/protocol/app.ts';
import type { App, Filter } from '../../../src/protocol/types.ts';
import { ask } from '../../helpers/requests/ask.ts';
import { Lines, serveFiltered } from '../serve-filter.ts';

const PAGES = {
  404: '/errors/missing?why=x',
  401: '/errors/login',
  500: '/errors/broken',
  410: '/errors/none',
  403: '/loop',
};

const site: App = async (req, res) => {
  const { url = '' } = req;
  switch (url) {
    case '/fine':
      res.write('f');
      return res.end('ine');
    case '/errors/missing?why=x': {
      const { errorDocument } = req as ErrorDocumentRequest;
      res.setHeader('set-cookie', ['page=1']);
      res.setHeader('content-type', 'text/html');
      return res.end(`${req.method} missing ${errorDocument?.status} ${errorDocument?.url}`);
    }
    case '/errors/login':
      return res.writeHead(401).end('please log in');
    case '/errors/broken':
      return res.end('sorry');
    case '/login':
      return res.writeHead(401, { 'WWW-Authenticate': 'Basic', 'Set-Cookie': 'tried=1' }).end('raw');
    case '/throws':
      throw new Error('oh');
    case '/gone':
      return res.writeHead(410).end();
    case '/loop':
      return res.writeHead(403).end();
    case '/streams':
      res.statusCode = 404;
      res.statusMessage = 'Nix';
      res.setHeader('content-length', 6);
      res.setHeader('x-own', 'of the error');
      res.setHeader('set-cookie', ['a=1', 'b=2']);
      res.write('raw');
      return res.end('raw');
    default:
      return res.writeHead(404, ['content-type', 'text/x-raw', 'set-cookie', 'a=1']).end('raw');
  }
};

const outer: Filter = (app) => (req, res) => {
  res.setHeader('x-outer', 'stays');
  return app(req, res);
};

async function served(app: App = site) {
  const lines = new Lines();
  const { url, failures } = await serveFiltered([outer, errorDocuments(PAGES, lines.write)], app);
  return { url, failures, lines };
}

describe('the page of an error', () => {
  test('has the error’s status and cookies, and the page’s headers', async () => {
    const { url } = await served();
    const { status, headers, body } = await ask(url, '/nothing', { method: 'POST', body: 'form' });
    expect([status, body.toString()]).toEqual([404, 'GET missing 404 /nothing']);
    expect(headers).toMatchObject({ 'content-type': 'text/html', 'set-cookie': ['a=1', 'page=1'], 'x-outer': 'stays' });
  });

  test('replaces a streamed response and its headers', async () => {
    const { url } = await served();
    const { status, headers, body, complete } = await ask(url, '/streams');
    expect([status, body.toString(), complete]).toEqual([404, 'GET missing 404 /streams', true]);
    expect(headers['set-cookie']).toEqual(['a=1', 'b=2', 'page=1']);
    expect(headers['x-own']).toBeUndefined();
  });

  test('keeps the headers that the client needs, such as WWW-Authenticate', async () => {
    const { url } = await served();
    const { status, headers, body } = await ask(url, '/login');
    expect([status, body.toString()]).toEqual([401, 'please log in']);
    expect(headers).toMatchObject({ 'www-authenticate': 'Basic', 'set-cookie': ['tried=1'] });
  });

  test('is sent if the application throws, and the log has the error', async () => {
    const { url, failures } = await served();
    expect(await ask(url, '/throws')).toMatchObject({ status: 500, body: Buffer.from('sorry') });
    expect(failures[0]).toContain('Error: oh');
  });

  test('has no body for HEAD', async () => {
    const { url } = await served();
    expect(await ask(url, '/nothing', { method: 'HEAD' })).toMatchObject({ status: 404, body: Buffer.alloc(0) });
  });

  test('is replaced by plain text if its own response is an error, which is logged', async () => {
    const { url, lines } = await served();
    expect(await ask(url, '/gone')).toMatchObject({ status: 410, body: Buffer.from('Gone\n') });
    expect(lines.all).toEqual([expect.stringContaining('it responds with 404')]);
  });

  test('is sent if its own response has the status of the error', async () => {
    const { url, lines } = await served();
    expect(await ask(url, '/loop')).toMatchObject({ status: 403, body: Buffer.alloc(0) });
    expect(lines.all).toEqual([]);
  });
});

test('a successful response passes unchanged', async () => {
  const { url } = await served();
  expect(await ask(url, '/fine')).toMatchObject({ status: 200, body: Buffer.from('fine') });
});

test.each<[string, () => Promise<App>]>([
  [
    'Express',
    async () => {
      const app = express();
      app.get('/errors/missing', (_req, res) => void res.send('nothing there'));
      return toApp(app);
    },
  ],
  [
    'Fastify',
    async () => {
      const app = Fastify();
      app.get('/errors/missing', async () => 'nothing there');
      return toApp(app);
    },
  ],
])('the page may be one of %s', async (_what, make) => {
  const app = await make();
  await app.ready?.();
  const { url } = await served(app);
  expect(await ask(url, '/x')).toMatchObject({ status: 404, body: Buffer.from('nothing there') });
});

test.each([{ 404: 'errors' }, { 299: '/x' }])('%j is an error', (paths) => {
  expect(() => errorDocuments(paths)).toThrow(/is not the status|is not a path/);
});

test('the keys of a section are statuses', () => {
  const { settings } = makeErrordocument;
  expect(settings['~standard'].validate({ 404: '/x', 299: '/y' })).toMatchObject({
    issues: [{ path: ['299'], hint: 'known: a status from 300 to 599, and the path of its page' }],
  });
  expect(settings['~standard'].validate({ 404: '/x' })).toEqual({ value: { 404: '/x' } });
});
