import { describe, expect, test } from 'vitest';
import { failsMoreOften } from '../../../src/process/supervisor/canary.ts';

const MARGIN = 0.02;

describe('whether a new version fails more often than the old one', () => {
  test.each([
    ['20 % against none', { requests: 60, failed: 12 }, { requests: 60, failed: 0 }, true],
    ['20 % against none, with more old workers', { requests: 25, failed: 5 }, { requests: 100, failed: 0 }, true],
    ['20 % against 5 %', { requests: 100, failed: 20 }, { requests: 200, failed: 10 }, true],
    ['all of them', { requests: 20, failed: 20 }, { requests: 20, failed: 0 }, true],
    [
      'all of them, while the old version gets no request',
      { requests: 20, failed: 20 },
      { requests: 0, failed: 0 },
      true,
    ],
    ['too few requests', { requests: 19, failed: 19 }, { requests: 200, failed: 0 }, false],
    ['one of them', { requests: 100, failed: 1 }, { requests: 100, failed: 0 }, false],
    ['both fail', { requests: 100, failed: 50 }, { requests: 100, failed: 50 }, false],
    ['within the margin', { requests: 100_000, failed: 1900 }, { requests: 100_000, failed: 0 }, false],
    ['by chance', { requests: 40, failed: 4 }, { requests: 40, failed: 2 }, false],
    ['nothing fails', { requests: 1000, failed: 0 }, { requests: 1000, failed: 0 }, false],
  ])('%s', (_what, canary, old, expected) => {
    expect(failsMoreOften(canary, old, MARGIN)).toBe(expected);
  });
});
