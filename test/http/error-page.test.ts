import { symlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ConfigError, ErrorList } from '../../src/errors.ts';
import { errorPage } from '../../src/http/error-page/error-page.ts';
import { temporaryDirectory } from '../helpers/directory.ts';
import { beforeSuite } from '../helpers/programs/lifetime.ts';

const title = 'It does not load';

/** The text that a reader of the HTML sees. */
const textOf = (page: string): string => page.replace(/<[^<>]*>/g, '');

test('shows message, place and the surrounding lines of each error of a list', async () => {
  const directory = temporaryDirectory({ 'a.ini': '[app:main]\nuse = nothing\n', 'b.ini': '\n\nport = many\n' });
  const error = (file: string, line: number, message: string) =>
    new ConfigError('PASTER_TEST', message, { location: { file: join(directory, file), line, column: 1 } });
  const page = await errorPage(new ErrorList([error('a.ini', 2, 'no nothing'), error('b.ini', 3, 'too many')]), {
    title,
  });
  expect(page).toMatch(new RegExp(`<title>.+ - ${title}</title>`));
  for (const text of ['no nothing', 'too many', 'use = nothing', 'port = many', 'a.ini', 'b.ini']) {
    expect(textOf(page)).toContain(text);
  }
});

test('hides secrets in an error, its properties, its causes and the process', async () => {
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
  // Otherwise the page would show this file too.
  for (const error of [thrown, cause, cause.cause]) error.stack = '';
  for (const error of [thrown, cause, 'text with https://me:eight-secret@host']) {
    const page = await errorPage(error, { title });
    expect(page).not.toMatch(/\w+-secret/);
  }
  expect(textOf(await errorPage(thrown, { title }))).toContain('port = 80');
  delete process.env['PASTER_TEST_SECRET'];
});

test('a message cannot inject HTML, not even one that looks like a stack', async () => {
  const bad = '"><img src=x onerror=alert(1)>';
  const error = new Error(`${bad}\n    at ${bad} (/tmp/${bad}:1:1)\n    at "onmouseover="alert(2)" (/x.js:1:1)`);
  const page = await errorPage(error, { title });
  expect(page).not.toContain('<img');
  expect(page).not.toMatch(/=""\s*onmouseover=/);
  expect(page).toContain('&lt;img');
});

describe('the page shows no file because of what an error says', () => {
  // The page also shows this file, so it must not contain this text.
  const SOURCE = ['the', 'source'].join('_');
  let [directory, outside] = ['', ''];
  let app = '';
  beforeSuite(async () => {
    directory = temporaryDirectory({
      'package.json': '{}',
      'app.js': `first\n${SOURCE}();\nlast\n`,
      '.env.js': `\n${SOURCE}`,
      '.git/hook.js': `\n${SOURCE}`,
      'notes.txt': `\n${SOURCE}`,
      'config.json': `{ "a": "${SOURCE}" }`,
      'node_modules/a/index.js': `\n${SOURCE}`,
    });
    outside = temporaryDirectory({ 'app.js': `\n${SOURCE}\n` });
    symlinkSync(join(outside, 'app.js'), join(directory, 'link.js'));
    symlinkSync(join(directory, 'notes.txt'), join(directory, 'text.js'));
    app = at(join(directory, 'app.js'));
  });
  const at = (file: string): string => `    at handler (${file}:2:1)`;
  const shown = async (error: unknown): Promise<boolean> => {
    return (await errorPage(error, { title, directory })).includes(SOURCE);
  };
  /** An error with a stack as if the program had a call site there. */
  const called = (frame: string): Error => Object.assign(new Error('bad'), { stack: `Error: bad\n${frame}` });

  test('but it shows the file of a call site', async () => {
    expect(await shown(called(app))).toBe(true);
    expect(await shown(new Error('outer', { cause: called(app) }))).toBe(true);
    expect(await shown(called(at(`file://${join(directory, 'app.js')}`)))).toBe(true);
  });

  test.each<[string, () => unknown]>([
    ['message', () => new Error(`bad\n${app}`)],
    ['message of one line', () => new Error(app)],
    ['message, changed later', () => changed(new Error('bad'), { message: `worse\n${app}` })],
    ['message, shortened later', () => changed(new Error(`bad\n${app}\nmore`), { message: 'bad' })],
    ['name', () => Object.assign(new Error('bad'), { name: `Bad\n${app}` })],
    ['name, changed later', () => changed(new Error('bad'), { name: `Bad\n${app}` })],
    ['name and message', () => Object.assign(new Error(`a\n${app}`), { name: `Bad\n${app}` })],
    ['empty message and name', () => Object.assign(new Error(''), { name: `\n${app}` })],
    ['cause', () => new Error('bad', { cause: new Error(`worse\n${app}`) })],
    ['errors', () => new AggregateError([new Error(app), called(app)], `several\n${app}`)],
    ['thrown text', () => `bad\n${app}`],
    ['stack without frames', () => Object.assign(new Error('bad'), { stack: app })],
    ['stack that begins with another message', () => Object.assign(new Error('bad'), { stack: `worse\n${app}` })],
    ['stack that is not text', () => Object.assign(new Error('bad'), { stack: [app] })],
  ])('in its %s', async (_where, make) => {
    expect(await shown(make())).toBe(false);
  });

  test.each([
    ...['.env.js', '.git/hook.js', 'notes.txt', 'config.json', 'node_modules/a/index.js', 'link.js', 'text.js'],
  ])('not of a call site in %s', async (file) => {
    expect(await shown(called(at(`${directory}/${file}`)))).toBe(false);
  });

  test('not of a call site in another directory', async () => {
    expect(await shown(called(at(`${outside}/app.js`)))).toBe(false);
    expect(await shown(called(at(`${directory}/../${basename(outside)}/app.js`)))).toBe(false);
  });

  function changed(error: Error, properties: object): Error {
    // V8 creates the text when it is first read.
    expect(error.stack).toContain('Error');
    return Object.assign(error, properties);
  }
});

test('files of variables and secrets with several lines are not shown', async () => {
  const directory = temporaryDirectory({
    '.env': 'A=the-secret\nB\n',
    'a.ini':
      '[a]\nsecrets =\n  the-secret\n# of two lines\n\n  the-secret\nbad\nusers =\n  joe:$2y$04$B36p09qNVLzXWrpHutOnG.89Xf7rbeortJb94hAy1WdDQXWfW0/xq\n',
  });
  for (const [file, line] of [
    ['.env', 2],
    ['a.ini', 7],
  ] as const) {
    const location = { file: join(directory, file), line, column: 1 };
    const page = await errorPage(new ConfigError('PASTER_TEST', 'no', { location }), { title });
    expect(page).not.toMatch(/the-secret|B36p09/);
    expect(page).toContain(`${file}:${line}`);
  }
});

test('its Content-Security-Policy allows only its own scripts', async () => {
  const page = await errorPage(new Error('bad'), { title, id: '1' });
  const [policy = '', nonce = ''] =
    /<meta http-equiv="content-security-policy" content="[^"]*'nonce-([^']+)'[^"]*">/.exec(page) ?? [];
  expect(policy).toContain("default-src 'none'");
  const scripts = page.match(/<script\b[^>]*>/g) ?? [];
  expect(scripts).toHaveLength(1);
  for (const script of scripts) expect(script).toContain(`nonce="${nonce}"`);
  expect(page).not.toMatch(/ on[a-z]+="/);
});

test('loads nothing from other URLs', async () => {
  const error = Object.assign(new Error('bad'), { stack: '' });
  const page = await errorPage(error, { title, id: '1' });
  expect(page.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(
    /(?:src|href)="(?!data:)|@import|url\((?!data:)|https?:/,
  );
  expect(page).toContain('location.reload()');
  expect(page).toContain('prefers-color-scheme: dark');
  expect(await errorPage(error, { title })).not.toContain('location.reload()');
});
