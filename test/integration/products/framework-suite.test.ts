/** A part of Fastify's own test suite, run through the gateway; `npm run test:framework` runs all of it. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ONLINE } from '../../helpers/programs/installed.ts';
import { Program, ROOT } from '../../helpers/programs/program.ts';

const FILES = [
  'body-limit',
  'content-length',
  'genReqId',
  'internals/reply',
  'put',
  'reply-error',
  'reply-trailers',
  'stream.1',
];

test('Fastify’s tests pass through the gateway, except for the documented differences', async () => {
  const run = new Program(process.execPath, [join(ROOT, 'scripts/framework-suite/run.js'), '--here', ...FILES], {
    env: ONLINE,
  });
  const { status, stdout } = await run.finished();
  expect(stdout).not.toMatch(/not expected|expected to differ/);
  const [, passing, requests] = /: (\d+) pass on node:http\nthrough the gateway, (\d+) requests/.exec(stdout) ?? [];
  expect([Number(passing) > 150, Number(requests) > 100, status]).toEqual([true, true, 0]);
}, 240_000);
