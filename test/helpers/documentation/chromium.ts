/** The system's headless Chromium, for tests of pages. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { DESK, launchChromium } from '../../../scripts/pages/browser.ts';
import { whenOver } from '../programs/lifetime.ts';

/** @param executablePath of `requireProgram('chromium')`. The browser ends with the test or the suite that starts it. */
export async function startChromium(executablePath: string): Promise<Browser> {
  const browser = await launchChromium(executablePath);
  whenOver(() => browser.close());
  return browser;
}

export interface Visit {
  readonly page: Page;
  /** The errors of its scripts, and what it could not load. */
  readonly errors: readonly string[];
}

export const PHONE = { width: 360, height: 800 };
export { DESK };

/**
 * Opens a page; `dark` is the colour scheme that the user prefers.
 *
 * @param where a browser, for a page that is closed with the test or the suite; or a page, which takes half the time
 */
export async function visit(
  where: Browser | Page,
  url: string,
  { dark = false, viewport = PHONE }: { dark?: boolean; viewport?: { width: number; height: number } } = {},
): Promise<Visit> {
  const page = 'goto' in where ? where : await openPage(where);
  page.removeAllListeners();
  await page.emulateMedia({ colorScheme: dark ? 'dark' : 'light' });
  await page.setViewportSize(viewport);
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('console', (message) => {
    // Chromium also reports the page itself, whose status may be under test.
    if (message.type() === 'error' && !/^Failed to load resource/.test(message.text())) errors.push(message.text());
  });
  page.on('response', (response) => {
    if (response.status() >= 400 && response.url() !== url) errors.push(`${response.url()}: ${response.status()}`);
  });
  page.on('requestfailed', (request) => errors.push(`${request.url()}: ${request.failure()?.errorText}`));
  await page.goto(url, { waitUntil: 'load' });
  return { page, errors };
}

/** An empty page, with its own cookies and storage. It is closed with the test or the suite, because open pages take processor time. */
export async function openPage(browser: Browser): Promise<Page> {
  const context = await browser.newContext();
  whenOver(() => context.close());
  return context.newPage();
}

const LEAST_CONTRAST = readFileSync(join(import.meta.dirname, 'least-contrast.js'), 'utf8');

export interface Contrast {
  /** The lowest contrast of any text with its background (WCAG 2.1 section 1.4.3: 4.5 is readable). */
  readonly ratio: number;
  /** That text. */
  readonly text: string;
  /** The brightness of the page, from 0 to 1. */
  readonly brightness: number;
}

export function leastContrast(page: Page): Promise<Contrast> {
  return page.evaluate(LEAST_CONTRAST);
}

/** How much wider the page is than the screen, in CSS pixels. */
export function overhang(page: Page): Promise<number> {
  return page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe-core reports: contrast, names, roles, the order of headings and more, each with the elements. */
export async function violations(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const found = await page.evaluate<{ id: string; help: string; nodes: { html: string }[] }[]>(
    'axe.run().then(({ violations }) => violations)',
  );
  return found.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(', ')}`);
}
