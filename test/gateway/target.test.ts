import { describe, expect, test } from 'vitest';
import { requestTarget, type TargetVariables } from '../../src/gateway/target.ts';

function target(variables: Partial<TargetVariables>): unknown {
  const { url, baseUrl, originalUrl } = requestTarget({
    requestUri: undefined,
    scriptName: '',
    pathInfo: undefined,
    queryString: '',
    serverSoftware: '',
    ...variables,
  });
  return [url, baseUrl, originalUrl];
}

const lighttpd = { serverSoftware: 'lighttpd/1.4.69' };

describe('nginx, which does not split the path', () => {
  test.each([
    ['/a/b?x', '/a/b', '/a/b?x'],
    ['/a%2Fb', '/a/b', '/a%2Fb'],
    ['/x/', '/x/', '/x/'],
  ])('%s is the whole path', (requestUri, scriptName, url) => {
    expect(target({ requestUri, scriptName })).toEqual([url, '', url]);
    expect(target({ requestUri, scriptName, pathInfo: '' })).toEqual([url, '', url]);
  });

  test('splits the path if it is configured to', () => {
    expect(target({ requestUri: '/proxy/s%20t?x', scriptName: '/proxy', pathInfo: '/s t' })).toEqual([
      '/s%20t?x',
      '/proxy',
      '/proxy/s%20t?x',
    ]);
  });

  test('may set a SCRIPT_NAME that is not part of the URL', () => {
    expect(target({ requestUri: '/other', scriptName: '/app', mount: '/app' })).toEqual(['/', '/app', '/other']);
  });
});

describe('Apache, which cuts SCRIPT_NAME before the last double slash', () => {
  const apache = { serverSoftware: 'Apache/2.4.71 (Debian)' };

  test.each([
    ['/shop/a//b?q', '/shop/a', '/a//b', ['/a//b?q', '/shop', '/shop/a//b?q']],
    ['/shop//a//b/c', '/shop//a', '//a//b/c', ['//a//b/c', '/shop', '/shop//a//b/c']],
    ['/shop/a///b', '/shop/a', '/a///b', ['/a///b', '/shop', '/shop/a///b']],
    ['/shop/a%2F/b', '/shop/a', '/a//b', ['/a%2F/b', '/shop', '/shop/a%2F/b']],
    ['/shop/x/../a//b', '/shop/a', '/a//b', ['/a//b', '/shop', '/shop/x/../a//b']],
    ['/shop//a', '/shop', '//a', ['//a', '/shop', '/shop//a']],
    ['/shop/a/a//b', '/shop/a', '/a//b', ['/a//b', '/shop/a', '/shop/a/a//b']],
  ])('%s keeps its mount', (requestUri, scriptName, pathInfo, expected) => {
    const queryString = requestUri.split('?')[1] ?? '';
    expect(target({ ...apache, requestUri, scriptName, pathInfo, queryString })).toEqual(expected);
  });

  test('keeps the mount that is configured', () => {
    const asked = { requestUri: '/shop/a//b', scriptName: '/shop/a', pathInfo: '/a//b' };
    expect(target({ ...apache, ...asked, mount: '/shop' })).toEqual(['/a//b', '/shop', '/shop/a//b']);
  });
});

describe('a script that is not part of the URL', () => {
  test.each([
    ['/', '/', '/'],
    ['/foo%20x/b%2Fc?q', '/foo x/b/c', '/foo%20x/b%2Fc?q'],
    ['/a//b', '/a/b', '/a//b'],
  ])('%s is the whole path', (requestUri, pathInfo, url) => {
    expect(target({ requestUri, scriptName: '/index.fcgi', pathInfo })).toEqual([url, '', url]);
  });

  test('is the mount if the client’s path or the setting contains it', () => {
    const asked = { requestUri: '/index.fcgi/a%2Fb', scriptName: '/index.fcgi', pathInfo: '/a/b' };
    expect(target(asked)).toEqual(['/a%2Fb', '/index.fcgi', '/index.fcgi/a%2Fb']);
    expect(target({ requestUri: '/a', scriptName: '/app', pathInfo: '/a', mount: '/app' })).toEqual([
      '/a',
      '/app',
      '/a',
    ]);
  });

  test('is not assumed if the path was rewritten', () => {
    expect(target({ requestUri: '/a', scriptName: '/app', pathInfo: '/b' })).toEqual(['/b', '/app', '/a']);
  });
});

describe('lighttpd, as 1.4.69 sends it', () => {
  test.each([
    ['/proxy', '/proxy', undefined, ['/', '/proxy', '/proxy']],
    ['/proxy?x', '/proxy', undefined, ['/?x', '/proxy', '/proxy?x']],
    ['/proxy/', '/proxy', '/', ['/', '/proxy', '/proxy/']],
    ['/proxy/service?x', '/proxy', '/service', ['/service?x', '/proxy', '/proxy/service?x']],
    ['/proxy/a%2Fb/c%20d', '/proxy', '/a/b/c d', ['/a%2Fb/c%20d', '/proxy', '/proxy/a%2Fb/c%20d']],
    ['/', '/', undefined, ['/', '', '/']],
    ['/x', '', '/x', ['/x', '', '/x']],
  ])('%s keeps its mount', (requestUri, scriptName, pathInfo, expected) => {
    const queryString = requestUri.split('?')[1] ?? '';
    expect(target({ requestUri, scriptName, pathInfo, queryString, ...lighttpd })).toEqual(expected);
  });

  test.each([
    ['/', '/', undefined, '/'],
    ['/x', '/x', undefined, '/x'],
    ['/x/', '/x', '/', '/x/'],
    ['/a/b?q', '/a', '/b', '/a/b?q'],
    ['/a%2Fb/c%20d', '/a', '/b/c d', '/a%2Fb/c%20d'],
  ])(
    'at the root without fix-root-scriptname, with the mount configured: %s',
    (requestUri, scriptName, pathInfo, url) => {
      expect(target({ requestUri, scriptName, pathInfo, mount: '/', ...lighttpd })).toEqual([url, '', requestUri]);
    },
  );
});

describe('without REQUEST_URI', () => {
  test.each([
    [
      '/app',
      // The UTF-8 of €, decoded as latin-1.
      '/a b/\xe2\x82\xac',
      'q=1',
      ['/a%20b/%E2%82%AC?q=1', '/app', '/app/a%20b/%E2%82%AC?q=1'],
    ],
    ['', '/x?y', '', ['/x%3Fy', '', '/x%3Fy']],
    ['/app', '', '', ['/app', '', '/app']],
    ['', '', '', ['/', '', '/']],
    ['/app', 'no-slash', '', ['/no-slash', '/app', '/app/no-slash']],
  ])('%s %s', (scriptName, pathInfo, queryString, expected) => {
    expect(target({ scriptName, pathInfo, queryString })).toEqual(expected);
  });
});

describe('the client’s spelling is kept where the web server', () => {
  test.each([
    ['merges slashes', '/app/a//b%20c', '/app', '/a/b c', '/a//b%20c'],
    ['merges slashes at the root', '/a///b?x', '', '/a/b', '/a///b?x'],
    ['decodes all but %2F', '/app/a%2Fb%20c', '/app', '/a%2Fb c', '/a%2Fb%20c'],
    ['decodes nothing', '/app/a%20b%2541', '/app', '/a%20b%2541', '/a%20b%2541'],
    ['decodes all but %2f, and merges slashes', '/app/a%2fb//c', '/app', '/a%2fb/c', '/a%2fb//c'],
  ])('%s', (_what, requestUri, scriptName, pathInfo, url) => {
    expect(target({ requestUri, scriptName, pathInfo })).toEqual([url, scriptName, requestUri]);
  });

  test.each([
    ['/app/a/../b', '/app', '/b', '/b'],
    ['//app/b', '/app', '/b', '/b'],
    ['/app/x%252Fy', '/app', '/z', '/z'],
    ['/app/a%41', '/app', '/a%2541', '/a%252541'],
  ])('but not if it means another path: %s', (requestUri, scriptName, pathInfo, url) => {
    expect(target({ requestUri, scriptName, pathInfo })).toEqual([url, scriptName, requestUri]);
  });
});

test('the application routes on a rewritten path', () => {
  expect(target({ requestUri: '/old?x=1', scriptName: '/app', pathInfo: '/new', queryString: 'x=2' })).toEqual([
    '/new?x=2',
    '/app',
    '/old?x=1',
  ]);
});

test.each(['/a b', '/a\r\nX: y', '/a\0', '/a\x7f'])(
  'a REQUEST_URI that cannot be in a request line is ignored: %j',
  (requestUri) => {
    expect(target({ requestUri, scriptName: '/clean' })).toEqual(['/clean', '', '/clean']);
  },
);
