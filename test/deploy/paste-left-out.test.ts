/** What Paste has and paster leaves out: said by the same words in an error and in docs/paste.md. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadApp } from '../../src/deploy/load.ts';
import { findLeftOut, PASTE_LEFT_OUT } from '../../src/deploy/paste-left-out.ts';
import { namesOfDistribution, PASTE_NAMES } from '../../src/deploy/paste-names.ts';
import { temporaryDirectory } from '../helpers/directory.ts';
import { ROOT } from '../helpers/program.ts';

const NAMES = PASTE_LEFT_OUT.flatMap((entry) => entry.names.map((name) => ({ name, ...entry })));

/** The applications, composites, filters and servers among the entry points of Paste 3.5.2, PasteScript 3.2.1, PasteDeploy 3.0.1. */
const DECLARED = {
  Paste:
    'auth_basic auth_cookie auth_digest auth_form auth_tkt cascade cgi cgitb config cowbell error_catcher errordocument ' +
    'evalerror flup_session grantip gzip http httpexceptions lint openid paste_session pkg_resources pony printdebug profile ' +
    'proxy recursive registry static test test_slow translogger transparent_proxy urlmap urlparser watch_threads wdg_validate',
  PasteScript:
    'cgi cherrypy flup_ajp_fork flup_ajp_thread flup_fcgi_fork flup_fcgi_thread flup_scgi_fork flup_scgi_thread test twisted ' +
    'wsgiutils',
  PasteDeploy: 'config prefix',
};

test.each(NAMES)('egg:$name', async ({ name, reason, instead }) => {
  const directory = temporaryDirectory({
    'x.ini': `[app:main]\nuse = egg:${name.replace(/^[A-Z]/, (c) => c.toLowerCase())}\n`,
  });
  await expect(loadApp('config:x.ini', { relativeTo: directory })).rejects.toMatchObject({
    code: 'PASTER_EGG_LEFT_OUT',
    message: expect.stringContaining(reason),
    hint: `instead: ${instead}`,
    location: { line: 2 },
  });
});

describe('docs/paste.md', () => {
  const page = readFileSync(join(ROOT, 'docs/paste.md'), 'utf8');

  test('has the table', () => {
    const rows = PASTE_LEFT_OUT.map(
      ({ names, reason, instead }) => `| ${names.map((name) => `\`${name}\``).join(', ')} | ${reason} | ${instead} |`,
    );
    const start = page.indexOf('## What is left out');
    const table = page.slice(start).match(/^\| `.*\|$/gm) ?? [];
    expect(table).toEqual(rows);
  });

  test('has each name of Paste’s that there is a part for', () => {
    const there = Object.entries(PASTE_NAMES).flatMap(([distribution, names]) =>
      Object.keys(names).map((name) => `${distribution}#${name}`),
    );
    expect(there.filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
  });

  test('every part that Paste’s distributions declare is there or left out', () => {
    const declared = Object.entries(DECLARED).flatMap(([owner, names]) =>
      names.split(' ').map((name) => `${owner}#${name}`),
    );
    const unknown = declared.filter((name) => {
      const [owner = '', point = ''] = name.split('#');
      return !Object.hasOwn(namesOfDistribution(owner) ?? {}, point) && findLeftOut(owner, point) === undefined;
    });
    expect(unknown).toEqual([]);
  });

  test('nothing is there and left out', () => {
    const both = NAMES.filter(({ name }) => {
      const [distribution = '', point = ''] = name.split('#');
      return Object.hasOwn(namesOfDistribution(distribution) ?? {}, point);
    });
    expect(both).toEqual([]);
  });
});
