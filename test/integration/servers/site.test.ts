/** The documentation site, served by paster: every link works, and in a real browser the search finds what people type. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { QUESTIONS } from '../../fixtures/site-questions.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { DESK, overhang, PHONE, startChromium, violations, visit } from '../../helpers/documentation/chromium.ts';
import { beforeSuite } from '../../helpers/programs/lifetime.ts';
import { Program, ROOT, requireProgram, serve } from '../../helpers/programs/program.ts';

const chromium = requireProgram('chromium');
const VITEPRESS = join(ROOT, 'node_modules/vitepress/bin/vitepress.js');

/** Pages of each kind: the start page, text, long tables, and code. */
const LOOKED_AT = ['index.html', 'introduction.html', 'errors.html', 'nginx.html'];

describe('the site', () => {
  let url: string;
  const pages = new Map<string, string>();

  beforeSuite(async () => {
    const site = join(temporaryDirectory(), 'site');
    const env = { DOCS_BROTLI_QUALITY: '5' };
    const build = new Program(process.execPath, [VITEPRESS, 'build', 'docs', '--outDir', site], { cwd: ROOT, env });
    expect(await build.finished()).toMatchObject({ status: 0 });
    url = (await serve([join(ROOT, 'etc/docs.ini'), '-p', '0', `site=${site}`])).url;
    for (const file of readdirSync(site, { recursive: true }).map(String)) {
      if (file.endsWith('.html')) pages.set(file, readFileSync(join(site, file), 'utf8'));
    }
  }, 180_000);

  test('no link is dead', async () => {
    const ids = new Map([...pages].map(([page, html]) => [page, idsOf(html)]));
    const dead: string[] = [];
    let count = 0;
    for (const [page, html] of pages) {
      for (const [, href = ''] of html.matchAll(/<a [^>]*?href="([^"]+)"/g)) {
        const target = new URL(href, `${url}/${page}`);
        if (!target.href.startsWith(url)) continue;
        count++;
        const path = target.pathname.slice(1) || 'index.html';
        const anchor = decodeURIComponent(target.hash.slice(1));
        if (!(anchor === '' ? ids.has(path) : ids.get(path)?.has(anchor))) dead.push(`${page}: ${href}`);
      }
    }
    expect(dead).toEqual([]);
    // Each page links at least to its neighbours.
    expect(count).toBeGreaterThan(2 * pages.size);
  });

  test('pages are compressed, files with a hash in their name may be cached for a year, and an unknown path gets the 404 page', async () => {
    const page = await fetch(`${url}/introduction.html`, { headers: { 'accept-encoding': 'br' } });
    expect([page.status, page.headers.get('content-encoding')]).toEqual([200, 'br']);
    const [, script = ''] = /src="(\/assets\/[^"]+\.js)"/.exec(await page.text()) ?? [];
    expect((await fetch(url + script)).headers.get('cache-control')).toBe('public, max-age=31536000');
    const missing = await fetch(`${url}/nowhere.html`);
    expect([missing.status, await missing.text()]).toEqual([404, pages.get('404.html')]);
  });

  describe.runIf(chromium)('in a browser', () => {
    let browser: Browser;
    beforeSuite(async () => {
      browser = await startChromium(chromium ?? '');
    });

    test('no page is wider than the screen of a phone or a desktop', async () => {
      // Low, so that Chromium paints little: only the width is checked.
      let viewports = [PHONE, DESK].map(({ width }) => ({ width, height: 100 }));
      const { page, errors } = await visit(browser, url);
      const wide: string[] = [];
      // Links first: the 404 page has no links that work without a reload.
      const opened = [...pages].map((each) => ({ path: each[0], textClass: openedByLink(each) }));
      for (const { path, textClass } of opened.sort((a, b) => Number(!a.textClass) - Number(!b.textClass))) {
        if (textClass) await followLink(page, path, textClass);
        else await page.goto(`${url}/${path}`);
        for (const viewport of viewports) {
          await page.setViewportSize(viewport);
          if ((await overhang(page)) > 0) wide.push(`${path} at ${viewport.width}`);
        }
        // The next page starts with the width of this one.
        viewports = viewports.toReversed();
      }
      expect(wide).toEqual([]);
      // Files that VitePress prefetches are cancelled when the page is left.
      expect(errors.filter((error) => !error.endsWith('net::ERR_ABORTED'))).toEqual([]);
    }, 120_000);

    // Without VitePress's own search dialog, whose list of links in a list of options axe-core rejects.
    test.each([
      [PHONE, false],
      [DESK, true],
    ] as const)('axe-core reports nothing (%o, dark: %s)', async (viewport, dark) => {
      const { page } = await visit(browser, url, { viewport, dark });
      for (const path of LOOKED_AT) {
        await page.goto(`${url}/${path}`);
        expect({ path, found: await violations(page) }).toEqual({ path, found: [] });
      }
    });

    test('the search finds the expected page for each question among its first three results', async () => {
      const { page } = await visit(browser, url, { viewport: DESK });
      await page.click('.VPNavBarSearch button');
      const wrong = [];
      for (const [question, expected] of QUESTIONS) {
        const found = await search(page, question);
        if (!found.some((path) => expected.test(path))) wrong.push({ question, found });
      }
      expect(wrong).toEqual([]);
    }, 120_000);
  });
});

/**
 * The CSS class of a page's text, for a page that the previous page links to: opening it by the link takes a quarter of the time, because
 * scripts and styles are loaded already. Undefined for a page that is loaded from scratch: one of each kind, and pages with pictures, whose size is
 * not known earlier.
 */
function openedByLink([path, html]: readonly [string, string]): string | undefined {
  if (LOOKED_AT.includes(path) || html.includes('<img')) return undefined;
  return /class="vp-doc ([\w-]+)/.exec(html)?.[1];
}

async function followLink(page: Page, path: string, textClass: string): Promise<void> {
  const link = `Object.assign(document.body.appendChild(document.createElement('a')), { href: '/${path}' })`;
  await page.evaluate(`${link}.click()`);
  await page.waitForSelector(`.vp-doc.${textClass}`, { state: 'attached' });
}

function idsOf(html: string): Set<string> {
  return new Set([...html.matchAll(/ id="([^"]*)"/g)].map(([, id = '']) => id));
}

/** The paths of the first three results. */
async function search(page: Page, question: string): Promise<string[]> {
  await page.fill('#localsearch-input', '');
  await page.waitForSelector('.results .result', { state: 'detached' });
  await page.fill('#localsearch-input', question);
  await page.waitForSelector('.results .result, .no-results');
  const links = await page
    .locator('.results a.result')
    .evaluateAll((all) => all.map((each) => each.getAttribute('href')));
  return links.slice(0, 3).map(String);
}
