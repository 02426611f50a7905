/** docs/reference.md and docs/error-codes.md equal what `npm run docs` generates from the sources. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ERROR_CODES, errorCodesPage } from '../../scripts/error-codes.ts';
import { REFERENCE, referencePage } from '../../scripts/reference.ts';

test('docs/reference.md is up to date: npm run docs', async () => {
  expect(readFileSync(REFERENCE, 'utf8')).toBe(await referencePage());
});

test('docs/error-codes.md is up to date: npm run docs', () => {
  expect(readFileSync(ERROR_CODES, 'utf8')).toBe(errorCodesPage());
});
