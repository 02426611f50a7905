/** Basic authentication: the supported hashes, who is admitted, and attempts to bypass it. */
import { scryptSync } from 'node:crypto';
import { utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { runHere } from '../../helpers/programs/command.ts';
import { ask } from '../../helpers/requests/ask.ts';
import { mirror, serveThrough } from '../serve.ts';
import { askUpgrade, upgrading } from '../servers/upgrade.ts';

const SALT = Buffer.from('salt-of-16-bytes');
const SCRYPT = `$scrypt$ln=10,r=8,p=1$${SALT.toString('base64').replace(/=+$/, '')}$${scryptSync('secret', SALT, 32, { N: 1024 }).toString('base64').replace(/=+$/, '')}`;

// Made by htpasswd -nbB, -nbm and -nbs of Apache 2.4, for the password "secret".
const HASHES = {
  bcrypt: '$2y$05$Lw4zryHn1/A0YKLMKtVNOOqAkvU7CxDgHyCgWGQxH9CQqiiI/c4La',
  apr1: '$apr1$qFPDKYz/$l5Vy2xuMsH7zfom2evSsJ1',
  sha: '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=',
  scrypt: SCRYPT,
};

function basic(user: string, password: string): { authorization: string } {
  return { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` };
}

const USERS = `users =\n  joe:${HASHES.sha}\n  eve:${HASHES.scrypt}\n`;

describe('hashes', () => {
  test.each(Object.entries(HASHES))('%s is supported', async (_name, hash) => {
    const { url } = await serveThrough([`auth_basic\nusers = joe:${hash}`], mirror);
    expect((await ask(url, '/', { headers: basic('joe', 'secret') })).status).toBe(200);
    // Without computing the hash: the password has been verified.
    expect((await ask(url, '/', { headers: basic('joe', 'secret') })).status).toBe(200);
    expect((await ask(url, '/', { headers: basic('joe', 'Secret') })).status).toBe(401);
    expect((await ask(url, '/', { headers: basic('joe', '') })).status).toBe(401);
  });

  test.each([
    ['joe:secret', 'unknown kind of password hash'],
    ['joe:$scrypt$ln=30,r=8,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdHNhbHQ', 'unknown kind of password hash'],
    ['joe', 'does not begin with "name:"'],
    [`joe:${HASHES.sha}\n  joe:${HASHES.sha}`, 'given twice'],
  ])('%j is an error, and the message does not quote the password', async (users, message) => {
    const error = await serveThrough([`auth_basic\nusers =\n  ${users}`], mirror).catch(String);
    expect(error).toContain(message);
    expect(error).not.toContain('secret');
  });

  test('without users the application does not load', async () => {
    await expect(serveThrough(['auth_basic'], mirror)).rejects.toMatchObject({ code: 'PASTER_USERS' });
    await expect(serveThrough(['auth_basic\nusers_file = none'], mirror)).rejects.toMatchObject({
      message: expect.stringContaining('there is no file'),
      location: { line: 3 },
    });
  });
});

test.each([
  ['auth_basic', 'joe:secret', 'users_file, line 1: joe: unknown kind of password hash'],
  ['auth_digest\nrealm = r', 'joe:other:0', 'users_file, line 1: joe: the realm is "other"'],
])('check finds the error in the users of %s', async (filter, line, message) => {
  const cwd = temporaryDirectory({
    'x.ini': `[app:main]\nuse = npm:paster#test\nfilter-with = f\n[filter:f]\nuse = npm:paster#${filter}\nusers_file = users\n`,
    users: `${line}\n`,
  });
  const { status, stdout } = await runHere(['check', 'x.ini'], { cwd });
  expect(stdout).toContain(message);
  expect(stdout).not.toContain('secret');
  expect(status).toBe(2);
});

test('a request without a password gets 401 and the realm', async () => {
  const { url } = await serveThrough([`auth_basic\nrealm = Staff only\n${USERS}`], mirror);
  const { status, headers, body } = await ask(url, '/');
  expect(status).toBe(401);
  expect(headers['www-authenticate']).toBe('Basic realm="Staff only", charset="UTF-8"');
  expect(headers['cache-control']).toBe('no-store');
  expect(body.toString()).toBe('Unauthorized\n');
});

test('the application learns the user', async () => {
  const { url } = await serveThrough([`auth_basic\n${USERS}`], mirror);
  const { body } = await ask(url, '/', { headers: basic('eve', 'secret') });
  expect(JSON.parse(body.toString())).toMatchObject({ remoteUser: 'eve', authType: 'Basic' });
});

test.each([
  ['another scheme', { authorization: 'Bearer joe:secret' }],
  ['invalid base64', { authorization: 'Basic joe:secret' }],
  ['two credentials', { authorization: `${basic('joe', 'secret').authorization}, Basic eDp5` }],
  ['no colon', { authorization: `Basic ${Buffer.from('joesecret').toString('base64')}` }],
  ['no name', basic('', 'secret')],
  ['a property name of Object', basic('constructor', 'secret')],
  ['a name in capitals', basic('JOE', 'secret')],
  ['a NUL', basic('joe', 'secret\0')],
  ['the hash as a password', basic('joe', HASHES.sha)],
  ['a user name in a header of a proxy', { 'x-remote-user': 'joe', remote_user: 'joe' }],
])('refuses %s', async (_what, headers) => {
  const { url } = await serveThrough([`auth_basic\n${USERS}`], mirror);
  expect((await ask(url, '/', { headers })).status).toBe(401);
});

test.each(['/', '//', '/%2e%2e/', '*', 'http://other/', '/ADMIN'])(
  'guards every form of the target: %s',
  async (path) => {
    const { url } = await serveThrough([`auth_basic\n${USERS}`], mirror);
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'PROPFIND']) {
      expect((await ask(url, path, { method })).status).toBe(401);
    }
  },
);

test('an upgrade needs a password too', async () => {
  const { url } = await serveThrough([`auth_basic\n${USERS}`], upgrading(mirror));
  expect(await askUpgrade(url)).toEqual({ status: 401 });
  expect(await askUpgrade(url, basic('joe', 'wrong'))).toEqual({ status: 401 });
  const { status, seen } = await askUpgrade(url, basic('joe', 'secret'));
  expect(status).toBe(101);
  expect(seen).toMatchObject({ remoteUser: 'joe' });
});

test('reads the file again when it changes, and then refuses an old password', async () => {
  const files = { htpasswd: `# staff\njoe:${HASHES.sha}\n` };
  const { url, directory } = await serveThrough(['auth_basic\nusers_file = htpasswd'], mirror, { files });
  expect((await ask(url, '/', { headers: basic('joe', 'secret') })).status).toBe(200);
  const file = join(directory, 'htpasswd');
  writeFileSync(file, `eve:${HASHES.scrypt}\n`);
  utimesSync(file, 1, 1);
  expect((await ask(url, '/', { headers: basic('joe', 'secret') })).status).toBe(401);
  expect((await ask(url, '/', { headers: basic('eve', 'secret') })).status).toBe(200);
});
