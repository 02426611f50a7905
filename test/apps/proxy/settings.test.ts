/** Invalid settings of a proxy. */
import { expect, test } from 'vitest';
import { proxy } from '../../../src/apps/proxy/proxy.ts';
import { proxySettings } from '../../../src/apps/proxy/settings.ts';

test.each([
  ['allowed_request_methods', 'GET, HEAD', /"GET," is not a name/],
  ['suppress_http_headers', 'cookie,authorization', /"cookie,authorization" is not a name/],
])('%s = %s would have no effect, and is an error', (key, value, message) => {
  const validate = (text: string) =>
    proxySettings['~standard'].validate({ address: 'http://127.0.0.1:1', [key]: text });
  expect(validate(value)).toMatchObject({ issues: [{ message: expect.stringMatching(message), path: [key] }] });
  expect(validate(value.replace(/, ?/, ' '))).toHaveProperty('value');
});

test.each([
  '',
  'localhost',
  'ftp://x',
  'http://',
  'http://u:p@x/',
  'http://x/?y',
  'http://x#y',
  'unix:relative',
  '//x',
  'http://x y',
])('address = %j is an error', async (address) => {
  await expect(proxy({ address })).rejects.toThrow(/is not the address of an HTTP server/);
  expect(proxySettings['~standard'].validate({ address })).toHaveProperty('issues');
});
