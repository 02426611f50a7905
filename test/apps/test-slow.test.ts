/** test_slow: reads an upload slowly, and counts its bytes. */
import { expect, test } from 'vitest';
import { makeTestSlow, slowUpload, testSlowSettings } from '../../src/apps/test-slow.ts';
import { httpBackend } from '../contract/backends/http-backend.ts';
import { eventually } from '../helpers/programs/program.ts';

test('reads an upload slowly, and counts its bytes', async () => {
  const serving = await httpBackend.start(slowUpload({ chunkSize: 10, delay: 0.01, progress: false }));
  const begun = performance.now();
  const { status, body } = await serving.request({ method: 'POST', body: ['x'.repeat(105), 'y'] });
  // It waits after each of 12 chunks; timers may fire up to a millisecond early.
  expect(performance.now() - begun).toBeGreaterThan(12 * 9);
  await serving.close();
  expect(status).toBe(200);
  expect(body.toString()).toContain('106 bytes');
});

test('shows a form if there is no upload', async () => {
  const serving = await httpBackend.start(slowUpload());
  const { body } = await serving.request();
  await serving.close();
  expect(body.toString()).toContain('enctype="multipart/form-data"');
});

test('has Paste’s defaults', () => {
  const result = testSlowSettings['~standard'].validate({});
  expect(result).toMatchObject({ value: { chunk_size: 4096, delay: 1, progress: true } });
  if ('value' in result) expect(makeTestSlow({}, result.value)).toBeTypeOf('function');
});

test('a client that leaves during the upload is no error', async () => {
  let hasBegun: () => void = () => {};
  const begun = new Promise<void>((resolve) => {
    hasBegun = resolve;
  });
  let isOver = false;
  const slow = slowUpload({ chunkSize: 1, delay: 0.01, progress: false });
  const serving = await httpBackend.start(async (req, res) => {
    req.once('data', () => hasBegun());
    try {
      await slow(req, res);
    } finally {
      isOver = true;
    }
  });
  await serving.request({ method: 'PUT', body: ['abc'], declaredLength: 10, abort: begun });
  await eventually(() => isOver);
  await serving.close();
  expect(serving.log).toEqual([]);
});
