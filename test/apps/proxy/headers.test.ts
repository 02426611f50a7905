/** Which headers a proxy forwards, adds and leaves out. */
import { describe, expect, test } from 'vitest';
import { proxy } from '../../../src/apps/proxy/proxy.ts';
import { ask } from '../../helpers/requests/ask.ts';
import { listen } from '../../protocol/listen.ts';
import { echoHead, type Head, proxied, rawUpstream } from './upstream.ts';

describe('headers', () => {
  test('of the connection are not forwarded, nor those that Connection names', async () => {
    const { address, heard } = await rawUpstream(
      'HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\n' +
        'Upgrade: h2c\r\nX-End: 1\r\nContent-Length: 2\r\n\r\nok',
    );
    const origin = await listen(await proxy({ address }));
    const reply = await ask(origin, '/', {
      headers: {
        Connection: 'close, X-Mine',
        'X-Mine': '1',
        'Keep-Alive': '1',
        TE: 'trailers',
        'Proxy-Authorization': 'secret',
        'Proxy-Connection': 'x',
        Proxy: 'http://evil.example',
        'X-End': '1',
      },
    });
    expect(reply.headers['x-end']).toBe('1');
    for (const name of ['x-hop', 'proxy-authenticate', 'upgrade']) expect(reply.headers).not.toHaveProperty(name);
    expect(heard.join('')).toMatch(/x-end: 1/i);
    expect(heard.join('')).not.toMatch(/x-mine|te: |proxy|secret|keep-alive: 1/i);
  });

  test('X-Forwarded-For is extended by the client’s address, the others are replaced', async () => {
    const origin = await proxied(echoHead);
    const head = JSON.parse(
      (
        await ask(origin, '/', {
          headers: {
            Host: 'www.example.org',
            'X-Forwarded-For': '10.1.1.1',
            'X-Forwarded-Host': 'evil.example',
            'X-Forwarded-Proto': 'https',
            'X-Forwarded-Prefix': '/evil',
          },
        })
      ).body.toString(),
    ) as Head;
    expect(head.headers).toMatchObject({
      'x-forwarded-for': '10.1.1.1, 127.0.0.1',
      'x-forwarded-host': 'www.example.org',
      'x-forwarded-proto': 'http',
    });
    expect(head.headers).not.toHaveProperty('x-forwarded-prefix');
    expect(head.headers['host']).toMatch(/^127\.0\.0\.1:\d+$/);
  });

  test('that only proxies set are removed, unless pass_headers names them', async () => {
    const claims = { Forwarded: 'for=6.6.6.6', 'X-Real-IP': '6.6.6.6', X_Forwarded_Host: 'evil', 'X-Scheme': 'https' };
    const seen = async (options: { passHeaders?: readonly string[] }) => {
      const reply = await ask(await proxied(echoHead, options), '/', { headers: claims });
      const { headers } = JSON.parse(reply.body.toString()) as Head;
      return Object.keys(claims).filter((name) => headers[name.toLowerCase()] !== undefined);
    };
    expect(await seen({})).toEqual([]);
    expect(await seen({ passHeaders: ['X-Real-IP', 'forwarded'] })).toEqual(['Forwarded', 'X-Real-IP']);
  });

  test('named by suppress_http_headers are removed', async () => {
    const origin = await proxied(echoHead, { suppressHttpHeaders: ['Cookie', 'x_own'] });
    const reply = await ask(origin, '/', { headers: { Cookie: 'a', 'X-Own': '1', 'X-Other': '1' } });
    const { headers } = JSON.parse(reply.body.toString()) as Head;
    expect(headers).toMatchObject({ 'x-other': '1' });
    expect(headers).not.toHaveProperty('cookie');
    expect(headers).not.toHaveProperty('x-own');
  });
});
