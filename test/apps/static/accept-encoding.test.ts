/** Accept-Encoding: which encodings a client accepts, by weight. */
import { expect, test } from 'vitest';
import { acceptedEncodings } from '../../../src/apps/static/accept-encoding.ts';

test.each<[string | undefined, string[]]>([
  [undefined, []],
  ['', []],
  ['gzip', ['gzip']],
  ['gzip, br', ['br', 'gzip']],
  ['br;q=0.5, gzip;q=0.8', ['gzip', 'br']],
  ['BR , X-GZIP', ['br', 'gzip']],
  ['*', ['br', 'gzip']],
  ['*;q=0, gzip', ['gzip']],
  ['br;q=0, *', ['gzip']],
  ['br;q=0', []],
  ['br;q=0.000, gzip;q=0.001', ['gzip']],
  ['identity, br;q=0.9, gzip', ['gzip']],
  ['identity;q=0, gzip;q=0.1', ['gzip']],
  ['br;q=2, gzip;q=-1', []],
  ['br; q=1.0 ;x=y, gzip ;Q=0.5', ['br', 'gzip']],
  ['zstd, deflate', []],
  [',,;q=1,', []],
])('%s', (header, expected) => {
  expect(acceptedEncodings(header, ['br', 'gzip'])).toEqual(expected);
});
