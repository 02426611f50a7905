import { describe, expect, test } from 'vitest';
import { failsMoreOften } from '../../../src/process/supervisor/canary.ts';

const MARGIN = 0.02;

describe('a new version fails more often than the old one', () => {
  test.each([
    ['20 % against none', { requests: 60, failed: 12 }, { requests: 60, failed: 0 }, true],
    ['20 % against none, with more old workers', { requests: 25, failed: 5 }, { requests: 100, failed: 0 }, true],
    ['20 % against 5 %', { requests: 100, failed: 20 }, { requests: 200, failed: 10 }, true],
    ['all requests fail', { requests: 20, failed: 20 }, { requests: 20, failed: 0 }, true],
    [
      'all requests fail, while the old version gets none',
      { requests: 20, failed: 20 },
      { requests: 0, failed: 0 },
      true,
    ],
    ['too few requests to decide', { requests: 19, failed: 19 }, { requests: 200, failed: 0 }, false],
    ['one request fails', { requests: 100, failed: 1 }, { requests: 100, failed: 0 }, false],
    ['both versions fail equally often', { requests: 100, failed: 50 }, { requests: 100, failed: 50 }, false],
    ['within the margin', { requests: 100_000, failed: 1900 }, { requests: 100_000, failed: 0 }, false],
    ['the difference may be chance', { requests: 40, failed: 4 }, { requests: 40, failed: 2 }, false],
    ['nothing fails', { requests: 1000, failed: 0 }, { requests: 1000, failed: 0 }, false],
  ])('%s', (_what, canary, old, expected) => {
    expect(failsMoreOften(canary, old, MARGIN)).toBe(expected);
  });
});
