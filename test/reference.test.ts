/** docs/reference.md is what `npm run docs` makes of the declarations now. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { REFERENCE, referencePage } from '../scripts/reference.ts';

test('docs/reference.md is up to date: npm run docs', async () => {
  expect(readFileSync(REFERENCE, 'utf8')).toBe(await referencePage());
});
