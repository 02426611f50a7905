/** docs/reference.md and docs/error-codes.md are what `npm run docs` makes of the sources now. */
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
