import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ConfigError, ErrorList } from '../../src/errors.ts';
import { errorPage } from '../../src/http/error-page.ts';
import { temporaryDirectory } from '../helpers/directory.ts';

const title = 'It does not load';

test('shows message, place and the lines around it, of each error of a list', async () => {
  const directory = temporaryDirectory({ 'a.ini': '[app:main]\nuse = nothing\n', 'b.ini': '\n\nport = many\n' });
  const error = (file: string, line: number, message: string) =>
    new ConfigError('PASTER_TEST', message, { location: { file: join(directory, file), line, column: 1 } });
  const page = await errorPage(new ErrorList([error('a.ini', 2, 'no nothing'), error('b.ini', 3, 'too many')]), {
    title,
  });
  expect(page).toContain(`<title>${title}</title>`);
  for (const text of ['no nothing', 'too many', 'use = nothing', 'port = many', 'a.ini', 'b.ini']) {
    expect(page).toContain(text);
  }
});

test('what hangs on an error, its causes and its process stays hidden', async () => {
  const directory = temporaryDirectory({
    'a.ini':
      '[DEFAULT]\nsession_secret = one-secret\ndb = postgres://me:two-secret@host/db\nAPI_KEY: three-secret\nbad\nport = 80\n',
  });
  process.env['PASTER_TEST_SECRET'] = 'four-secret';
  const cause = Object.assign(new Error('cannot reach redis://:five-secret@host'), {
    headers: { cookie: 'six-secret' },
    cause: Object.assign(new Error('deep'), { token: 'seven-secret' }),
  });
  const location = { file: join(directory, 'a.ini'), line: 5, column: 1 };
  const thrown = new ConfigError('PASTER_TEST', cause.message, { location, cause });
  // This file would be shown too.
  for (const error of [thrown, cause, cause.cause]) error.stack = '';
  for (const error of [thrown, cause, 'text with https://me:eight-secret@host']) {
    const page = await errorPage(error, { title });
    expect(page).not.toMatch(/\w+-secret/);
  }
  expect(await errorPage(thrown, { title })).toContain('port = 80');
  delete process.env['PASTER_TEST_SECRET'];
});

test('a message cannot become part of the page, not even one that looks like a stack', async () => {
  const bad = '"><img src=x onerror=alert(1)>';
  const error = new Error(`${bad}\n    at ${bad} (/tmp/${bad}:1:1)\n    at "onmouseover="alert(2)" (/x.js:1:1)`);
  const page = await errorPage(error, { title });
  expect(page).not.toContain('<img');
  expect(page).not.toMatch(/=""\s*onmouseover=/);
  expect(page).toContain('&lt;img');
});

test('loads nothing from anywhere', async () => {
  const error = Object.assign(new Error('bad'), { stack: '' });
  const page = await errorPage(error, { title, id: '1' });
  expect(page.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(
    /(?:src|href)="(?!vscode:)|@import|url\((?!data:)|https?:/,
  );
  expect(page).toContain('location.reload()');
  expect(page).toContain('prefers-color-scheme: dark');
  expect(await errorPage(error, { title })).not.toContain('location.reload()');
});
