/** The redirect: where it sends clients, and that no request can make it redirect to another host. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { describe, expect, test } from 'vitest';
import { makeRedirect, type RedirectOptions, redirect, redirectSettings } from '../../src/apps/redirect.ts';
import { urlMap } from '../../src/apps/urlmap.ts';
import type { App } from '../../src/protocol/types.ts';
import { httpBackend } from '../contract/backends/http-backend.ts';

/** The status and the Location of the response to a request for `url`. */
function sent(app: App, url: string): [number, string] {
  let head: [number, string] = [0, ''];
  const res = {
    writeHead: (status: number, { location }: { location: string }) => {
      head = [status, location];
    },
    end: () => {},
  };
  app({ url, headers: {} } as IncomingMessage, res as unknown as ServerResponse);
  return head;
}

test.each<[RedirectOptions, string, string]>([
  [{ to: 'https://example.org' }, '/', 'https://example.org'],
  [{ to: 'https://example.org' }, '/a/b?c=d', 'https://example.org/a/b?c=d'],
  [{ to: 'https://example.org/new' }, '/', 'https://example.org/new/'],
  [{ to: 'https://example.org/new/' }, '/a', 'https://example.org/new/a'],
  [{ to: 'https://example.org/new?x=1#part' }, '/a?y=2', 'https://example.org/new/a?x=1&y=2#part'],
  [{ to: 'https://example.org/new', keepPath: false }, '/a?y=2', 'https://example.org/new?y=2'],
  [{ to: 'https://example.org/new?x', keepQuery: false }, '/a?y=2', 'https://example.org/new/a?x'],
  [{ to: '/new' }, '/a%20b?', '/new/a%20b'],
  [{ to: '/' }, '/a', '/a'],
  [{ to: '/' }, 'http://elsewhere.example/a?b', '/a?b'],
])('%j: %s leads to %s', (options, url, location) => {
  expect(sent(redirect(options), url)).toEqual([302, location]);
});

test('a request for the mount itself adds nothing to the target, not even a slash', async () => {
  const app = await urlMap({ '/old': redirect({ to: 'https://example.org/new' }), '/root': redirect({ to: '/' }) });
  const serving = await httpBackend.start(app);
  const cases = [
    ['/old', 'https://example.org/new'],
    ['/old?a=b', 'https://example.org/new?a=b'],
    ['/old/', 'https://example.org/new/'],
    ['/old/x', 'https://example.org/new/x'],
    ['/root', '/'],
  ];
  for (const [url, location] of cases) {
    const { rawHeaders } = await serving.request({ path: url ?? '' });
    expect(rawHeaders[rawHeaders.indexOf('location') + 1]).toBe(location);
  }
  await serving.close();
});

describe('another host', () => {
  test.each([
    '//evil.example',
    '///evil.example/',
    '/\\evil.example',
    '\\\\evil.example',
    '/\\/evil.example',
    '/%09//evil.example',
    '/\t//evil.example',
    'http:evil.example',
    'http:///evil.example',
    '*',
    '@evil.example/',
    '/..//evil.example',
    '/x/..//evil.example',
    '/\r\nLocation: http://evil.example',
    '/?next=//evil.example',
    '#//evil.example',
  ])('is not reached by %j', (url) => {
    for (const to of ['/', '/new', 'https://good.example', 'https://good.example/new/']) {
      const base = 'https://here.example/';
      const [, location] = sent(redirect({ to }), url);
      expect(location).toMatch(/^[\x21-\x7e]+$/);
      expect(new URL(location, base).host).toBe(to.startsWith('/') ? 'here.example' : 'good.example');
    }
  });
});

test.each([
  '',
  'example.org',
  '//example.org',
  '/\\example.org',
  'javascript:alert(1)',
  'ftp://a',
  'https://',
  'https://a b',
])('to = %j is an error', (to) => {
  expect(() => redirect({ to })).toThrow(/not a URL to redirect to/);
});

test('a section has the same options in text form', () => {
  const result = redirectSettings['~standard'].validate({ to: '/x', status: '308', keep_path: 'no' });
  if (!('value' in result)) throw new Error('it is valid');
  expect(sent(makeRedirect({}, result.value), '/a?b')).toEqual([308, '/x?b']);
  expect(redirectSettings['~standard'].validate({ to: '/x', status: '200' })).toHaveProperty('issues');
});
