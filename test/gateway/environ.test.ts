import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { environFromPairs, environFromRequest, findVariable } from '../../src/gateway/environ.ts';
import { BadEnviron, readHead } from '../../src/gateway/request-head.ts';
import { heapUsed } from '../helpers/heap.ts';

function request(rawHeaders: string[], fields: Record<string, unknown> = {}): IncomingMessage {
  const req = new IncomingMessage(new Socket());
  Object.assign(req, { method: 'GET', url: '/', httpVersion: '1.1', rawHeaders }, fields);
  const headers: Record<string, string> = {};
  for (let i = 0; i < rawHeaders.length; i += 2)
    headers[(rawHeaders[i] as string).toLowerCase()] = rawHeaders[i + 1] as string;
  req.headers = headers;
  return req;
}

// This must be the first test of the file: others fill the cache.
test('long invented names are not cached', () => {
  const before = heapUsed();
  for (let i = 0; i < 1000; i++) readHead([`HTTP_X_${i}_${'Y'.repeat(100_000)}`, '1']);
  expect(heapUsed() - before).toBeLessThan(10_000_000);
});

describe('the head of a request from its environment', () => {
  test('has names in the usual spelling', () => {
    expect(
      readHead([
        'HTTP_X_REQUEST_ID',
        '1',
        'HTTP_ACCEPT_ENCODING',
        'gzip',
        'CONTENT_TYPE',
        'a/b',
        'FOO',
        'x',
        'HTTP_',
        'y',
      ]).rawHeaders,
    ).toEqual(['X-Request-Id', '1', 'Accept-Encoding', 'gzip', 'Content-Type', 'a/b']);
  });

  test('has no empty content headers, but an empty cookie', () => {
    const head = readHead(['CONTENT_TYPE', '', 'CONTENT_LENGTH', '', 'HTTP_COOKIE', '']);
    expect([head.rawHeaders, head.contentLength]).toEqual([['Cookie', ''], undefined]);
  });

  test('has the last Host if there are two, which is the operator’s', () => {
    const head = readHead(['HTTP_HOST', 'a', 'HTTP_X', '1', 'HTTP_HOST', 'a:8080']);
    expect(head.rawHeaders).toEqual(['Host', 'a:8080', 'X', '1']);
    expect(() => readHead(['HTTP_HOST', 'a\r\nX: y'])).toThrow(BadEnviron);
  });

  test('has both values of a repeated header, of which Node keeps the first for some', () => {
    const twice = (name: string) => [`HTTP_${name}`, 'a/b', `HTTP_${name}`, 'c/d'];
    expect(readHead([...twice('USER_AGENT'), ...twice('REFERER'), ...twice('CONTENT_TYPE')]).rawHeaders).toEqual([
      'User-Agent',
      'a/b',
      'User-Agent',
      'c/d',
      'Referer',
      'a/b',
      'Referer',
      'c/d',
      'Content-Type',
      'a/b',
    ]);
  });

  test('has Content-Type once, and the last value of a repeated variable', () => {
    expect(
      readHead([
        'HTTP_CONTENT_TYPE',
        'a/b',
        'CONTENT_TYPE',
        'a/b',
        'HTTP_CONTENT_LENGTH',
        '9',
        'CONTENT_LENGTH',
        '5',
        'CONTENT_LENGTH',
        '6',
      ]).rawHeaders,
    ).toEqual(['Content-Type', 'a/b', 'Content-Length', '6']);
  });

  test('has no length that Lighttpd made up', () => {
    const software = ['SERVER_SOFTWARE', 'lighttpd/1.4.69', 'CONTENT_LENGTH', '0'];
    expect(readHead(software)).toMatchObject({ rawHeaders: [], contentLength: 0 });
    expect(readHead([...software, 'HTTP_CONTENT_LENGTH', '0']).rawHeaders).toEqual(['Content-Length', '0']);
    expect(readHead(['CONTENT_LENGTH', '0']).rawHeaders).toEqual(['Content-Length', '0']);
  });

  test.each([
    ['HTTP/1.0', 0],
    ['HTTP/1.1', 1],
    ['HTTP/2.0', 1],
    ['HTTP/3', 1],
    ['', 1],
  ])('has the version of %s', (protocol, minor) => {
    expect(readHead(['SERVER_PROTOCOL', protocol]).httpVersionMinor).toBe(minor);
  });

  test('has no length of -1, which Caddy sets for a chunked body', () => {
    const pairs = ['REQUEST_METHOD', 'POST', 'CONTENT_LENGTH', '-1'];
    const head = readHead([...pairs, 'SERVER_SOFTWARE', 'Caddy/v2.6.2']);
    expect({ length: head.contentLength, headers: head.rawHeaders }).toEqual({
      length: undefined,
      headers: ['Transfer-Encoding', 'chunked'],
    });
    expect(() => readHead([...pairs, 'SERVER_SOFTWARE', 'nginx/1.22.1'])).toThrow(BadEnviron);
  });

  test('does not depend on the order of names', () => {
    expect(readHead(['HTTP_A', '1', 'HTTP_B', '2']).rawHeaders).toEqual(['A', '1', 'B', '2']);
    expect(readHead(['HTTP_B', '1', 'HTTP_A', '2']).rawHeaders).toEqual(['B', '1', 'A', '2']);
  });

  test.each([
    [['HTTP_X', 'a\r\nb']],
    [['HTTP_X', 'a\0']],
    [['CONTENT_TYPE', 'a\n']],
    [['CONTENT_LENGTH', '1e3']],
    [['CONTENT_LENGTH', '0x5']],
    [['CONTENT_LENGTH', '-2']],
    [['REQUEST_METHOD', 'a b']],
    [['REQUEST_METHOD', '']],
  ])('is refused: %j', (pairs) => {
    expect(() => readHead(pairs)).toThrow(BadEnviron);
  });

  test('is refused with more than 2000 headers', () => {
    const headers = (count: number) => Array.from({ length: count }, () => ['HTTP_X', 'y']).flat();
    expect(readHead(headers(2000)).rawHeaders).toHaveLength(4000);
    expect(() => readHead(headers(2001))).toThrow(BadEnviron);
  });

  test('has its own names, even if there are more names than the cache holds', () => {
    for (let i = 0; i < 10_000; i++) expect(readHead([`HTTP_N${i}`, 'x']).rawHeaders).toEqual([`N${i}`, 'x']);
  });
});

describe('variables', () => {
  test('are found by name, without a prototype', () => {
    const environ = environFromPairs([
      'A',
      '1',
      'A',
      '2',
      'HTTP_X',
      'a',
      'HTTP_X',
      'b',
      'HTTP_COOKIE',
      'c=1',
      'HTTP_COOKIE',
      'd=2',
      '__proto__',
      'p',
    ]);
    expect(Object.getPrototypeOf(environ)).toBeNull();
    expect(Object.entries(environ)).toEqual([
      ['A', '2'],
      ['HTTP_X', 'a, b'],
      ['HTTP_COOKIE', 'c=1; d=2'],
      ['__proto__', 'p'],
    ]);
  });

  test('are found even if a value equals a name', () => {
    expect(findVariable(['HTTPS', 'on', 'HTTP_X', 'HTTPS'], 'HTTPS')).toBe('on');
    expect(findVariable(['A', 'HTTPS'], 'HTTPS')).toBeUndefined();
    expect(findVariable([], 'HTTPS')).toBeUndefined();
  });
});

describe('the environment of a request', () => {
  test('has the variables of RFC 3875', () => {
    const environ = environFromRequest(
      request(['Host', 'example.test:81', 'X-A', '1', 'X-A', '2', 'Content-Type', 'a/b', 'Content-Length', '3'], {
        method: 'POST',
        url: '/rest%20x?q=%20',
        baseUrl: '/app',
        originalUrl: '/app/rest%20x?q=%20',
      }),
    );
    expect(environ).toMatchObject({
      REQUEST_METHOD: 'POST',
      SCRIPT_NAME: '/app',
      PATH_INFO: '/rest x',
      QUERY_STRING: 'q=%20',
      REQUEST_URI: '/app/rest%20x?q=%20',
      SERVER_NAME: 'example.test',
      SERVER_PORT: '81',
      CONTENT_TYPE: 'a/b',
      CONTENT_LENGTH: '3',
      HTTP_X_A: '1, 2',
      HTTP_HOST: 'example.test:81',
      GATEWAY_INTERFACE: 'CGI/1.1',
      SERVER_PROTOCOL: 'HTTP/1.1',
      REQUEST_SCHEME: 'http',
    });
    expect(Object.keys(environ).filter((name) => name.startsWith('HTTP_CONTENT'))).toEqual([]);
  });

  test.each(['Proxy', 'proxy', 'PROXY', 'pRoXy'])('%s never becomes HTTP_PROXY (CVE-2016-5385)', (name) => {
    expect(environFromRequest(request([name, 'http://evil.test'])).HTTP_PROXY).toBeUndefined();
  });

  test('has no names with underscores and no connection headers', () => {
    const environ = environFromRequest(
      request([
        'X_Forwarded_For',
        '1',
        'Connection',
        'close',
        'Transfer-Encoding',
        'chunked',
        'Proxy-Authorization',
        'x',
        'X-Ok',
        '1',
      ]),
    );
    expect(Object.keys(environ).filter((name) => name.startsWith('HTTP_'))).toEqual(['HTTP_X_OK']);
  });

  test('converts back to the same head', () => {
    const environ = environFromRequest(request(['Host', 'h', 'Accept', '*/*'], { url: '/a%2Fb?c' }));
    const head = readHead(Object.entries(environ).flat());
    expect([head.url, head.rawHeaders]).toEqual(['/a%2Fb?c', ['Host', 'h', 'Accept', '*/*']]);
  });
});
