/** The transparent proxy: which hosts it connects to, and what it leaves unchanged. */
import { describe, expect, test } from 'vitest';
import { transparentProxy } from '../../../src/apps/proxy/proxy.ts';
import { makeTransparentProxy, transparentProxySettings } from '../../../src/apps/proxy/settings.ts';
import { urlMap } from '../../../src/apps/urlmap.ts';
import { ask } from '../../helpers/requests/ask.ts';
import { listen } from '../../protocol/listen.ts';
import { echoHead, type Head, upstream } from './upstream.ts';

describe('the transparent proxy', () => {
  test('connects to force_host, and leaves the Host header and the whole path unchanged', async () => {
    const forceHost = new URL(await upstream(echoHead)).host;
    const origin = await listen(await urlMap({ '/below': await transparentProxy({ forceHost }) }));
    const reply = await ask(origin, '/below/x?y', { headers: { Host: 'any.example:81' } });
    const head = JSON.parse(reply.body.toString()) as Head;
    expect(head.url).toBe('/below/x?y');
    expect(head.headers['host']).toBe('any.example:81');
    for (const path of ['/below', '/below?x=/', '/below/']) {
      expect((JSON.parse((await ask(origin, path)).body.toString()) as Head).url).toBe(path);
    }
  });

  test('connects to allowed hosts and to no other, however they are written', async () => {
    const asked: string[] = [];
    const allowed = new URL(
      await upstream((req, res) => {
        asked.push(req.url ?? '');
        res.end('ok');
      }),
    ).host;
    const port = allowed.split(':')[1] ?? '';
    const other = new URL(await upstream(() => expect.unreachable())).host;
    const origin = await listen(await transparentProxy({ allowedHosts: [allowed, 'www.example.org'] }));
    expect((await ask(origin, '/', { headers: { Host: allowed } })).status).toBe(200);
    for (const host of [
      other,
      '127.0.0.1',
      `localhost:${port}`,
      `127.1:${port}`,
      `2130706433:${port}`,
      `[::ffff:127.0.0.1]:${port}`,
      `[::1]:${port}`,
      `x@${allowed}`,
      `${allowed}@${other}`,
      `${allowed}/`,
      `${allowed}#.example.org`,
      `${allowed}, ${other}`,
      `${allowed}:80`,
      `.${allowed}`,
      `www.example.org:22`,
      `www.example.org.evil.example`,
      '169.254.169.254',
      'metadata.google.internal',
      `${allowed.replace(':', '%3A')}`,
      '',
    ]) {
      expect([host, (await ask(origin, '/', { headers: { Host: host } })).status]).toEqual([
        host,
        expect.toSatisfy((status) => status === 403 || status === 400),
      ]);
    }
    // The host of the request line overrides the header (RFC 9112 section 3.2.2).
    expect((await ask(origin, `http://${other}/`, { headers: { Host: allowed } })).status).toBe(403);
    expect(asked).toEqual(['/']);
  });

  test('connects nowhere without force_host or allowed_hosts', async () => {
    await expect(transparentProxy({})).rejects.toThrow(/whatever host a client names/);
    await expect(transparentProxy({ forceHost: 'a b' })).rejects.toThrow(/not of the form/);
    const result = transparentProxySettings['~standard'].validate({ allowed_hosts: '*' });
    if (!('value' in result)) throw new Error('it is valid');
    const { value } = result;
    expect(() => makeTransparentProxy({}, value)).toThrow(/any client/);
    await expect(makeTransparentProxy({ debug: 'true' }, value)).resolves.toBeTypeOf('function');
  });
});
