/**
 * Takes the pictures in docs/pictures/: starts a small shop with each page that paster draws, and opens it in Chromium.
 *
 *     npm run build && npm run record:pages
 *
 * CHROMIUM names the browser if it is not /usr/bin/chromium.
 *
 * Paths of this machine are replaced with /srv/shop; nothing else of a page is changed.
 */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Page } from 'playwright-core';
import { DESK, launchChromium } from './pages/browser.ts';
import { run, whileServing } from './pages/server.ts';
import { standardPort } from './terminal/port.ts';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = dirname(HERE);
const PICTURES = join(ROOT, 'docs/pictures');
/** How long the server gets requests before the picture of the status page: its charts need several samples. */
const SECONDS_OF_TRAFFIC = 150;

const home = mkdtempSync(join(tmpdir(), 'pages-'));
const log = join(home, 'paster.log');
const browser = await launchChromium(process.env['CHROMIUM'] ?? '/usr/bin/chromium');
try {
  mkdirSync(PICTURES, { recursive: true });
  const shop = join(home, 'shop');
  cpSync(join(HERE, 'pages/shop'), shop, { recursive: true });
  mkdirSync(join(shop, 'var'));
  linkPaster(shop);
  const port = await standardPort(8080);

  await whileServing(['etc/develop.ini', '--reload'], { cwd: shop, port, log }, async (url) => {
    for (const theme of ['light', 'dark'] as const) await take(`error-${theme}`, `${url}/cart?customer=grace`, theme);
    await fetch(`${url}/report`).then((response) => response.arrayBuffer());
  });
  await take('profile', pathToFileURL(join(shop, 'var/profile.html')).href);

  writeFileSync(join(home, 'config.html'), run(['config', '--html', 'etc/develop.ini'], shop));
  await take('config', pathToFileURL(join(home, 'config.html')).href);

  await whileServing(['etc/config.ini'], { cwd: shop, port, log }, async (url) => {
    await traffic(url, SECONDS_OF_TRAFFIC);
    const stuck = ['one', 'two'].map((cart) => requestOnce(`${url}/checkout?cart=${cart}`));
    for (const theme of ['light', 'dark'] as const) await take(`status-${theme}`, `${url}/status`, theme, showsFigures);
    await Promise.all(stuck);
  });

  const ini = join(shop, 'etc/develop.ini');
  writeFileSync(ini, readFileSync(ini, 'utf8').replace('makeShop', 'makeShpo'));
  await whileServing(['etc/develop.ini', '--reload'], { cwd: shop, port, log }, (url) => take('load-error', url));

  mkdirSync(join(home, 'new'));
  run(['create', 'shop', '--no-interactive'], join(home, 'new'));
  const created = join(home, 'new/shop');
  linkPaster(created);
  await whileServing(['etc/develop.ini'], { cwd: created, port, log }, (url) => take('welcome', url));
} catch (error) {
  process.stderr.write(readFileSync(log, { encoding: 'utf8', flag: 'a+' }));
  throw error;
} finally {
  await browser.close();
  rmSync(home, { recursive: true, force: true });
}

function linkPaster(directory: string): void {
  mkdirSync(join(directory, 'node_modules'));
  symlinkSync(ROOT, join(directory, 'node_modules/paster'));
}

async function take(
  name: string,
  url: string,
  colorScheme: 'light' | 'dark' = 'light',
  ready: (page: Page) => Promise<unknown> = async () => undefined,
): Promise<void> {
  const context = await browser.newContext({ colorScheme, viewport: DESK, reducedMotion: 'reduce' });
  const page = await context.newPage();
  await page.goto(url, { waitUntil: 'load' });
  await ready(page);
  await page.evaluate(
    replacePaths([join(home, 'new'), '/srv'], [home, '/srv'], [ROOT, '/srv/shop/node_modules/paster']),
  );
  const file = join(PICTURES, `${name}.png`);
  const { length } = await page.screenshot({ path: file });
  process.stdout.write(`${file}: ${length} bytes\n`);
  await context.close();
}

/** A script that replaces paths in the text of a page. */
function replacePaths(...paths: readonly (readonly [string, string])[]): string {
  return `{
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode())
      for (const [path, shown] of ${JSON.stringify(paths)})
        if (node.data.includes(path)) node.data = node.data.replaceAll(path, shown);
  }`;
}

/** The page has both workers, and requests of the load. */
async function showsFigures(page: Page): Promise<void> {
  await page.waitForFunction('document.querySelector("#live")?.dataset.state === "live"');
  await page.waitForFunction('document.body.innerText.includes("/checkout")', undefined, { timeout: 15_000 });
}

/** A few requests at a time, in waves; one in thirty fails. */
async function traffic(url: string, seconds: number): Promise<void> {
  const end = Date.now() + seconds * 1000;
  for (let count = 0; Date.now() < end; count++) {
    const wave = 3 + Math.round(2 * Math.sin(Date.now() / 8000));
    const paths = [
      '/',
      '/search?q=tea',
      '/cart?customer=ada',
      count % 6 === 0 ? '/cart?customer=grace' : '/',
      '/favicon.ico',
    ];
    await Promise.all(paths.slice(0, wave).map((path) => requestOnce(url + path)));
    await new Promise((resolve) => setTimeout(resolve, 60));
  }
}

/** On a connection of its own, so that both workers get requests. */
function requestOnce(url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false }, (response) => response.resume().on('end', resolve).on('error', reject)).on(
      'error',
      reject,
    );
  });
}
