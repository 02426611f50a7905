/** What an application must see behind every web server, whatever protocol is between them. */
import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { expect } from 'vitest';
// @ts-expect-error A fixture in plain JavaScript.
import { bigBody } from '../../fixtures/apps/front-end.js';
import { eventually } from '../../helpers/programs/program.ts';
import { ask, askForStart, type Question, type Reply } from '../../helpers/requests/ask.ts';
import type { Site } from './site.ts';

export type Behaviour = (site: Site) => Promise<void>;

/** A request to the application, by a path below its mount. */
export function at({ server, prefix }: Site, path: string, question?: Question): Promise<Reply> {
  return ask(server.url, prefix + path, question);
}

export function json({ body }: Reply): Record<string, unknown> {
  return JSON.parse(body.toString()) as Record<string, unknown>;
}

function sha256(body: Buffer | string): string {
  return createHash('sha256').update(body).digest('hex');
}

/** The application sees the path exactly as the client wrote it. */
function spelled(path: string): Behaviour {
  return seen(path, path);
}

/** The application may see the path in another spelling. */
export function seen(path: string, as: string): Behaviour {
  return async (site) => {
    const reply = await at(site, path);
    expect(reply.status).toBe(200);
    expect(json(reply)['url']).toBe(as);
  };
}

/** A client reads the first event and leaves; `then` runs before the application has to notice. */
export async function leaves(site: Site, path: string, then?: () => void): Promise<void> {
  rmSync(site.project.path('var/release'), { force: true });
  const before = left(site);
  const { leave } = await askForStart(site.server.url, site.prefix + path);
  expect(left(site)).toBe(before);
  leave();
  then?.();
  await eventually(() => left(site) > before);
}

async function breaksOff(site: Site, path: string): Promise<void> {
  // Some web servers have not sent anything by then.
  const reply = await at(site, path).catch(() => undefined);
  if (reply?.status === 200) expect(reply.complete).toBe(false);
  else if (reply) expect(reply.status).toBeGreaterThanOrEqual(500);
  expect((await at(site, '/query')).status).toBe(200);
}

export const BIG: Buffer = bigBody();
const UPLOAD = BIG.subarray(0, 5 * 1024 * 1024);

export const BEHAVIOURS = {
  async 'GET with a query'(site) {
    const reply = await at(site, '/query?a=1&b=two%20words&c=%C3%BC&d=%2F');
    expect(reply.status).toBe(200);
    expect(json(reply)).toMatchObject({
      method: 'GET',
      url: '/query?a=1&b=two%20words&c=%C3%BC&d=%2F',
      base: site.prefix,
      query: { a: '1', b: 'two words', c: 'ü', d: '/' },
    });
  },
  'a path with a space': spelled('/path/a%20b'),
  'a path in UTF-8': spelled('/path/%C3%BC/%E2%82%AC'),
  'a path with %2F': spelled('/path/a%2Fb'),
  'a path with //': spelled('/path//a///b'),
  'a path with dots in its names': spelled('/path/.a/b..c/d.e'),
  'a path with other signs': spelled("/path/a+b;c=d,e@f:g!h$i&j'k(l)*m~n%3F%23"),
  'a percent sign in a path': spelled('/path/100%25x'),
  'a path with a slash at its end': spelled('/path/a/'),
  async 'a small POST'(site) {
    const reply = await at(site, '/echo', {
      method: 'POST',
      body: 'a=1',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
    expect(json(reply)).toMatchObject({
      length: 3,
      sha256: sha256('a=1'),
      complete: true,
      headers: { 'content-type': 'application/x-www-form-urlencoded', 'content-length': '3' },
    });
  },
  async 'an empty POST'(site) {
    const reply = await at(site, '/echo', { method: 'POST', body: '' });
    expect(json(reply)).toMatchObject({ length: 0, complete: true });
  },
  async 'a POST of 5 MB'(site) {
    const reply = await at(site, '/echo', { method: 'POST', body: UPLOAD });
    expect(json(reply)).toMatchObject({ length: UPLOAD.length, sha256: sha256(UPLOAD), complete: true });
  },
  async 'a chunked request body'(site) {
    const pieces = ['one', Buffer.alloc(100_000, 'x'), 'three'];
    const whole = Buffer.concat(pieces.map((piece) => Buffer.from(piece)));
    const reply = await at(site, '/echo', { method: 'POST', body: pieces });
    expect(reply.status).toBe(200);
    expect(json(reply)).toMatchObject({ length: whole.length, sha256: sha256(whole), complete: true });
  },
  async 'other methods'(site) {
    for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND']) {
      const reply = await at(site, '/query', { method });
      expect(json(reply)['method']).toBe(method);
    }
  },
  async HEAD(site) {
    const reply = await at(site, '/cookies', { method: 'HEAD', headers: { cookie: 'x=1' } });
    expect(reply.status).toBe(200);
    expect(reply.headers['content-type']).toBe('application/json');
    expect(reply.headers['content-length']).toBe(String('{"cookie":"x=1"}'.length));
    expect(reply.body).toHaveLength(0);
  },
  async '204'(site) {
    const reply = await at(site, '/no-content');
    expect(reply.status).toBe(204);
    expect(reply.headers['x-kept']).toBe('yes');
    expect(reply.headers).not.toHaveProperty('content-length');
    expect(reply.body).toHaveLength(0);
  },
  async '304'(site) {
    const reply = await at(site, '/not-modified');
    expect(reply.status).toBe(304);
    expect(reply.headers.etag).toBe('"fixed"');
    expect(reply.body).toHaveLength(0);
  },
  async 'a redirect'(site) {
    const reply = await at(site, '/redirect');
    expect(reply.status).toBe(302);
    expect(reply.headers.location).toBe(`${site.prefix}/query?from=redirect`);
  },
  async 'a 201 with a Location'(site) {
    const reply = await at(site, '/created', { method: 'POST', body: 'x' });
    expect(reply.status).toBe(201);
    expect(reply.headers.location).toBe(`${site.prefix}/query`);
    expect(reply.body.toString()).toBe('created\n');
  },
  async cookies(site) {
    const reply = await at(site, '/cookies', { headers: { cookie: 'x=1; y=2' } });
    expect(reply.headers['set-cookie']).toEqual(['a=1; Path=/', 'b=2; HttpOnly', 'c=3; Secure']);
    expect(json(reply)).toEqual({ cookie: 'x=1; y=2' });
  },
  async 'a response of 10 MB'(site) {
    for (const path of ['/big', '/big?length']) {
      const reply = await at(site, path);
      expect(reply.complete).toBe(true);
      expect(Buffer.compare(reply.body, BIG)).toBe(0);
    }
  },
  async 'an event stream, event by event'(site) {
    rmSync(site.project.path('var/release'), { force: true });
    const { first, rest } = await askForStart(site.server.url, `${site.prefix}/events`);
    expect(first).toBe('data: first\n\n');
    site.project.release();
    expect(await rest).toBe('data: first\n\ndata: last\n\n');
  },
  async 'a client that leaves in the middle'(site) {
    await leaves(site, '/endless');
  },
  async 'a client that leaves while nothing is sent'(site) {
    await leaves(site, '/endless?silent');
  },
  async 'an application that throws'(site) {
    const reply = await at(site, '/throw');
    expect(reply.status).toBe(500);
    expect(reply.body.toString()).not.toContain('on purpose');
    expect((await at(site, '/query')).status).toBe(200);
  },
  async 'a response of known length that breaks off'(site) {
    await breaksOff(site, '/break?length');
  },
  async 'a response of unknown length that breaks off'(site) {
    await breaksOff(site, '/break');
  },
  async Express(site) {
    const reply = await at(site, '/express/a%20b?x=1');
    expect(json(reply)).toEqual({
      baseUrl: `${site.prefix}/express`,
      path: '/a%20b',
      originalUrl: `${site.prefix}/express/a%20b?x=1`,
      query: { x: '1' },
      ip: '127.0.0.1',
      secure: false,
      hostname: '127.0.0.1',
    });
  },
  async 'the client’s address'(site) {
    const reply = json(await at(site, '/query'));
    expect(reply).toMatchObject({ remoteAddress: '127.0.0.1', encrypted: false });
    expect(reply['environ']).toMatchObject({ REMOTE_ADDR: '127.0.0.1' });
  },
  async HTTPS(site) {
    const reply = await ask(site.server.tlsUrl, `${site.prefix}/query`);
    expect(json(reply)).toMatchObject({ encrypted: true, url: '/query' });
    expect(json(await ask(site.server.tlsUrl, `${site.prefix}/express/x`))).toMatchObject({ secure: true });
  },
  async Authorization(site) {
    for (const authorization of ['Basic dTpw', 'Bearer abc.def']) {
      const reply = await at(site, '/query', { headers: { authorization } });
      expect(json(reply)).toMatchObject({ headers: { authorization } });
    }
  },
  async 'request headers'(site) {
    const reply = await at(site, '/query', {
      headers: { 'x-long': 'l'.repeat(6000), 'accept-language': 'de, en;q=0.5', proxy: 'http://evil.example' },
    });
    const { headers } = json(reply) as { headers: Record<string, string> };
    expect(headers['x-long']).toHaveLength(6000);
    expect(headers['accept-language']).toBe('de, en;q=0.5');
    expect(headers['host']).toMatch(/^127\.0\.0\.1/);
  },
  async 'error pages of the application'(site) {
    const missing = await at(site, '/nothing/here');
    expect(missing.status).toBe(404);
    expect(missing.body.toString()).toBe('no such page\n');
    const unavailable = await at(site, '/unavailable');
    expect(unavailable.status).toBe(503);
    expect(unavailable.headers['retry-after']).toBe('7');
    expect(unavailable.body.toString()).toBe('come back later\n');
  },
  async 'a response before the body is read'(site) {
    const reply = await at(site, '/refuse', { method: 'POST', body: BIG.subarray(0, 500_000) });
    expect(reply.status).toBe(413);
    expect(reply.body.toString()).toBe('too much\n');
    expect((await at(site, '/query')).status).toBe(200);
  },
  async 'many clients at a time'(site) {
    const numbers = Array.from({ length: site.clients }, (_, index) => String(index));
    const replies = await Promise.all(numbers.map((n) => at(site, `/query?n=${n}`)));
    expect(replies.map((reply) => (json(reply)['query'] as { n: string }).n)).toEqual(numbers);
  },
} satisfies Record<string, Behaviour>;

export type BehaviourName = keyof typeof BEHAVIOURS;

function left({ project }: Site): number {
  return project.notes.filter((line) => line === 'left').length;
}
