/** `paster export` for each web server: no spelling of a path reaches a hidden file, or one that a filter protects. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { beforeSuite } from '../../helpers/programs/lifetime.ts';
import { needProgram, serve } from '../../helpers/programs/program.ts';
import { ask } from '../../helpers/requests/ask.ts';
import { ini, project, runWebServer, WEB_SERVERS } from '../site.ts';

const SOCKET = 'use = npm:paster#fastcgi\nsocket = %(here)s/../var/app.sock\nmode = 666';

const SERVERS: readonly (readonly [target: string, file: string])[] = [
  ...Object.entries(WEB_SERVERS).map(([target, { file }]) => [target, file] as const),
  ['caddy', 'caddy.json'],
];

/** The ways to write the directory of a path, and those to write the name of a hidden file in it. */
const DIRECTORIES = [
  '/static/',
  '/Static/',
  '/STATIC/',
  '/%73tatic/',
  '/static%2f',
  '/static//',
  '//static/',
  '//static//',
  '/./static/',
  '/x/../static/',
  '/x/%2e%2e/static/',
  '/static/./',
  '/static/%2e/',
  '/static/sub/../',
  '/static/sub/..%2f',
  '/static;a=1/',
  '/static/;/',
  '/static\\',
];
const HIDDEN = [
  '.env',
  '%2eenv',
  '%2Eenv',
  '.%65nv',
  '%2e%65%6e%76',
  '/.env',
  './.env',
  '.env/',
  '.env%00',
  '.env;a',
  '%252eenv',
];
const HIDDEN_BELOW = [
  'sub/.env',
  'sub//.env',
  'sub/%2eenv',
  'sub%2f.env',
  '.git/config',
  '%2egit/config',
  '.git//config',
];

const PATHS = DIRECTORIES.flatMap((directory) => [...HIDDEN, ...HIDDEN_BELOW].map((name) => directory + name));

/** The ways to write the path of a file that only 198.51.100.1 may read, and of the project's own package.json. */
const PROTECTED = [
  '/closed/page.txt',
  '/Closed/page.txt',
  '//closed/page.txt',
  '/closed//page.txt',
  '/%63losed/page.txt',
].concat(
  ['/static/../closed/page.txt', '/static/..%2fclosed/page.txt', '/static../closed/page.txt', '/static../package.json'],
  ['/static/../package.json', '/static/%2e%2e/package.json', '/static/..%2fpackage.json', '/static/....//package.json'],
);

const CLOSED = `[app:closed]
use = npm:paster#static
document_root = %(here)s/../closed
filter-with = elsewhere

[filter:elsewhere]
use = npm:paster#grantip
refuse_others = true
198.51.100.1 = joe
`;

function hostileProject(): string {
  const directory = project(SOCKET, CLOSED);
  for (const name of ['static/sub', 'static/.git', 'closed']) mkdirSync(join(directory, name));
  for (const name of ['static/.env', 'static/sub/.env', 'static/.git/config', 'closed/page.txt']) {
    writeFileSync(join(directory, name), 'hidden\n');
  }
  writeFileSync(join(directory, 'package.json'), '{ "name": "shop", "hidden": true }\n');
  const text = readFileSync(ini(directory), 'utf8');
  writeFileSync(ini(directory), text.replace('/static = files\n', '/static = files\n/closed = closed\n'));
  return directory;
}

let directory: string;
beforeSuite(async () => {
  directory = hostileProject();
  await serve([ini(directory)]);
});

test.each(SERVERS)('%s (%s) serves neither hidden nor protected files', async (target, file) => {
  const program = target === 'apache' ? 'apache2' : target;
  needProgram(program);
  for (const prefix of ['', '/shop']) {
    const origin = await runWebServer(target, directory, prefix === '' ? [] : ['--prefix', prefix], file);
    expect((await ask(origin, `${prefix}/static/site.css`)).status).toBe(200);
    if (prefix !== '') expect((await ask(origin, '/Shop/query')).status).toBe(404);
    const served: string[] = [];
    for (const path of [...PATHS, ...PROTECTED].flatMap((each) => [`${prefix}${each}`, each, `//x${prefix}${each}`])) {
      const { body } = await ask(origin, path);
      if (String(body).includes('hidden')) served.push(path);
    }
    expect(served).toEqual([]);
  }
});
