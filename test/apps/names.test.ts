/** The names by which Paste's users know the applications and composites. */
import { expect, test } from 'vitest';
import { loadApp } from '../../src/deploy/load.ts';
import { temporaryDirectory } from '../helpers/directory.ts';

test.each([
  ['composite', 'egg:Paste#urlmap', '/ = app'],
  ['composite', 'egg:paste#cascade', 'app1 = app\ncatch = 404'],
  [
    'app',
    'egg:Paste#proxy',
    'address = http://127.0.0.1:1/\nallowed_request_methods = GET\nsuppress_http_headers = cookie',
  ],
  ['app', 'egg:Paste#transparent_proxy', 'force_host = 127.0.0.1:1\nforce_scheme = http'],
  ['app', 'egg:Paste#test', ''],
  ['app', 'egg:Paste#test_slow', 'chunk_size = 4096\ndelay = 1'],
  ['app', 'egg:PasteScript#test', ''],
  ['app', 'npm:paster#health', 'timeout = 1'],
  ['app', 'npm:paster#redirect', 'to = /'],
])('[%s:main] use = %s', async (kind, use, settings) => {
  const ini = `[${kind}:main]\nuse = ${use}\n${settings}\n[app:app]\nuse = npm:paster#test\n`;
  const app = await loadApp('config:x.ini', { relativeTo: temporaryDirectory({ 'x.ini': ini }) });
  expect(app).toBeTypeOf('function');
  await app.close?.();
});
