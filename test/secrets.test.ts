/** What has a secret's name is not shown; what has not, is. */
import { expect, test } from 'vitest';
import {
  concealed,
  isSecretName,
  isSecretSetting,
  shownSetting,
  shownValue,
  withoutCredentials,
  withoutSecretLiterals,
} from '../src/secrets.ts';

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
  expect(shownValue(name, 'hunter2')).toBe('********');
});

test.each(['Accept', 'author', 'compass', 'PATH_INFO', 'X-Request-Id', 'keyboard', 'Host'])('%s is none', (name) => {
  expect(shownValue(name, 'value')).toBe('value');
});

test('a URL is shown without its secrets', () => {
  expect(shownValue('url', '/a?page=2&access_token=abc;sid=9&%70assword=x#t')).toBe(
    '/a?page=2&access_token=********;sid=********&%70assword=********#t',
  );
  expect(shownValue('QUERY_STRING', 'token=abc&b=c')).toBe('token=********&b=c');
  expect(shownValue('Referer', 'https://me:abc@host/')).toBe('https://me:********@host/');
});

test('so is a line of code', () => {
  expect(withoutSecretLiterals(`login({ user: 'me', "password": "a\\"b", apiKey = \`k\` }) // 'rest'`)).toBe(
    `login({ user: 'me', "password": "********", apiKey = \`********\` }) // 'rest'`,
  );
});

test.each([
  'password',
  'db_password',
  'smtp_pass',
  'PGPASSWORD',
  'passphrase',
  'secret',
  'session_secret',
  'beaker.session.secret',
  'token',
  'access_token',
  'api_key',
  'apiKey',
  'private_key',
  'aws_secret_access_key',
  'dsn',
  'sentry_dsn',
  'credentials',
  'set pass',
  'session_key',
  'cookieKeys',
  'authorization',
])('the setting %s is a secret', (key) => expect(isSecretSetting(key)).toBe(true));

test.each([
  'author',
  'auth_realm',
  'cookie_name',
  'session_timeout',
  'max_tokens',
  'token_header',
  'password_file',
  'tokenizer',
  'secret_length',
  'ssl_key',
  'key',
  'compass',
  'bypass',
  'passenger',
  'use_credentials',
  'host',
  'tokenExpiry',
  '/token',
  '/password/reset',
  'http://secret.example/',
  'get password',
])('the setting %s is none', (key) => expect(isSecretSetting(key)).toBe(false));

test.each([
  ['postgres://u:p@host/db', 'postgres://u:********@host/db'],
  ['postgres://u:p/w?#@host/db', 'postgres://u:********@host/db'],
  ['postgres://u:p@ss@host/db', 'postgres://u:********@host/db'],
  ['redis://:12345@host:6379/0', 'redis://:********@host:6379/0'],
  ['a://u:p@h, b://v:q@i and c', 'a://u:********@h, b://v:********@i and c'],
  ['http://host:8080/me@example.org', 'http://host:8080/me@example.org'],
  ['http://host/x:y@z', 'http://host/x:y@z'],
  ['mailto:me@example.org', 'mailto:me@example.org'],
])('%s', (url, shown) => {
  expect(withoutCredentials(url)).toBe(shown);
});

test.each([
  ['host=db user=me password=p1 dbname=x', 'host=db user=me password=******** dbname=x'],
  ['Server=db;User=me;Password=p1;Database=x', 'Server=db;User=me;Password=********;Database=x'],
  ['a = b and c=d', 'a = b and c=d'],
])('a connection: %s', (value, shown) => {
  expect(shownSetting('connection', value)).toBe(shown);
});

test('a text of megabytes is no work', () => {
  const many = 'a://b:'.repeat(500_000);
  expect(withoutCredentials(many)).toBe(many);
  expect(withoutSecretLiterals(`${'a'.repeat(3_000_000)}"`)).toHaveLength(3_000_001);
});

test('known secrets are found as they are and as URLs have them, the longer one first', () => {
  expect(concealed('a p@ss/word b p%40ss%2Fword c p@ss/word2', ['p@ss/word', 'p@ss/word2'])).toBe(
    'a ******** b ******** c ********',
  );
});
