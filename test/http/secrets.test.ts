/** What has a secret's name is not shown; what has not, is. */
import { expect, test } from 'vitest';
import { isSecretName, shownValue, withoutSecretLiterals } from '../../src/http/secrets.ts';

test.each([
  'Authorization',
  'HTTP_AUTHORIZATION',
  'Proxy-Authorization',
  'Cookie',
  'X-Api-Key',
  'apiKey',
  'X-Auth-Token',
  'DB_PASSWORD',
  'PHP_AUTH_PW',
  'client_secret',
  'password',
  'X-CSRF-Token',
  'SENTRY_DSN',
])('%s is a secret', (name) => {
  expect(isSecretName(name)).toBe(true);
  expect(shownValue(name, 'hunter2')).toBe('•••');
});

test.each(['Accept', 'author', 'compass', 'PATH_INFO', 'X-Request-Id', 'keyboard', 'Host'])('%s is none', (name) => {
  expect(shownValue(name, 'value')).toBe('value');
});

test('a URL is shown without its secrets', () => {
  expect(shownValue('url', '/a?page=2&access_token=abc;sid=9&%70assword=x#t')).toBe(
    '/a?page=2&access_token=•••;sid=•••&%70assword=•••#t',
  );
  expect(shownValue('QUERY_STRING', 'token=abc&b=c')).toBe('token=•••&b=c');
  expect(shownValue('Referer', 'https://me:abc@host/')).toBe('https://me:•••@host/');
});

test('so is a line of code', () => {
  expect(withoutSecretLiterals(`login({ user: 'me', "password": "a\\"b", apiKey = \`k\` }) // 'rest'`)).toBe(
    `login({ user: 'me', "password": "•••", apiKey = \`•••\` }) // 'rest'`,
  );
});
