/** The names that Paste's distributions declare: each is one of paster's parts, or docs/paste.md lists it as left out. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadApp } from '../../src/deploy/load.ts';
import { namesOfDistribution, PASTE_NAMES } from '../../src/deploy/modules/paste-names.ts';
import { temporaryDirectory } from '../helpers/directory.ts';
import { ROOT } from '../helpers/programs/program.ts';

const PAGE = readFileSync(join(ROOT, 'docs/paste.md'), 'utf8');
const LEFT_OUT = rowsBelow('## Parts that paster does not have').flatMap(([names = '']) => namesIn(names));

/** The cells of a table of the page, without its header. */
function rowsBelow(heading: string): string[][] {
  const rows = PAGE.slice(PAGE.indexOf(heading)).match(/^\| `.*\|$/gm) ?? [];
  return rows.map((row) =>
    row
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()),
  );
}

function namesIn(cell: string): string[] {
  return [...cell.matchAll(/`(\w+#\w+)`/g)].map(([, name = '']) => name);
}

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

test.each(LEFT_OUT)('egg:%s is refused with a pointer to the page', async (name) => {
  const directory = temporaryDirectory({
    'x.ini': `[app:main]\nuse = egg:${name.replace(/^[A-Z]/, (c) => c.toLowerCase())}\n`,
  });
  await expect(loadApp('config:x.ini', { relativeTo: directory })).rejects.toMatchObject({
    code: 'PASTER_EGG_UNSUPPORTED',
    hint: expect.stringMatching(name.includes('flup_ajp_') ? /^did you mean "flup_fcgi_/ : /docs\/paste\.md/),
    location: { line: 2 },
  });
});

describe('docs/paste.md', () => {
  test('has a reason and an alternative for each name that is left out', () => {
    expect(
      rowsBelow('## Parts that paster does not have').filter((row) => row.length !== 3 || row.includes('')),
    ).toEqual([]);
  });

  test('has each of Paste’s names for which there is a part', () => {
    const there = Object.entries(PASTE_NAMES).flatMap(([distribution, names]) =>
      Object.keys(names).map((name) => `${distribution}#${name}`),
    );
    expect(there.filter((name) => !PAGE.includes(`\`${name}\``))).toEqual([]);
  });

  test('lists every other part of Paste’s distributions as left out', () => {
    const declared = Object.entries(DECLARED).flatMap(([owner, names]) =>
      names.split(' ').map((name) => `${owner}#${name}`),
    );
    const isThere = (name: string): boolean => {
      const [owner = '', point = ''] = name.split('#');
      return Object.hasOwn(namesOfDistribution(owner) ?? {}, point);
    };
    expect(declared.filter((name) => isThere(name) === LEFT_OUT.includes(name))).toEqual([]);
    expect(LEFT_OUT.filter(isThere)).toEqual([]);
  });
});
