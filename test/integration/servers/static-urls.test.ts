/** Versioned URLs in a real browser: a file is fetched once and never revalidated, and a changed one is fetched again. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { startChromium } from '../../helpers/documentation/chromium.ts';
import { beforeSuite } from '../../helpers/programs/lifetime.ts';
import { eventually, requireProgram, serve } from '../../helpers/programs/program.ts';
import { startNginx } from '../../helpers/web-servers/front-end.ts';

/** A page with three versioned files and one without a version; and the requests that the server has received. */
const APP = `const requests = [];

export function makeApp() {
  return (req, res) => {
    if (req.url === '/requests') return res.end(JSON.stringify(requests));
    const { staticUrl } = req;
    res.setHeader('content-type', 'text/html');
    res.end(\`<!doctype html><title>none</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="\${staticUrl('style.css')}">
<link rel="stylesheet" href="\${staticUrl('plain.css').replace(/\\?.*/, '')}">
<script src="\${staticUrl('script.js')}"></script><img src="\${staticUrl('dot.svg')}" alt="">\`);
  };
}

export function makeLog() {
  return (app) => (req, res) => {
    const { url, headers } = req;
    const isConditional = 'if-none-match' in headers || 'if-modified-since' in headers;
    if (url.startsWith('/static/')) requests.push((isConditional ? 'again ' : '') + url);
    return app(req, res);
  };
}
`;

const INI = `[app:main]
use = call:./app.js:makeApp
filter-with = static

[filter:static]
use = npm:paster#static
document_root = static
filter-with = log

[filter:log]
use = call:./app.js:makeLog

[server:main]
`;

const FILES = {
  'app.js': APP,
  'package.json': '{"type":"module"}',
  'static/style.css': 'body { color: rgb(1, 2, 3) }',
  'static/plain.css': 'body { margin: 0 }',
  'static/script.js': 'document.title = "first"',
  'static/dot.svg': '<svg xmlns="http://www.w3.org/2000/svg" width="7" height="7"></svg>',
};

const chromium = requireProgram('chromium');
const nginx = requireProgram('nginx');

const WAYS = [
  {
    way: 'over HTTP',
    async start(cwd: string): Promise<string> {
      writeFileSync(join(cwd, 'x.ini'), `${INI}use = npm:paster#http\nport = 0\n`);
      return (await serve(['x.ini'], { cwd })).url;
    },
  },
  {
    way: 'through nginx and FastCGI, below a path',
    async start(cwd: string): Promise<string> {
      const socket = join(cwd, 's');
      writeFileSync(join(cwd, 'x.ini'), `${INI}use = npm:paster#fastcgi\nsocket = ${socket}\n`);
      await serve(['x.ini'], { cwd });
      return (await startNginx(nginx ?? '', { socket }, '/shop')).url;
    },
  },
];

/** What the page has loaded from its files. */
function look(page: Page): Promise<unknown> {
  return page.evaluate(
    '[document.title, getComputedStyle(document.body).color, document.querySelector("img").naturalWidth]',
  );
}

/** The page in a new tab, opened by the same user. */
async function open(context: BrowserContext, url: string): Promise<unknown> {
  const page = await context.newPage();
  await page.goto(url, { waitUntil: 'load' });
  const seen = await look(page);
  await page.close();
  return seen;
}

describe.runIf(chromium && nginx)('in a browser', () => {
  let browser: Browser;

  beforeSuite(async () => {
    browser = await startChromium(chromium ?? '');
  });

  test.each(WAYS)('files with a version are fetched once: $way', async ({ start }) => {
    const cwd = temporaryDirectory(FILES);
    const url = `${await start(cwd)}/`;
    const requests = async (): Promise<string[]> => (await fetch(`${url}requests`)).json() as Promise<string[]>;
    const page = async (): Promise<string> => (await fetch(url)).text();
    const versions = async (): Promise<string[]> =>
      [...(await page()).matchAll(/\/static\/\S+\?v=\w{20}/g)].map(String);
    const context = await browser.newContext();

    const before = await versions();
    expect(before).toHaveLength(3);
    expect(await open(context, url)).toEqual(['first', 'rgb(1, 2, 3)', 7]);
    expect((await requests()).sort()).toEqual(['/static/plain.css', ...before].sort());

    // The second time, only the file without a version is revalidated.
    for (const _ of [2, 3]) expect(await open(context, url)).toEqual(['first', 'rgb(1, 2, 3)', 7]);
    const tab = await context.newPage();
    await tab.goto(url);
    await tab.reload({ waitUntil: 'load' });
    expect(await look(tab)).toEqual(['first', 'rgb(1, 2, 3)', 7]);
    const asked = (await requests()).slice(4);
    expect(asked).toContain('again /static/plain.css');
    expect(asked.filter((each) => !each.endsWith('/static/plain.css'))).toEqual([]);

    const count = (await requests()).length;
    writeFileSync(join(cwd, 'static/style.css'), 'body { color: rgb(4, 5, 6) }');
    writeFileSync(join(cwd, 'static/script.js'), 'document.title = "second"');
    const after = await eventually(async () => {
      const now = await versions();
      return now.filter((each) => !before.includes(each)).length === 2 && now;
    });
    for (const _ of [1, 2]) expect(await open(context, url)).toEqual(['second', 'rgb(4, 5, 6)', 7]);
    const fetched = (await requests()).slice(count).filter((each) => !each.endsWith('/static/plain.css'));
    expect(fetched.sort()).toEqual(after.filter((each) => !before.includes(each)).sort());
  });
});
