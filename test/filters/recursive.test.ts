/** Forwarding to other paths of the same application, and including them. */
import express from 'express';
import { describe, expect, test } from 'vitest';
import { type RecursiveRequest, recursive } from '../../src/filters/errors/recursive.ts';
import { mountRequest } from '../../src/http/mount.ts';
import type { App, Filter } from '../../src/protocol/types.ts';
import { ask } from '../helpers/requests/ask.ts';
import { serveFiltered } from './serve-filter.ts';

const site: App = async (req, res) => {
  const request = req as RecursiveRequest;
  const { forward, include, originalUrl, baseUrl, environ } = request;
  switch (req.url) {
    case '/a':
      res.setHeader('x-first', 'a');
      return forward('/b?x=1');
    case '/twice':
      return forward('/a');
    case '/loop':
      return forward('/loop');
    case '/b?x=1':
      return res.end(JSON.stringify({ method: req.method, originalUrl, baseUrl, path: environ?.['PATH_INFO'] }));
    case '/page': {
      const part = await include('/part', { headers: { 'x-part': 'yes' } });
      return res.end(`<${part.status} ${String(part.headers['x-kind'])} ${part.body}>`);
    }
    case '/part':
      res.setHeader('x-kind', 'part');
      return res.end(`${req.method} ${req.headers['x-part']} ${req.headers.cookie} ${req.headers['content-length']}`);
    case '/own':
      return res.end((await include('/headers')).body);
    case '/headers':
      return res.end(JSON.stringify([req.headers['user-agent'], req.rawHeaders.includes('user-agent')]));
    case '/deep':
      return res.end((await include('/deep')).body);
    case '/post':
      return res.end((await include('/echo', { method: 'POST', body: 'text' })).body);
    case '/echo':
      for await (const chunk of req) res.write(`${req.method} ${chunk}`);
      return res.end();
    case '/late':
      res.write('begun;');
      try {
        forward('/b?x=1');
      } catch (error) {
        res.write(String(error));
      }
      return res.end();
    case '/outside':
      return forward('elsewhere');
    default:
      return res.writeHead(404).end();
  }
};

describe('forward', () => {
  test('passes the request on with its method, and keeps headers that are set already', async () => {
    const { url } = await serveFiltered(recursive(), site);
    for (const path of ['/a', '/twice']) {
      const { headers, body } = await ask(url, path, { method: 'PUT' });
      expect(headers['x-first']).toBe('a');
      expect(JSON.parse(body.toString())).toEqual({ method: 'PUT', originalUrl: path, baseUrl: '' });
    }
  });

  test('stays below the mount of the filter', async () => {
    const mounted: Filter = (app) => (req, res) => {
      Object.assign(req, { environ: { SCRIPT_NAME: '', PATH_INFO: req.url } });
      mountRequest(req, '/shop'.length);
      return app(req, res);
    };
    const { url } = await serveFiltered([mounted, recursive()], site);
    expect(JSON.parse((await ask(url, '/shop/a')).body.toString())).toEqual({
      method: 'GET',
      originalUrl: '/shop/a',
      baseUrl: '/shop',
      path: '/b',
    });
  });

  test('refuses a loop, an invalid path, and a call that comes too late', async () => {
    const { url, failures } = await serveFiltered(recursive(), site);
    expect((await ask(url, '/loop')).status).toBe(500);
    expect((await ask(url, '/outside')).status).toBe(500);
    expect(failures).toEqual([
      expect.stringContaining('requests are nested more than 10 deep'),
      expect.stringContaining('"elsewhere" is not a path'),
    ]);
    expect((await ask(url, '/late')).body.toString()).toMatch(
      /^begun;Error: cannot forward to \/b\?x=1: the response has begun/,
    );
  });
});

describe('include', () => {
  test('returns the complete response to a GET with the request’s headers', async () => {
    const { url } = await serveFiltered(recursive(), site);
    const { body } = await ask(url, '/page', { method: 'POST', headers: { cookie: 'a=1; b=2' }, body: 'form' });
    expect(body.toString()).toBe('<200 part GET yes a=1; b=2 undefined>');
    expect((await ask(url, '/post')).body.toString()).toBe('POST text');
  });

  test('adds no headers of its own', async () => {
    const { url } = await serveFiltered(recursive(), site);
    expect((await ask(url, '/own')).body.toString()).toBe('[null,false]');
    const headers = { 'user-agent': 'mine' };
    expect((await ask(url, '/own', { headers })).body.toString()).toBe('["mine",true]');
  });

  test('refuses a loop', async () => {
    let calls = 0;
    const { url } = await serveFiltered(recursive(), (req, res) => {
      calls++;
      return site(req, res);
    });
    expect((await ask(url, '/deep')).body.toString()).toContain('Internal Server Error');
    // The request of the client, and ten within it.
    expect(calls).toBe(11);
  });

  test('works with Express, which adds its own methods to request and response', async () => {
    const app = express();
    app.get('/page', async (req, res) => {
      const { body } = await (req as unknown as RecursiveRequest).include('/part');
      res.send(`<${body}>`);
    });
    app.get('/part', (_req, res) => void res.send('part'));
    app.get('/moved', (req) => (req as unknown as RecursiveRequest).forward('/part'));
    const { url } = await serveFiltered(recursive(), (req, res) => app(req, res));
    expect((await ask(url, '/page')).body.toString()).toBe('<part>');
    expect((await ask(url, '/moved')).body.toString()).toBe('part');
  });
});
