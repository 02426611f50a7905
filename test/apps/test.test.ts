/** The application `test`: the request as a CGI environment, in three forms. */
import { expect, test } from 'vitest';
import { showRequest } from '../../src/apps/test.ts';
import { urlMap } from '../../src/apps/urlmap.ts';
import { httpBackend } from '../contract/backends/http-backend.ts';

async function show(options: Parameters<typeof showRequest>[0], accept = '*/*'): Promise<[string, string]> {
  const serving = await httpBackend.start(showRequest(options));
  const { rawHeaders, body } = await serving.request({ path: '/a%20b?c=<d>', headers: { Accept: accept } });
  await serving.close();
  const index = rawHeaders.findIndex((name) => name.toLowerCase() === 'content-type');
  return [rawHeaders[index + 1] ?? '', body.toString()];
}

test('responds with JSON, or with a page for a browser', async () => {
  const [type, body] = await show({});
  expect(type).toBe('application/json; charset=utf-8');
  expect(JSON.parse(body)).toMatchObject({ REQUEST_METHOD: 'GET', PATH_INFO: '/a b', QUERY_STRING: 'c=<d>' });
  const [preferred] = await show({}, 'application/json, text/html;q=0.1');
  expect(preferred).toBe('application/json; charset=utf-8');
  const [, page] = await show({}, 'text/html,*/*');
  expect(page).toContain('<dt>QUERY_STRING</dt><dd>c=&lt;d&gt;</dd>');
});

test('a request for the mount itself has an empty PATH_INFO', async () => {
  const serving = await httpBackend.start(await urlMap({ '/below': showRequest() }));
  for (const [path, info] of [
    ['/below', ''],
    ['/below?x', ''],
    ['/below/', '/'],
    ['/below/x', '/x'],
  ]) {
    const { body } = await serving.request({ path: path ?? '' });
    expect(JSON.parse(body.toString())).toMatchObject({ SCRIPT_NAME: '/below', PATH_INFO: info });
  }
  await serving.close();
});

test.each([{ format: 'text' }, { text: true }] as const)('%j responds with text', async (options) => {
  const [type, body] = await show(options, 'text/html');
  expect(type).toBe('text/plain; charset=utf-8');
  expect(body).toMatch(/^QUERY_STRING: c=<d>$/m);
});
