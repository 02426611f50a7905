/** What `printdebug` prints of a request and its response, and what it leaves out. */
import { expect, test } from 'vitest';
import { printDebug } from '../../../src/filters/debugging/printdebug.ts';
import { ask } from '../../helpers/requests/ask.ts';
import { Lines, serveFiltered } from '../serve-filter.ts';

test('prints request and head without secrets or control characters, and changes neither', async () => {
  const lines = new Lines();
  const { url } = await serveFiltered(printDebug(lines.write), (_req, res) => {
    res.setHeader('x-set', 'c');
    res.writeHead(201, { 'x-a': 'b', 'set-cookie': ['sid=hunter2', 'b=hunter2'] });
    res.end('body');
  });
  const { status, body } = await ask(url, '/p?token=hunter2', {
    headers: { host: 'h', authorization: 'hunter2', 'x-b': 'tab\there' },
  });
  expect([status, body.toString()]).toEqual([201, 'body']);
  await lines.atLeast(9);
  const text = lines.all.join('\n');
  expect(text).not.toContain('hunter2');
  expect(lines.all.slice(0, 4)).toEqual([
    '> 1 GET /p?token=******** HTTP/1.1',
    '> 1 host: h',
    '> 1 authorization: ********',
    '> 1 x-b: tab\\there',
  ]);
  expect(text).toMatch(/^< 1 201 Created$/m);
  expect(text).toMatch(/^< 1 x-set: c$/m);
  expect(text).toMatch(/^< 1 set-cookie: \*{8}$/m);
  expect(text).toMatch(/^< 1 \([\d.]+ ms\)$/m);
});
