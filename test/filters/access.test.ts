/** The filters that decide by address, count or a setting: grantip, ratelimit, maintenance. Upgrades cannot bypass them. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { clientKey } from '../../src/http/client-address.ts';
import { ask } from '../helpers/requests/ask.ts';
import { mirror, serveThrough } from './serve.ts';
import { askUpgrade, upgrading } from './servers/upgrade.ts';

const from = (address: string) => ({ headers: { 'x-forwarded-for': address } });

describe('grantip', () => {
  const RULES = `grantip
127.0.0.1 = -:system
192.0.2.0/24 = -:editor
192.0.2.7 = joe
192.0.2.10 = __remove__:-editor
198.51.100.0/24 = eve:reader,writer
grant =
  2001:db8::/32 six:editor`;

  test.each<[string, string | undefined, string[] | undefined]>([
    ['127.0.0.1', undefined, ['system']],
    ['192.0.2.1', undefined, ['editor']],
    ['192.0.2.7', 'joe', ['editor']],
    ['192.0.2.10', undefined, []],
    ['198.51.100.1', 'eve', ['reader', 'writer']],
    ['::ffff:198.51.100.1', 'eve', ['reader', 'writer']],
    ['2001:db8::5', 'six', ['editor']],
    ['203.0.113.1', undefined, undefined],
    ['unknown', undefined, undefined],
  ])('%s is user %s with the roles %s', async (address, user, roles) => {
    const { url } = await serveThrough(['proxy_headers', RULES], mirror);
    const seen = JSON.parse((await ask(url, '/', from(address))).body.toString());
    expect([seen.remoteUser, seen.remoteRoles]).toEqual([user, roles]);
  });

  test('ignores forwarding headers', async () => {
    const { url } = await serveThrough([`grantip\n198.51.100.1 = eve`], mirror);
    const { body } = await ask(url, '/', from('198.51.100.1'));
    expect(JSON.parse(body.toString())).not.toHaveProperty('remoteUser');
  });

  test.each([
    ['false', 'Staff'],
    ['true', 'local'],
  ])('clobber_username = %s decides whether an earlier user stays', async (clobbers, user) => {
    const { url } = await serveThrough(
      [`grantip\n127.0.0.1 = Staff`, `grantip\nclobber_username = ${clobbers}\n127.0.0.1 = local`],
      mirror,
    );
    expect(JSON.parse((await ask(url, '/')).body.toString())).toMatchObject({ remoteUser: user });
  });

  test('refuse_others refuses requests and upgrades', async () => {
    const { url } = await serveThrough(
      ['proxy_headers', 'grantip\nrefuse_others = true\n192.0.2.0/24 = -:staff'],
      upgrading(mirror),
    );
    expect((await ask(url, '/', from('192.0.2.1'))).status).toBe(200);
    expect((await ask(url, '/', from('192.0.3.1'))).status).toBe(403);
    expect((await askUpgrade(url, from('192.0.2.1').headers)).status).toBe(101);
    expect((await askUpgrade(url, from('192.0.3.1').headers)).status).toBe(403);
  });

  test.each(['256.0.0.1 = joe', 'joe = 127.0.0.1', 'grant = 127.0.0.1', 'grant = joe x'])(
    '%s is an error',
    async (line) => {
      await expect(serveThrough([`grantip\n${line}`], mirror)).rejects.toMatchObject({ location: { line: 3 } });
    },
  );
});

describe('ratelimit', () => {
  test('responds 429 to one client and not to another', async () => {
    const { url } = await serveThrough(['proxy_headers', 'ratelimit\nlimit = 2\nwindow = 600'], upgrading(mirror));
    const statuses: number[] = [];
    for (let count = 0; count < 3; count++) statuses.push((await ask(url, '/', from('192.0.2.1'))).status);
    expect(statuses).toEqual([200, 200, 429]);
    const { headers } = await ask(url, '/', from('192.0.2.1'));
    expect(headers).toMatchObject({
      'ratelimit-policy': '2;w=600',
      'ratelimit-limit': '2',
      'ratelimit-remaining': '0',
      'retry-after': expect.stringMatching(/^\d+$/),
    });
    expect((await ask(url, '/', from('192.0.2.2'))).headers['ratelimit-remaining']).toBe('1');
    expect((await askUpgrade(url, from('192.0.2.1').headers)).status).toBe(429);
  });

  test('exempt clients are not counted', async () => {
    const { url } = await serveThrough(['ratelimit\nlimit = 1\nexempt = 127.0.0.0/8'], mirror);
    await ask(url, '/');
    const { status, headers } = await ask(url, '/');
    expect(status).toBe(200);
    expect(headers).not.toHaveProperty('ratelimit-limit');
  });

  test.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0DB8:1:2::6', '2001:db8:1:2::/64'],
    ['2001:db8::6', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
  ])('%s is counted as %s', (remoteAddress, key) => {
    expect(clientKey({ socket: { remoteAddress } } as Parameters<typeof clientKey>[0])).toBe(key);
  });
});

describe('maintenance', () => {
  test('begins and ends with a file', async () => {
    const { url, directory } = await serveThrough(
      ['proxy_headers', 'maintenance\nfile = closed\nretry_after = 60\nallow = 192.0.2.0/24'],
      upgrading(mirror),
    );
    expect((await ask(url, '/')).status).toBe(200);
    writeFileSync(join(directory, 'closed'), '');
    const { status, headers } = await ask(url, '/');
    expect(status).toBe(503);
    expect(headers).toMatchObject({ 'retry-after': '60', 'cache-control': 'no-store' });
    expect((await ask(url, '/', from('192.0.2.1'))).status).toBe(200);
    expect((await askUpgrade(url)).status).toBe(503);
    rmSync(join(directory, 'closed'));
    expect((await ask(url, '/')).status).toBe(200);
  });

  test('begins with a setting, and shows a page to a browser', async () => {
    const { url } = await serveThrough(['maintenance\nenabled = true\nmessage = <b>Back at 5'], mirror);
    expect((await ask(url, '/')).body.toString()).toBe('<b>Back at 5\n');
    const page = await ask(url, '/', { headers: { accept: 'text/html' } });
    expect(page).toMatchObject({
      status: 503,
      headers: { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' },
    });
    expect(page.body.toString()).toContain('&lt;b&gt;Back at 5');
  });
});
