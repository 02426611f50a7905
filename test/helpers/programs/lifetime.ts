/** When the things that a test has started end: with the test, or with the suite that started them for all of its tests. */
import { afterAll, beforeAll, onTestFinished } from 'vitest';

type End = () => unknown;

let suite: End[] | undefined;

/** Runs `end` when the test is over, or, if `beforeSuite` is running, when the suite is. */
export function whenOver(end: End): void {
  if (suite === undefined) onTestFinished(async () => void (await end()));
  else suite.push(end);
}

/**
 * Starts something before the tests of the surrounding suite; what it has started ends after them, the last first.
 *
 * @param limit milliseconds that it may take, if that is more than usual
 */
export function beforeSuite(start: () => Promise<void>, limit?: number): void {
  const ends: End[] = [];
  beforeAll(async () => {
    suite = ends;
    try {
      await start();
    } finally {
      suite = undefined;
    }
  }, limit);
  afterAll(async () => {
    for (const end of ends.reverse()) await end();
  });
}
