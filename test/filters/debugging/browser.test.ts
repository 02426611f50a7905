/** Filters for browsers: sessions in a signed cookie, security headers, other origins. */
import { describe, expect, test } from 'vitest';
import type { App } from '../../../src/protocol/types.ts';
import { ask } from '../../helpers/requests/ask.ts';
import { mirror, serveThrough } from '../serve.ts';
import { askUpgrade, upgrading } from '../servers/upgrade.ts';

const SECRET = 'a-secret-of-more-than-32-characters!';

/** Counts the requests of a session. */
const counting: App = (req, res) => {
  const { session } = req as unknown as { session: { count?: number } };
  session.count = (session.count ?? 0) + 1;
  res.end(String(session.count));
};

function cookiesOf(headers: { 'set-cookie'?: string[] | undefined }): string {
  return (headers['set-cookie'] ?? []).map((cookie) => cookie.split(';')[0]).join('; ');
}

describe('session', () => {
  test('lasts from one request to the next', async () => {
    const { url } = await serveThrough([`session\nsecret = ${SECRET}`], upgrading(counting));
    const first = await ask(url, '/');
    expect(first.headers['set-cookie']).toEqual([
      expect.stringMatching(/^session=\S+; path=\/; samesite=lax; httponly$/),
      expect.stringMatching(/^session\.sig=[\w-]{43}; path=\/; samesite=lax; httponly$/),
    ]);
    const cookie = cookiesOf(first.headers);
    expect((await ask(url, '/', { headers: { cookie } })).body.toString()).toBe('2');
    expect((await askUpgrade(url, { cookie })).seen).toMatchObject({ session: { count: 1 } });
    expect((await askUpgrade(url)).seen).toMatchObject({ session: {} });
  });

  test('has a Secure cookie if the client uses TLS', async () => {
    const { url } = await serveThrough(
      ['proxy_headers', `session\nsecret = ${SECRET}\nsame_site = strict\ncookie_name = s\nmax_age = 60`],
      counting,
    );
    const { headers } = await ask(url, '/', { headers: { 'x-forwarded-proto': 'https' } });
    expect(headers['set-cookie']?.[0]).toMatch(/^s=\S+; path=\/; expires=[^;]+; samesite=strict; secure; httponly$/);
  });

  test('cannot be forged or changed', async () => {
    const { url } = await serveThrough([`session\nsecret = ${SECRET}`], counting);
    const { headers } = await ask(url, '/');
    const [value = '', signature = ''] = cookiesOf(headers).split('; ');
    const forged = `session=${Buffer.from('{"count":99}').toString('base64')}`;
    const other = await ask((await serveThrough([`session\nsecret = ${SECRET}x`], counting)).url, '/');
    for (const cookie of [
      value,
      forged,
      `${forged}; ${signature}`,
      `${forged}; session.sig=`,
      `${value}x; ${signature}`,
      `${value}; ${signature}x`,
      `${value.replace('session=', 'session2=')}; ${signature}`,
      cookiesOf(other.headers),
      'session=%%%; session.sig=%%%',
    ]) {
      expect((await ask(url, '/', { headers: { cookie } })).body.toString()).toBe('1');
    }
  });

  test('survives a change of the secret, and is signed again', async () => {
    const old = await serveThrough([`session\nsecret = ${SECRET}`], counting);
    const cookie = cookiesOf((await ask(old.url, '/')).headers);
    const rotated = await serveThrough([`session\nsecret = ${SECRET}new\nold_secrets = ${SECRET}`], counting);
    const second = await ask(rotated.url, '/', { headers: { cookie } });
    expect(second.body.toString()).toBe('2');
    const latest = await serveThrough([`session\nsecret = ${SECRET}new`], counting);
    const third = await ask(latest.url, '/', { headers: { cookie: cookiesOf(second.headers) } });
    expect(third.body.toString()).toBe('3');
  });

  test.each([
    '',
    'secret = changeme',
    `secret = ${SECRET}\nold_secrets = changeme`,
    `secret = ${SECRET}\ncookie_name = a b`,
  ])('%j is an error whose message shows no secret', async (settings) => {
    const error = await serveThrough([`session\n${settings}`], counting).catch(String);
    expect(error).toMatch(/setting "secret" is missing|too few|name of a cookie/);
    expect(error).not.toContain('changeme');
  });
});

describe('security_headers', () => {
  test('are those of helmet by default', async () => {
    const { url } = await serveThrough(['security_headers'], upgrading(mirror));
    const { headers } = await ask(url, '/');
    expect(headers).toMatchObject({
      'content-security-policy': expect.stringContaining("default-src 'self';"),
      'strict-transport-security': 'max-age=31536000; includeSubDomains',
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'SAMEORIGIN',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
    });
    expect((await askUpgrade(url)).status).toBe(101);
  });

  test('follow the settings of the section', async () => {
    const { url } = await serveThrough(
      [
        `security_headers
content_security_policy =
  default-src 'none';
  img-src 'self' data:;
  upgrade-insecure-requests
report_only = true
hsts_max_age = 0
frame_options = deny
referrer_policy = off
cross_origin_embedder_policy = credentialless`,
      ],
      mirror,
    );
    const { headers } = await ask(url, '/');
    expect(headers).toMatchObject({
      'content-security-policy-report-only': "default-src 'none';img-src 'self' data:;upgrade-insecure-requests",
      'x-frame-options': 'DENY',
      'cross-origin-embedder-policy': 'credentialless',
    });
    expect(headers).not.toHaveProperty('strict-transport-security');
    expect(headers).not.toHaveProperty('referrer-policy');
    expect(headers).not.toHaveProperty('content-security-policy');
  });

  test.each(["default-src 'self'; default-src x", "'self'", ' ; '])('the policy %j is an error', async (policy) => {
    await expect(serveThrough([`security_headers\ncontent_security_policy = ${policy}`], mirror)).rejects.toMatchObject(
      {
        code: 'PASTER_SETTING',
        location: { line: 3 },
      },
    );
  });
});

describe('cors', () => {
  const SECTION = `cors
origins = https://example.com http://localhost:3000/
methods = GET POST
exposed_headers = X-One
credentials = true
max_age = 600`;

  test('responds to a preflight request', async () => {
    const { url } = await serveThrough([SECTION], mirror);
    const headers = { origin: 'https://example.com', 'access-control-request-method': 'POST' };
    const reply = await ask(url, '/', { method: 'OPTIONS', headers });
    expect(reply.status).toBe(204);
    expect(reply.headers).toMatchObject({
      'access-control-allow-origin': 'https://example.com',
      'access-control-allow-methods': 'GET,POST',
      'access-control-allow-credentials': 'true',
      'access-control-max-age': '600',
      vary: expect.stringContaining('Origin'),
    });
  });

  test.each([
    ['https://example.com', true],
    ['http://localhost:3000', true],
    ['https://example.com.evil.com', false],
    ['http://example.com', false],
    ['https://sub.example.com', false],
    ['null', false],
  ])('%s may read responses: %s', async (origin, isAllowed) => {
    const { url } = await serveThrough([SECTION], upgrading(mirror));
    const { headers } = await ask(url, '/', { headers: { origin } });
    expect(headers['access-control-allow-origin']).toBe(isAllowed ? origin : undefined);
    expect((await askUpgrade(url, { origin })).status).toBe(isAllowed ? 101 : 403);
  });

  test('admits an upgrade from the same origin, or from no browser', async () => {
    const { url } = await serveThrough([SECTION], upgrading(mirror));
    expect((await askUpgrade(url, { origin: url })).status).toBe(101);
    expect((await askUpgrade(url)).status).toBe(101);
  });

  test.each(['origins = example.com', 'origins = https://example.com/path', 'origins = *\ncredentials = true', ''])(
    '%j is an error',
    async (settings) => {
      await expect(serveThrough([`cors\n${settings}`], mirror)).rejects.toMatchObject({
        code: expect.stringMatching(/^PASTER_(?:SETTING|CORS)$/),
      });
    },
  );
});
