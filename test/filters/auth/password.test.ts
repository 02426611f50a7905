/** Hashes of passwords, and comparisons that must not leak a secret byte by byte. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { equalTexts, isPasswordHash, verifyPassword } from '../../../src/filters/auth/password.ts';
import { ROOT } from '../../helpers/programs/program.ts';

test.each([
  ['', '', true],
  ['a', 'a', true],
  ['a', 'b', false],
  ['a', 'aa', false],
  ['', 'a', false],
  ['é', 'é', true],
  ['é', 'e\u0301', false],
])('whether %j equals %j: %j', (one, other, same) => {
  expect(equalTexts(one, other)).toBe(same);
});

test('no secret is compared by ===, which stops at the first difference', () => {
  const directory = join(ROOT, 'src/filters/auth');
  const comparisons = readdirSync(directory).flatMap((file) =>
    readFileSync(join(directory, file), 'utf8')
      .split('\n')
      .filter((line) => /(?:hash|digest|password|response|expected|signature|remembered)\w*\)? ?[!=]==/.test(line))
      // Whether a value exists, or its length, is not secret.
      .filter((line) => !/[!=]== (?:undefined|''|hash\.length)/.test(line) && !/\.length [!=]==/.test(line)),
  );
  expect(comparisons).toEqual([]);
  // A measured time is too coarse to show this, so the test reads the source.
  expect(String(equalTexts)).toMatch(/length && \S*timingSafeEqual\S*\(left, right\);?\s*}$/);
});

// Passwords in other scripts, hashed by openssl passwd -apr1 and by htpasswd -nbB.
test.each([
  ['p\u00e4ssw\u00f6rd', '$apr1$abcdefgh$030j6I3f1zNCF9tihqdd11', true],
  ['p\u00e4ssw\u00f6rd', '$2y$05$5I2ypxFyEkzN478hej7lGe0GZCs5Gb74gdibTcPKL7JYh9MNeT456', true],
  ['passw\u00f6rd', '$apr1$abcdefgh$030j6I3f1zNCF9tihqdd11', false],
])('whether the password %s matches %s: %j', async (password, hash, isRight) => {
  expect(await verifyPassword(password, hash)).toBe(isRight);
});

test.each([
  '$2y$31$Lw4zryHn1/A0YKLMKtVNOOqAkvU7CxDgHyCgWGQxH9CQqiiI/c4La',
  '$scrypt$ln=25,r=8,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdHNhbHQ',
  '$scrypt$ln=15,r=99,p=99$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdHNhbHQ',
  '$scrypt$ln=15,r=0,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdHNhbHQ',
  '$apr1$$h9FWgUz3n9YxylKLlR5SQ/',
  '{SHA}x',
  'secret',
  '',
])('%j is refused as a hash: it is none, or costs too much to compute', (hash) => {
  expect(isPasswordHash(hash)).toBe(false);
});
