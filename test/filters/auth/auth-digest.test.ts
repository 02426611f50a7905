/** Digest authentication, as curl speaks it and as an attacker might. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { Nonces } from '../../../src/filters/auth/digest.ts';
import { Program, requireProgram } from '../../helpers/programs/program.ts';
import { ask } from '../../helpers/requests/ask.ts';
import { mirror, serveThrough } from '../serve.ts';
import { askUpgrade, upgrading } from '../servers/upgrade.ts';

const REALM = 'Staff only';

function hash(algorithm: string, text: string): string {
  return createHash(algorithm).update(text).digest('hex');
}

const USERS = {
  'SHA-256': `joe:${REALM}:${hash('sha256', `joe:${REALM}:secret`)}`,
  MD5: `joe:${REALM}:${hash('md5', `joe:${REALM}:secret`)}`,
};

const SECTION = `auth_digest\nrealm = ${REALM}\nusers = ${USERS['SHA-256']}`;

async function nonceOf(url: string): Promise<string> {
  const { headers } = await ask(url, '/');
  return /nonce="([^"]+)"/.exec(headers['www-authenticate'] ?? '')?.[1] ?? '';
}

interface Changes {
  readonly nonce: string;
  readonly user?: string;
  readonly password?: string;
  readonly uri?: string;
  readonly method?: string;
  readonly nc?: string;
  readonly qop?: string;
  readonly algorithm?: string;
  readonly realm?: string;
}

/** The header that a client sends for a nonce; `changes` make it that of an attacker. */
function digest({ nonce, ...changes }: Changes): { authorization: string } {
  const { user = 'joe', password = 'secret', uri = '/', method = 'GET', nc = '00000001', qop = 'auth' } = changes;
  const { algorithm = 'SHA-256', realm = REALM } = changes;
  const h = (text: string): string => hash('sha256', text);
  const response = h(`${h(`${user}:${realm}:${password}`)}:${nonce}:${nc}:cn:${qop}:${h(`${method}:${uri}`)}`);
  return {
    authorization: `Digest username="${user}", realm="${realm}", nonce="${nonce}", uri="${uri}", algorithm=${algorithm}, qop=${qop}, nc=${nc}, cnonce="cn", response="${response}"`,
  };
}

describe.runIf(requireProgram('curl'))('curl', () => {
  test.each(Object.entries(USERS))('logs in with %s', async (_algorithm, user) => {
    const { url } = await serveThrough([`auth_digest\nrealm = ${REALM}\nusers = ${user}`], mirror);
    const curl = (password: string) =>
      new Program('curl', ['-s', '--digest', '-u', `joe:${password}`, `${url}/a?b=c`]).finished();
    expect(JSON.parse((await curl('secret')).stdout)).toMatchObject({ remoteUser: 'joe', authType: 'Digest' });
    expect((await curl('wrong')).stdout).toBe('Unauthorized\n');
  });
});

test('offers the better algorithm first, and only algorithms that have a hash', async () => {
  const both = await serveThrough(
    [`auth_digest\nrealm = ${REALM}\nusers =\n  ${USERS.MD5.replace('joe', 'eve')}\n  ${USERS['SHA-256']}`],
    mirror,
  );
  const { headers } = await ask(both.url, '/');
  const algorithms = [...(headers['www-authenticate'] ?? '').matchAll(/algorithm=([^,]+)/g)].map(([, name]) => name);
  expect(algorithms).toEqual(['SHA-256', 'MD5']);
  const one = await serveThrough([SECTION], mirror);
  expect((await ask(one.url, '/')).headers['www-authenticate']).not.toContain('MD5');
});

test('a nonce count is accepted once, and then the next one', async () => {
  const { url } = await serveThrough([SECTION], mirror);
  const nonce = await nonceOf(url);
  expect((await ask(url, '/', { headers: digest({ nonce }) })).status).toBe(200);
  const replayed = await ask(url, '/', { headers: digest({ nonce }) });
  expect(replayed.status).toBe(401);
  expect(replayed.headers['www-authenticate']).toContain('stale=true');
  expect((await ask(url, '/', { headers: digest({ nonce, nc: '00000003' }) })).status).toBe(200);
  // A request that was sent earlier and arrives later.
  expect((await ask(url, '/', { headers: digest({ nonce, nc: '00000002' }) })).status).toBe(200);
});

test.each<[string, (nonce: string) => { authorization: string }, number]>([
  ['a wrong password', (nonce) => digest({ nonce, password: 'x' }), 401],
  ['an unknown user', (nonce) => digest({ nonce, user: 'eve' }), 401],
  [
    'an unknown user with the password of another one',
    (nonce) => ({ authorization: digest({ nonce }).authorization.replace('"joe"', '"eve"') }),
    401,
  ],
  ['a property name of Object', (nonce) => digest({ nonce, user: '__proto__' }), 401],
  ['a nonce of another server', () => digest({ nonce: 'abc.def.ghi' }), 401],
  ['a nonce with another time', (nonce) => digest({ nonce: nonce.replace(/^[^.]+/, 'zzzzzzzz') }), 401],
  ['another realm', (nonce) => digest({ nonce, realm: 'x' }), 401],
  ['another method', (nonce) => digest({ nonce, method: 'POST' }), 401],
  ['another address', (nonce) => digest({ nonce, uri: '/other' }), 400],
  ['no qop', (nonce) => ({ authorization: digest({ nonce }).authorization.replace('qop=auth, ', '') }), 401],
  ['another qop', (nonce) => digest({ nonce, qop: 'auth-int' }), 401],
  ['another algorithm than that of the hash', (nonce) => digest({ nonce, algorithm: 'MD5' }), 401],
  [
    'an empty response',
    (nonce) => ({ authorization: digest({ nonce }).authorization.replace(/response="\w+"$/, 'response=""') }),
    401,
  ],
  ['a repeated user', (nonce) => ({ authorization: `${digest({ nonce }).authorization}, username="joe"` }), 401],
  ['an unclosed quote', (nonce) => ({ authorization: `${digest({ nonce }).authorization}, x="` }), 401],
])('refuses %s', async (_what, headers, status) => {
  const { url } = await serveThrough([SECTION], mirror);
  expect((await ask(url, '/', { headers: headers(await nonceOf(url)) })).status).toBe(status);
});

test('an upgrade needs credentials too', async () => {
  const { url } = await serveThrough([SECTION], upgrading(mirror));
  expect(await askUpgrade(url)).toEqual({ status: 401 });
  expect((await askUpgrade(`${url}/`, digest({ nonce: await nonceOf(url) }))).status).toBe(101);
});

describe('nonces', () => {
  test('expire', () => {
    const nonces = new Nonces(1000, undefined);
    const nonce = nonces.create(5000);
    expect(nonces.isGood(nonce, 6000)).toBe(true);
    expect(nonces.isGood(nonce, 6001)).toBe(false);
    expect(nonces.isGood(nonce, 4999)).toBe(false);
  });

  test('are valid in another process only with the same secret', () => {
    const nonce = new Nonces(1000, 'x'.repeat(32)).create();
    expect(new Nonces(1000, 'x'.repeat(32)).isGood(nonce)).toBe(true);
    expect(new Nonces(1000, 'y'.repeat(32)).isGood(nonce)).toBe(false);
    expect(new Nonces(1000, undefined).isGood(nonce)).toBe(false);
  });

  test('accept each count once, and none that is far behind', () => {
    const nonces = new Nonces(1000, undefined);
    const nonce = nonces.create();
    // Up to 63 behind the highest one.
    expect([1, 2, 2, 100, 37, 36, 99, 99].map((count) => nonces.use(nonce, count))).toEqual([
      true,
      true,
      false,
      true,
      true,
      false,
      true,
      false,
    ]);
  });

  test('that are forgotten do not become valid again', () => {
    const nonces = new Nonces(1e9, undefined);
    // One more than are remembered.
    const first = nonces.create(1000);
    for (let index = 0; index < 10_001; index++) nonces.use(index === 0 ? first : nonces.create(2000 + index), 1);
    expect(nonces.isGood(first, 20_000)).toBe(false);
  });
});

test.each([
  [`users = joe:x:${'0'.repeat(32)}`, 'the realm is "x"'],
  [`users = joe:${REALM}:secret`, 'neither MD5'],
])('%s is an error', async (users, message) => {
  await expect(serveThrough([`auth_digest\nrealm = ${REALM}\n${users}`], mirror)).rejects.toMatchObject({
    message: expect.stringContaining(message),
  });
});
