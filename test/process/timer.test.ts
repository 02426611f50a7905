/** Time limits for what a process waits for. */
import { expect, test } from 'vitest';
import { isDoneWithin } from '../../src/timer.ts';

const countTimers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;

test('the timer of a limit is set before the limited work begins', async () => {
  const before = countTimers();
  let within = 0;
  const work = async (): Promise<void> => {
    within = countTimers();
  };
  expect(await isDoneWithin(60, work)).toBe(true);
  expect([within, countTimers()]).toEqual([before + 1, before]);
  expect(await isDoneWithin(0.001, () => new Promise(() => {}))).toBe(false);
  await expect(isDoneWithin(60, () => Promise.reject(new Error('own')))).rejects.toThrow('own');
});
