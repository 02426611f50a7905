/** The licenses of packages that are installed with paster: all are listed, and none has more conditions than paster's own. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { FILE, licenseList, PERMISSIVE, thirdParties } from '../scripts/third-party-licenses.ts';

test('every dependency has a permitted license', () => {
  const all = thirdParties();
  expect(all.length).toBeGreaterThan(20);
  expect(all.filter(({ license }) => !PERMISSIVE.includes(license))).toEqual([]);
});

test('the list matches package-lock.json (npm run licenses writes it)', () => {
  expect(readFileSync(FILE, 'utf8')).toBe(licenseList());
});
