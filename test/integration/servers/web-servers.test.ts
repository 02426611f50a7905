/** `paster serve config.ini` behind the real nginx and the real Lighttpd, over a Unix socket and over TCP. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { freePort, ROOT, requireProgram, serve } from '../../helpers/programs/program.ts';
import { type FrontEnd, startLighttpd, startNginx, type Upstream } from '../../helpers/web-servers/front-end.ts';

const PROBE = join(ROOT, 'test/fixtures/apps/probe.js');

type Carrier = 'socket' | 'tcp';

/** Starts paster with one FastCGI process. @returns its address */
async function startUpstream(carrier: Carrier): Promise<Upstream> {
  const directory = temporaryDirectory();
  const tcp = { host: '127.0.0.1', port: await freePort() };
  const socket = join(directory, 'var-fcgi-socket');
  const place = carrier === 'socket' ? `socket = ${socket}\numask = 007` : `host = ${tcp.host}\nport = ${tcp.port}`;
  const ini = join(temporaryDirectory({ 'config.ini': config(place) }), 'config.ini');
  await serve([ini]);
  return carrier === 'socket' ? { socket } : { tcp };
}

function config(place: string): string {
  return `[app:main]\nuse = call:${PROBE}:makeProbe\n\n[server:main]\nuse = egg:Flup#fcgi\n${place}\n`;
}

interface Setup {
  readonly name: string;
  readonly program: string;
  readonly prefix: string;
  start(binary: string, upstream: Upstream): Promise<FrontEnd>;
}

const SETUPS: readonly Setup[] = [
  {
    name: 'nginx at the root',
    program: 'nginx',
    prefix: '',
    start: (binary, upstream) => startNginx(binary, upstream),
  },
  {
    name: 'nginx at /proxy',
    program: 'nginx',
    prefix: '/proxy',
    start: (binary, upstream) => startNginx(binary, upstream, '/proxy'),
  },
  {
    name: 'Lighttpd at /proxy',
    program: 'lighttpd',
    prefix: '/proxy',
    start: (binary, upstream) => startLighttpd(binary, upstream, '/proxy'),
  },
  {
    name: 'Lighttpd at the root',
    program: 'lighttpd',
    prefix: '',
    start: (binary, upstream) => startLighttpd(binary, upstream, '/'),
  },
];

const CASES = SETUPS.flatMap((setup) => (['socket', 'tcp'] as const).map((carrier) => ({ ...setup, carrier })));

describe.each(CASES)('$name over $carrier', ({ program, prefix, carrier, start }) => {
  const binary = requireProgram(program);

  test.skipIf(binary === undefined)('forwards every kind of response', async () => {
    const upstream = await startUpstream(carrier);
    const { url } = await start(binary ?? '', upstream);

    const query = await fetch(`${url}/query?a=1&b=two%20words`);
    expect(query.status).toBe(200);
    expect(await query.json()).toEqual({
      method: 'GET',
      url: '/query?a=1&b=two%20words',
      base: prefix,
      query: { a: '1', b: 'two words' },
    });

    const body = randomBytes(5 * 1024 * 1024);
    const echo = await fetch(`${url}/echo`, { method: 'POST', body, headers: { 'content-type': 'image/x-noise' } });
    expect(echo.headers.get('content-type')).toBe('image/x-noise');
    expect(Buffer.compare(Buffer.from(await echo.arrayBuffer()), body)).toBe(0);

    const cookies = await fetch(`${url}/cookies`, { headers: { cookie: 'x=1; y=2' } });
    expect(cookies.headers.getSetCookie()).toEqual(['a=1; Path=/', 'b=2; HttpOnly']);
    expect(await cookies.json()).toEqual({ cookie: 'x=1; y=2' });

    const redirect = await fetch(`${url}/redirect`, { redirect: 'manual' });
    expect(redirect.status).toBe(302);
    expect(redirect.headers.get('location')).toMatch(new RegExp(`${prefix}/query\\?from=redirect$`));
    const followed = await fetch(`${url}/redirect`);
    expect(await followed.json()).toMatchObject({ query: { from: 'redirect' } });

    const missing = await fetch(`${url}/nothing/here`);
    expect(missing.status).toBe(404);
    expect(await missing.text()).toBe('no such page\n');

    const head = await fetch(`${url}/query?a=1`, { method: 'HEAD' });
    expect(head.status).toBe(200);
    expect(head.headers.get('content-type')).toBe('application/json');
    expect(await head.text()).toBe('');

    const failed = await fetch(`${url}/throw`);
    expect(failed.status).toBe(500);
    expect(await failed.text()).not.toContain('on purpose');
  });

  test.skipIf(binary === undefined)('forwards the first byte of a stream before the last one is written', async () => {
    const upstream = await startUpstream(carrier);
    const { url } = await start(binary ?? '', upstream);
    const response = await fetch(`${url}/stream`);
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    expect((await reader?.read())?.value).toBe('first\n');
    await fetch(`${url}/release`);
    expect((await reader?.read())?.value).toBe('last\n');
  });
});
