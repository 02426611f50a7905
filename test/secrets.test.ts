/** Values whose names are those of secrets are hidden; others are shown. */
import { expect, test } from 'vitest';
import {
  concealed,
  isSecretName,
  isSecretSetting,
  shownSetting,
  shownValue,
  withoutSecretLiterals,
  withoutSecrets,
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

test.each(['Accept', 'author', 'compass', 'PATH_INFO', 'X-Request-Id', 'keyboard', 'Host'])(
  '%s is not a secret',
  (name) => {
    expect(shownValue(name, 'value')).toBe('value');
  },
);

test('secrets in a URL are masked', () => {
  expect(shownValue('url', '/a?page=2&access_token=abc;sid=9&%70assword=x#t')).toBe(
    '/a?page=2&access_token=********;sid=********&%70assword=********#t',
  );
  expect(shownValue('QUERY_STRING', 'token=abc&b=c')).toBe('token=********&b=c');
  expect(shownValue('Referer', 'https://me:abc@host/')).toBe('https://me:********@host/');
});

test('secrets in a line of code are masked', () => {
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
  'stripe_key',
  'ssh_key',
  'sendgrid_keys',
  'creds',
  'aws_creds',
  'basic_auth',
  'basicAuth',
  'jwt',
  'hmac',
  'webhook_hmac',
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
  'public_key',
  'publishable_key',
  'primary_key',
  'cache_key',
  'xmlhttp_key',
  'sort_keys',
  'client_key',
  'jwt_algorithm',
  'hmac_header',
  'auth',
  'require_auth',
  'monkey',
  'hotkey',
])('the setting %s is not a secret', (key) => expect(isSecretSetting(key)).toBe(false));

test.each([
  ['postgres://u:p@host/db', 'postgres://u:********@host/db'],
  ['postgres://u:p/w?#@host/db', 'postgres://u:********@host/db'],
  ['postgres://u:p@ss@host/db', 'postgres://u:********@host/db'],
  ['redis://:12345@host:6379/0', 'redis://:********@host:6379/0'],
  ['a://u:p@h, b://v:q@i and c', 'a://u:********@h, b://v:********@i and c'],
  ['http://host:8080/me@example.org', 'http://host:8080/me@example.org'],
  ['http://host/x:y@z', 'http://host/x:y@z'],
  ['mailto:me@example.org', 'mailto:me@example.org'],
])('passwords in URLs are masked: %s', (url, shown) => {
  expect(withoutSecrets(url)).toBe(shown);
});

test.each([
  ['host=db user=me password=p1 dbname=x', 'host=db user=me password=******** dbname=x'],
  ['Server=db;User=me;Password=p1;Database=x', 'Server=db;User=me;Password=********;Database=x'],
  ['a = b and c=d', 'a = b and c=d'],
])('passwords in a connection string are masked: %s', (value, shown) => {
  expect(shownSetting('connection', value)).toBe(shown);
});

test.each([
  // Split, so that secret scanners do not report them.
  ['Stripe', `sk_${'live'}_4eC39HqLyjWDarjtT1zdp7dc`],
  ['Stripe, restricted', `rk_${'live'}_4eC39HqLyjWDarjtT1zdp7dc`],
  ['GitHub', `ghp_${'0123456789abcdefghijABCDEFGHIJ012345'}`],
  ['GitHub, fine-grained', `github_pat_${'11ABCDEFG0123456789_abcdefghijklmnop'}`],
  ['GitLab', `glpat-${'ABCDEFGHIJ0123456789'}`],
  ['Slack', `xoxb-${'123456789012-abcdefghijkl'}`],
  ['AWS', `AKIA${'IOSFODNN7EXAMPLE'}`],
  ['Google', `AIza${'SyA-0123456789abcdefghijklmnopqrstu'}`],
  ['npm', `npm_${'0123456789abcdefghijABCDEFGHIJ012345'}`],
  ['SendGrid', `SG.${'abcdefghijklmnopqrstuv'}.${'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefg'}`],
  ['JWT', 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVPmB92K27uhbUJU1p1r'],
])('a token of %s is a secret under any name', (_whose, token) => {
  expect(withoutSecrets(`cannot log in (${token}), "${token}"`)).toBe('cannot log in (********), "********"');
  expect(shownSetting('anything', `a ${token}`)).toBe('a ********');
  expect(shownValue('x-anything', token)).toBe('********');
});

test('a private key is masked, and its line count is kept', () => {
  const key = '-----BEGIN RSA PRIVATE KEY-----\nMIIB\nQQ==\n-----END RSA PRIVATE KEY-----';
  expect(withoutSecrets(`a\n${key}\nb`)).toBe('a\n********\n\n\n\nb');
  expect(withoutSecrets('-----BEGIN PRIVATE KEY-----\\nMIIB')).toBe('********');
  const certificate = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----';
  expect(withoutSecrets(certificate)).toBe(certificate);
});

test.each([
  ['Authorization: Bearer abc123def', 'Authorization: Bearer ********'],
  ['Basic am9lOnNlY3JldA== was wrong', 'Basic ******** was wrong'],
  ['password: hunter2', 'password: ********'],
  ['login failed (user: joe, password: correct)', 'login failed (user: joe, password: ********)'],
  ['password: hunter2 is wrong', 'password: ******** is wrong'],
  ['error:password=p1', 'error:password=********'],
  ['password=p1 token=p2', 'password=******** token=********'],
  ['{"user":"joe","password":"p1"}', '{"user":"joe","password":"********"}'],
  ['https://abcdef@host/path', 'https://********@host/path'],
  ['git+https://abc:x-oauth-basic@host/', 'git+https://********:x-oauth-basic@host/'],
])('secrets in text are masked: %s', (text, shown) => expect(withoutSecrets(text)).toBe(shown));

test.each([
  'Basic authentication is not enough',
  'Bearer tokens are',
  'password: must have 8 characters',
  'token: required',
  'at check (/srv/reset-password.js:10:3)',
  'src/token.ts:12: unexpected token }',
  'TypeError: x is not a function',
  'https://host/@me, ssh://git@host/x, postgres://me@host/db',
  'monkey: 1, key=2, primary_key: id',
  'skip_list risk_live eyJ task-list-of-all-the-things-to-do',
])('%s: contains no secret', (text) => expect(withoutSecrets(text)).toBe(text));

// Nonlinear work would take minutes, longer than the time limit of a test.
test.each(
  [
    'eyJ-',
    'eyJa.',
    'SG.aaaaaaaaaaaaaaaaaaaa-',
    'a://b:',
    'https://',
    'https://a',
    'password:',
    'password=x"',
    'a=\'b="',
  ]
    .concat(['-----BEGIN PRIVATE KEY-----', '-----BEGIN A ', 'Bearer ', 'Basic a', 'a.', 'sk-', '@', 'a://b:@@@@@@@@'])
    .map((piece) => [piece]),
)('a megabyte of %j takes linear time', (piece) => {
  const text = piece.repeat(1_000_000 / piece.length);
  expect(withoutSecrets(text).length).toBeGreaterThan(0);
});

test('several megabytes take linear time', () => {
  const many = 'a://b:'.repeat(500_000);
  expect(withoutSecrets(many)).toBe(many);
  expect(withoutSecretLiterals(`${'a'.repeat(3_000_000)}"`)).toHaveLength(3_000_001);
});

test('known secrets are masked in plain and in URL-encoded form, the longer one first', () => {
  expect(concealed('a p@ss/word b p%40ss%2Fword c p@ss/word2', ['p@ss/word', 'p@ss/word2'])).toBe(
    'a ******** b ******** c ********',
  );
});
