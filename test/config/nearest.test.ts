/** The name that a mistyped one probably meant. */
import { expect, test } from 'vitest';
import { nearest } from '../../src/config/nearest.ts';

test.each([
  ['prot', ['port', 'socket'], 'port'],
  ['PORT', ['port'], 'port'],
  ['zzz', ['port', 'socket'], undefined],
  ['', ['a'], undefined],
])('nearest(%j, %j) is %j', (name, candidates, expected) => {
  expect(nearest(name, candidates)).toBe(expected);
});
