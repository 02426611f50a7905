/** A short run of the fuzzer (`npm run fuzz` is the long one), with another seed each time, which a failure prints. */
import { expect, test } from 'vitest';
import { fuzz, TARGETS } from './fuzz.ts';
import { Random } from './random.ts';

/** While these run, another process replaces files without a pause: a case takes twenty times as long as in the others. */
const SLOW = ['files', 'swaps'];

test.each(TARGETS)('$name', async (target) => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const count = SLOW.includes(target.name) ? 120 : 240;
  expect(await fuzz(target, { seed, count })).toBe(count);
});

test('a seed repeats its choices', () => {
  const choices = (seed: number): string => {
    const random = new Random(seed);
    return JSON.stringify([random.hostileText(), random.split(random.bytes(50)), random.mutate(Buffer.alloc(20))]);
  };
  expect(choices(7)).toBe(choices(7));
  expect(choices(7)).not.toBe(choices(8));
});
