import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadApp } from 'paster';

const root = fileURLToPath(new URL('..', import.meta.url));
let server;

before(async () => {
  const app = await loadApp('config:etc/develop.ini', { relativeTo: root });
  server = createServer(app).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
});

after(() => server.close());

test('greets', async () => {
  const response = await fetch(`http://127.0.0.1:${server.address().port}/`);
  assert.equal(response.status, 200);
  assert.match(await response.text(), /^Hello/);
});

test('knows no other page', async () => {
  const response = await fetch(`http://127.0.0.1:${server.address().port}/nothing`);
  assert.equal(response.status, 404);
});
