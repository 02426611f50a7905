/** What a profile of a request contains, when one is written, and that there are never two at a time. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { makeProfile, profile, profileSettings } from '../../../src/filters/debugging/profile.ts';
import type { App } from '../../../src/protocol/types.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { leastContrast, overhang, startChromium, visit } from '../../helpers/documentation/chromium.ts';
import { eventually, needProgram } from '../../helpers/programs/program.ts';
import { signal } from '../../helpers/programs/signal.ts';
import { ask } from '../../helpers/requests/ask.ts';
import { Lines, serveFiltered, settingsFrom } from '../serve-filter.ts';

/**
 * Takes the processor until a time, in a call of itself, which V8 does not inline. Code that V8 had inlined before the profile
 * began would count as that of the caller.
 */
function burnTheProcessor(end: number, isInner = false): number {
  if (!isInner) return burnTheProcessor(end, true);
  let sum = 0;
  while (performance.now() < end) for (let number = 0; number < 1e4; number++) sum += Math.sqrt(number) % 3;
  return sum;
}

function hashNumbers(): number {
  let hash = 0;
  for (let number = 0; number < 2e6; number++) hash = (hash * 31 + number) % 65_521;
  return hash;
}

function sumSines(): number {
  let sum = 0;
  for (let number = 0; number < 4e5; number++) sum += Math.sin(number) ** 2;
  return sum;
}

// More functions take time than the list shows.
const busy: App = (_req, res) => {
  const begun = performance.now();
  const others = hashNumbers() + sumSines() + JSON.stringify(Array(3e5).fill(1.5)).length;
  const now = performance.now();
  // Longer than all others together, also if other processes have interrupted those.
  const result = others + burnTheProcessor(now + 4 * (now - begun));
  res.end(result > 0 ? 'done' : 'odd');
};

const quick: App = (_req, res) => {
  res.end();
};

test('the page in a browser can search, fold, zoom with the keyboard and save', async () => {
  const chromium = needProgram('chromium');
  const directory = temporaryDirectory();
  const lines = new Lines();
  const file = join(directory, 'one.cpuprofile');
  const { url } = await serveFiltered(profile({ log_filename: file }, lines.write), busy);
  await ask(url, '/');
  await lines.atLeast(1);
  const browser = await startChromium(chromium);
  for (const [screen, dark] of [
    [360, true],
    [1440, false],
  ] as const) {
    const viewport = { width: screen, height: 800 };
    const { page, errors } = await visit(browser, `file://${directory}/one.html`, { dark, viewport });
    expect(await overhang(page)).toBe(0);
    expect((await leastContrast(page)).ratio).toBeGreaterThanOrEqual(4.5);
    const shown = page.locator('#flames g:visible');
    const folded = await shown.count();
    await page.getByLabel('Fold Node and paster').uncheck();
    expect(await shown.count()).toBeGreaterThan(folded);
    await page.getByLabel('Search').fill('burnTheProcessor');
    await page.locator('#flames g.hit:visible').first().waitFor();
    expect(await page.locator('#functions tbody tr:visible').count()).toBe(1);
    await page.keyboard.press('Enter');
    const chosen = page.locator('#chosen');
    const width = () => page.locator('#flames g.chosen rect').getAttribute('width').then(Number);
    expect(await chosen.innerText()).toMatch(/^burnTheProcessor\n.*profile\.test\.ts:\d+/);
    expect(await width()).toBeCloseTo(1000);
    await page.locator('#flames').focus();
    await page.keyboard.press('Escape');
    expect(await width()).toBeLessThan(999.999);
    await page.keyboard.press('ArrowUp');
    expect(await chosen.innerText()).not.toContain('burnTheProcessor');
    await page.keyboard.press('Enter');
    expect(await width()).toBeCloseTo(1000);
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByText('Save .cpuprofile').click()]);
    expect(download.suggestedFilename()).toBe('one.cpuprofile');
    const saved = join(directory, 'saved');
    await download.saveAs(saved);
    expect(readFileSync(saved, 'utf8')).toBe(readFileSync(file, 'utf8'));
    expect(errors).toEqual([]);
  }
});

test('a profile is a file for developer tools, and a page with the function that took the time', async () => {
  const directory = temporaryDirectory();
  const lines = new Lines();
  const file = join(directory, 'one.cpuprofile');
  const { url } = await serveFiltered(profile({ log_filename: file, limit: 3 }, lines.write), busy);
  expect((await ask(url, '/slow?q=<1>')).body.toString()).toBe('done');
  expect(await lines.atLeast(1)).toEqual([`profiled GET /slow: ${file}, ${join(directory, 'one.html')}`]);
  const { nodes, samples } = JSON.parse(readFileSync(file, 'utf8'));
  expect(samples.length).toBeGreaterThan(10);
  const names = nodes.map((node: { callFrame: { functionName: string } }) => node.callFrame.functionName);
  expect(names).toContain('burnTheProcessor');
  const page = readFileSync(join(directory, 'one.html'), 'utf8');
  expect(page).toMatch(/<svg.*burnTheProcessor\ntest\/filters\/profile\/profile\.test\.ts:\d+/s);
  // The function is first in the list, which has its maximum length.
  expect(page).toMatch(/<tbody><tr class="application"><td>[\d.]+ ms<\/td><td>[\d.]+ ms<\/td>\s*<td>burnTheProcessor/);
  expect(page.match(/<tr class/g)).toHaveLength(3);
});

test('only one request is profiled at a time, and then the next one', async () => {
  const lines = new Lines();
  const file = join(temporaryDirectory(), 'p.cpuprofile');
  const [arrived, go] = [signal(), signal()];
  const app: App = async (req, res) => {
    if (req.url === '/held') {
      arrived.fire();
      await go.fired;
    }
    res.end('ok');
  };
  const { url } = await serveFiltered(profile({ log_filename: file }, lines.write), app);
  const held = ask(url, '/held');
  await arrived.fired;
  await ask(url, '/beside');
  go.fire();
  await held;
  expect(await lines.atLeast(1)).toEqual([expect.stringMatching(/^profiled GET \/held:/)]);
  await eventually(async () => {
    await ask(url, '/after');
    return lines.all.some((line) => line.startsWith('profiled GET /after:'));
  });
  expect(lines.all.some((line) => line.includes('/beside'))).toBe(false);
});

test('only requests of the configured paths are profiled', async () => {
  const lines = new Lines();
  const file = join(temporaryDirectory(), 'p.cpuprofile');
  const { url } = await serveFiltered(profile({ log_filename: file, paths: ['/this'] }, lines.write), quick);
  await ask(url, '/other');
  await ask(url, '/this?x');
  expect(await lines.atLeast(1)).toEqual([expect.stringMatching(/^profiled GET \/this:/)]);
});

test('a request whose application fails is profiled', async () => {
  const lines = new Lines();
  const file = join(temporaryDirectory(), 'p.cpuprofile');
  const { url, failures } = await serveFiltered(profile({ log_filename: file }, lines.write), () => {
    throw new Error('no');
  });
  expect((await ask(url, '/')).status).toBe(500);
  expect(failures[0]).toContain('no');
  expect(await lines.atLeast(1)).toEqual([expect.stringMatching(/^profiled GET \/:/)]);
});

test('a file that cannot be written is reported in a line', async () => {
  const lines = new Lines();
  const file = join(temporaryDirectory(), 'nowhere', 'p.cpuprofile');
  const { url } = await serveFiltered(profile({ log_filename: file }, lines.write), quick);
  expect((await ask(url, '/')).status).toBe(200);
  expect(await lines.atLeast(1)).toEqual([expect.stringMatching(/^no profile of GET \/: ENOENT/)]);
});

test('without debug there is no profile, unless the section enables it', async () => {
  const app: App = () => {};
  const here = temporaryDirectory();
  const made = (globalConf: Record<string, string>, section: Record<string, string>) =>
    makeProfile(globalConf, settingsFrom(profileSettings, section))(app);
  expect(await made({}, {})).toBe(app);
  expect(await made({ debug: 'true' }, { debug: 'false' })).toBe(app);
  expect(await made({}, { debug: 'true' })).not.toBe(app);
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  onTestFinished(() => write.mockRestore());
  const filter = makeProfile(
    { debug: 'yes' },
    settingsFrom(profileSettings, { log_filename: join(here, 'profile.log.tmp') }),
  );
  const { url } = await serveFiltered(filter, quick);
  await ask(url, '/');
  await eventually(() => existsSync(join(here, 'profile.log.tmp.html')));
});
