/** The pages that paster draws, in a real browser: readable on a phone and in dark mode, and without script errors. */
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import {
  DESK,
  leastContrast,
  openPage,
  overhang,
  PHONE,
  startChromium,
  violations,
  visit,
} from '../../helpers/documentation/chromium.ts';
import { beforeSuite } from '../../helpers/programs/lifetime.ts';
import { paster, ROOT, requireProgram, serve } from '../../helpers/programs/program.ts';

const APP = `export function makeApp() {
  return (req, res) => {
    const cause = new RangeError('a valve is stuck');
    throw new TypeError('Cannot open ' + 'a_name_that_is_longer_than_the_screen_'.repeat(3), { cause });
  };
}
`;

/** With debug, `serve` shows errors by itself. */
const INI = (debug: boolean) => `[DEFAULT]
debug = ${debug}

[app:main]
use = call:./app.js:makeApp
${debug ? '' : 'filter-with = errors'}

[filter:errors]
use = egg:Paste#evalerror
error_message = We are looking into it.

[server:main]
use = npm:paster#http
port = 0
`;

const chromium = requireProgram('chromium');
const SCREENS = [
  { name: 'a phone', dark: false, viewport: PHONE },
  { name: 'a phone in dark mode', dark: true, viewport: PHONE },
  { name: 'a desktop', dark: false, viewport: DESK },
  { name: 'a desktop in dark mode', dark: true, viewport: DESK },
];

describe.runIf(chromium)('in a browser', () => {
  let browser: Browser;
  let page: Page;
  const urls: Record<string, string> = {};

  beforeSuite(async () => {
    const files = { 'app.js': APP, 'package.json': '{"type":"module"}' };
    const cwd = temporaryDirectory({ ...files, 'debug.ini': INI(true), 'live.ini': INI(false) });
    browser = await startChromium(chromium ?? '');
    page = await openPage(browser);
    urls['the error page'] = (await serve(['debug.ini'], { cwd })).url;
    urls['the page without debug'] = (await serve(['live.ini'], { cwd })).url;
    await paster(['create', 'shop', '--no-interactive'], { cwd }).finished();
    const created = join(cwd, 'shop');
    mkdirSync(join(created, 'node_modules'));
    symlinkSync(ROOT, join(created, 'node_modules/paster'));
    urls['the page of a new project'] = (await serve(['etc/develop.ini', 'http_port=0'], { cwd: created })).url;
    urls['the welcome page'] = (await serve(['etc/develop.ini', 'http_port=0'], { cwd: ROOT })).url;
  });

  describe.each(['the error page', 'the page without debug', 'the welcome page', 'the page of a new project'])(
    '%s',
    (name) => {
      test.each(SCREENS)('is readable on $name', async ({ dark, viewport }) => {
        const { errors } = await visit(page, `${urls[name]}/`, { dark, viewport });
        expect(await overhang(page)).toBe(0);
        expect(errors).toEqual([]);
        const { ratio, text, brightness } = await leastContrast(page);
        expect(text).not.toBe('');
        // WCAG 2, level AA.
        expect(ratio, text).toBeGreaterThanOrEqual(4.5);
        expect(brightness < 0.1).toBe(dark);
        expect(await violations(page)).toEqual([]);
      });
    },
  );

  test('the error page shows the failing line and its cause, and expands other places', async () => {
    const { page, errors } = await visit(browser, `${urls['the error page']}/?token=hunter2`);
    await expect.poll(() => page.locator('pre code').first().isVisible()).toBe(true);
    expect(await page.locator('pre code').first().innerText()).toContain('throw new TypeError');
    const text = await page.locator('body').innerText();
    expect(text).toMatch(/app\.js/);
    expect(text).toContain('a valve is stuck');
    expect(text).not.toContain('hunter2');
    expect(await page.locator('h1').innerText()).toMatch(/^Cannot open a_name/);
    await page.getByText('As text', { exact: true }).click();
    expect(await page.locator('#text').innerText()).toContain('caused by: RangeError: a valve is stuck');
    expect(errors).toEqual([]);
  });

  test('the error page opens an editor by keyboard', async () => {
    const { page } = await visit(browser, `${urls['the error page']}/`);
    const opened: unknown[] = [];
    await page.route('**/.paster/open-editor', async (route) => {
      opened.push(route.request().postDataJSON());
      await route.fulfill({ status: 204 });
    });
    for (const _key of ['Copy as text', 'the place']) await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.textContent')).toMatch(/app\.js:4:11$/);
    await page.keyboard.press('Enter');
    await expect.poll(() => page.locator('#status').innerText()).toBe('Opened in your editor.');
    expect(opened).toEqual([{ place: expect.stringMatching(/\/app\.js:4:11$/), key: expect.any(String) }]);
  });

  test('the page without debug shows no details', async () => {
    const { page } = await visit(browser, `${urls['the page without debug']}/`);
    const text = await page.content();
    expect(text).toContain('We are looking into it.');
    expect(text).not.toMatch(/TypeError|app\.js|valve/);
  });
});
