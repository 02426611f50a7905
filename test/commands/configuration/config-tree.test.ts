/** `paster config --tree` and `--html`: what an INI file composes to. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { leastContrast, overhang, startChromium, visit } from '../../helpers/documentation/chromium.ts';
import { needProgram } from '../../helpers/programs/program.ts';
import { config } from './run-config.ts';

const COMPOSED = `[composite:main]
use = egg:Paste#urlmap
/ = shop
/status = status
filter-with = log

[pipeline:shop]
pipeline = log page

[app:page]
use = npm:paster#test
format = json
; a secret, because of the name of its key
api_token = xyz

[app:status]
use = npm:paster#test

[filter:log]
use = npm:paster#translogger

[server:main]
use = egg:Paste#http
port = 8081
`;

test('--tree: which part wraps which, from the server inwards, with the line of each', async () => {
  const { stdout, stderr, status } = await config(COMPOSED, ['--tree']);
  expect(stdout).toBe(`[server:main] egg:Paste#http                     x.ini:22
└─ [filter:log] npm:paster#translogger           x.ini:19
   └─ [composite:main] egg:Paste#urlmap          x.ini:1
      ├─ /  [filter:log] npm:paster#translogger  x.ini:19
      │  └─ [app:page] npm:paster#test           x.ini:10
      └─ /status  [app:status] npm:paster#test   x.ini:16
`);
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
});

test('--tree -v: with the settings but without secrets, and for another application by name', async () => {
  const { stdout } = await config(COMPOSED, ['--tree', '-v', '-n', 'page']);
  expect(stdout).toMatch(/^│ +port = 8081 +x\.ini:24$/m);
  expect(stdout).toMatch(/^ +api_token = \*+ +x\.ini:14$/m);
  expect(stdout).not.toContain('xyz');
  expect(stdout).not.toContain('urlmap');
});

test('--tree without a server section shows the application alone', async () => {
  const { stdout, status } = await config('[app:main]\nuse = npm:paster#test\n', ['--tree']);
  expect(stdout).toBe('[app:main] npm:paster#test  x.ini:1\n');
  expect(status).toBe(0);
});

test('--tree shows an error for a name that does not exist', async () => {
  const ini = '[composite:main]\nuse = npm:paster#urlmap\n/ = home\n/api = apo\n[app:home]\nuse = npm:paster#test\n';
  const { stdout, status } = await config(ini, ['--tree']);
  expect([stdout.split('\n').filter((line) => line.includes('error')), status]).toEqual([
    [expect.stringContaining('└─ /api  [apo] error: there is no section [app:apo]')],
    0,
  ]);
});

test('--tree escapes control characters in names and values', async () => {
  const { stdout } = await config('[app:main]\nuse = npm:paster#test\nformat = \x1b[31m\n', ['--tree', '-v']);
  expect(stdout).toContain('format = \\x1b[31m');
});

test('--html shows the same as a page', async () => {
  const { stdout, status } = await config(COMPOSED, ['--html', '--app-name', 'status']);
  expect(stdout).toMatch(/^<!doctype html>/);
  expect(stdout).toContain('[server:main]');
  expect(stdout).toContain('[app:status]');
  expect(stdout).not.toContain('xyz');
  expect(status).toBe(0);
});

test('--html shows names and values as text', async () => {
  const ini =
    '[app:main]\nuse = npm:paster#test\nformat = <i>\nfilter-with = <b>\n[filter:<b>]\nuse = npm:paster#lint\n';
  const { stdout } = await config(ini, ['--html']);
  expect(stdout).toContain('[filter:&lt;b&gt;]');
  expect(stdout).toContain('&lt;i&gt;');
  expect(stdout).not.toMatch(/<[bi]>/);
});

test('--html in a browser: parts are connected along the path of a request, and can be collapsed', async () => {
  const chromium = needProgram('chromium');
  const { stdout } = await config(COMPOSED, ['--html']);
  const file = join(temporaryDirectory({ 'x.html': stdout }), 'x.html');
  const browser = await startChromium(chromium);
  for (const [width, dark] of [
    [360, true],
    [1440, false],
  ] as const) {
    const { page, errors } = await visit(browser, `file://${file}`, { dark, viewport: { width, height: 800 } });
    expect(await overhang(page)).toBe(0);
    expect((await leastContrast(page)).ratio).toBeGreaterThanOrEqual(4.5);
    const ways = page.locator('.way');
    expect(await ways.count()).toBe(2);
    await ways.last().locator('a').last().click();
    const target = page.locator('details:target');
    expect(await target.locator('dl').first().isVisible()).toBe(true);
    await target.locator('summary').first().focus();
    await page.keyboard.press('Enter');
    expect(await target.locator('dl').first().isVisible()).toBe(false);
    expect(errors).toEqual([]);
  }
});

test.each([
  [['--tree', '--json'], 'config: --json does not work with --tree or --html'],
  [['--tree', '--html'], 'config: --tree and --html are mutually exclusive'],
  [['-n', 'x'], 'config: --app-name needs --tree or --html'],
  [['--tree', '-n', 'nope'], 'there is no section [app:nope]'],
])('%j is refused', async (args, message) => {
  const { stderr, status } = await config(COMPOSED, args);
  expect(stderr).toContain(message);
  expect(status).toBe(2);
});
