/** `paster serve --reload`: edits take effect, errors are shown, and the next correct save recovers. */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { startChromium, visit } from '../../helpers/documentation/chromium.ts';
import { eventually, getOver, isAlive, paster, requireProgram, serve } from '../../helpers/programs/program.ts';

const APP = (text: string) => `import { word } from './word.js';
import { readFileSync } from 'node:fs';
export function makeApp(globalConf, { greeting, data }) {
  const file = data ? readFileSync(data, 'utf8').trim() : '';
  return (req, res) => res.setHeader('content-type', 'text/html').end(['${text}', word, greeting, file].join(' '));
}
`;

const INI = (greeting: string, server = '') => `[app:main]
use = config:app.ini
greeting = ${greeting}

[server:main]
use = npm:paster#http
port = 0
${server}
`;

function project(server = ''): string {
  return temporaryDirectory({
    'package.json': '{"type": "module"}',
    'app.js': APP('one'),
    'word.js': "export const word = 'two';\n",
    'develop.ini': INI('three', server),
    'app.ini': '[app:main]\nuse = call:./app.js:makeApp\ndata = %(here)s/data.yaml\nreload_files = %(here)s/*.yaml\n',
    'data.yaml': 'four\n',
  });
}

const NEVER = `import { writeFileSync } from 'node:fs';
writeFileSync(new URL('./begun', import.meta.url), '');
await new Promise(() => setInterval(() => {}, 1000));
`;

async function becomes(url: string, text: string): Promise<void> {
  await eventually(async () => (await (await fetch(url)).text()).includes(text));
}

test.each([
  ['one process', ''],
  ['two workers', 'workers = 2'],
])('every kind of edit takes effect, with %s', async (_what, server) => {
  const directory = project(server);
  const { url } = await serve(['develop.ini', '--reload'], { cwd: directory });
  await becomes(url, 'one two three four');

  writeFileSync(join(directory, 'app.js'), APP('ONE'));
  await becomes(url, 'ONE two three four');

  // Like an editor that saves by renaming.
  writeFileSync(join(directory, 'word.js.new'), "export const word = 'TWO';\n");
  renameSync(join(directory, 'word.js.new'), join(directory, 'word.js'));
  await becomes(url, 'ONE TWO three four');

  writeFileSync(join(directory, 'develop.ini'), INI('THREE', server));
  await becomes(url, 'ONE TWO THREE four');

  writeFileSync(join(directory, 'data.yaml'), 'FOUR\n');
  await becomes(url, 'ONE TWO THREE FOUR');

  writeFileSync(
    join(directory, 'app.ini'),
    '[app:main]\nuse = call:./app.js:makeApp\ndata =\nreload_files = %(here)s/*.yaml\n',
  );
  await eventually(async () => (await (await fetch(url)).text()) === 'ONE TWO THREE ');
});

test.each([
  ['a syntax error', 'app.js', 'export function (', /app\.js:1:\d+: \[app:main\] SyntaxError/],
  [
    'an error at import',
    'word.js',
    'export const word = 1;\nthrow new Error("at import");',
    /word\.js:2:\d+: \[app:main\] Error: at import/,
  ],
  [
    'a missing module',
    'app.js',
    'import "./gone.js";\nexport const makeApp = () => {};',
    /app\.js:1:\d+: .*Cannot find/,
  ],
  ['an invalid INI file', 'develop.ini', 'no section', /develop\.ini:1:1/],
  [
    'an unknown section',
    'develop.ini',
    '[app:main]\nuse = nothing\n[server:main]\nuse = npm:paster#http\nport = 0\n',
    /develop\.ini:2:7: .*there is no section/,
  ],
])('%s is shown in the terminal and in the browser until it is corrected', async (_what, file, broken, place) => {
  const directory = project();
  const program = await serve(['develop.ini', '--reload'], { cwd: directory });
  await becomes(program.url, 'one two three four');

  writeFileSync(join(directory, file), broken);
  await program.says(place);
  const page = await eventually(async () => {
    const response = await fetch(program.url, { headers: { accept: 'text/html' } });
    return response.status === 500 && response.text();
  });
  expect(page.replaceAll('&#39;', "'")).toMatch(place);
  expect(page).toContain('does not load');

  for (const [name, text] of Object.entries({
    'app.js': APP('one'),
    'word.js': "export const word = 'mended';\n",
    'develop.ini': INI('three'),
  })) {
    writeFileSync(join(directory, name), text);
  }
  await becomes(program.url, 'one mended three four');
});

test('a version that never gets ready is replaced by the next save', async () => {
  const directory = project();
  const program = await serve(['develop.ini', '--reload'], { cwd: directory });
  await becomes(program.url, 'one two three four');
  writeFileSync(join(directory, 'word.js'), `${NEVER}export const word = 'never';\n`);
  await eventually(() => existsSync(join(directory, 'begun')));
  expect(await (await fetch(program.url)).text()).toBe('one two three four');
  writeFileSync(join(directory, 'word.js'), "export const word = 'again';\n");
  await becomes(program.url, 'one again three four');
});

test('a version that does not load at the start is shown, and the next save recovers', async () => {
  const directory = project();
  writeFileSync(join(directory, 'word.js'), 'export const word = (;\n');
  const program = await serve(['develop.ini', '--reload'], { cwd: directory });
  expect((await fetch(program.url)).status).toBe(500);
  writeFileSync(join(directory, 'word.js'), "export const word = 'well';\n");
  await becomes(program.url, 'one well three four');
});

test('a document_root that does not exist is shown, refused without --reload and kept out by HUP, until it is created', async () => {
  const files = (root: string) => `[app:main]\nuse = egg:Paste#static\ndocument_root = ${root}\n`;
  const directory = temporaryDirectory({
    'package.json': '{}',
    'app.ini': `${files('built/site')}[server:main]\nuse = npm:paster#http\nport = 0\n`,
    'good/index.html': 'from good',
  });
  const message = `app.ini:3:1: [app:main] document_root: there is no directory ${directory}/built/site`;
  const refused = await paster(['serve', 'app.ini'], { cwd: directory }).finished();
  expect([refused.status, refused.stderr]).toEqual([2, expect.stringContaining(message)]);

  const { url } = await serve(['app.ini', '--reload'], { cwd: directory });
  await becomes(url, 'there is no directory');
  mkdirSync(join(directory, 'built/site'), { recursive: true });
  writeFileSync(join(directory, 'built/site/index.html'), 'from built');
  await becomes(url, 'from built');

  writeFileSync(
    join(directory, 'app.ini'),
    readFileSync(join(directory, 'app.ini'), 'utf8').replace('built/site', 'good'),
  );
  await becomes(url, 'from good');
  const workers = await serve(['app.ini', '-w', '1'], { cwd: directory });
  writeFileSync(join(directory, 'app.ini'), readFileSync(join(directory, 'app.ini'), 'utf8').replace('good', 'none'));
  workers.child.kill('SIGHUP');
  await workers.says(/document_root: there is no directory/);
  await becomes(workers.url, 'from good');
});

test('a changed address and number of workers take effect', async () => {
  const directory = project();
  const socket = join(directory, 'a.sock');
  const program = await serve(['develop.ini', '--reload'], { cwd: directory });
  writeFileSync(
    join(directory, 'develop.ini'),
    INI('three', `workers = 2\nlisten = unix:${socket}`).replace('port = 0\n', ''),
  );
  await program.says(/^serving on http:\/\/unix:.*a\.sock$/m);
  await program.says(/^2 workers$/m);
  await expect(fetch(program.url)).rejects.toThrow();
  expect(await getOver(socket)).toBe('one two three four');
});

test('an address that cannot be used is shown, and the old address serves the next save', async () => {
  const directory = project();
  const program = await serve(['develop.ini', '--reload'], { cwd: directory });
  writeFileSync(join(directory, 'develop.ini'), INI('THREE', 'host = 192.0.2.1'));
  await program.says(/develop\.ini:\d+:\d+: .*192\.0\.2\.1/);
  await eventually(async () => (await fetch(program.url)).status === 500);
  writeFileSync(join(directory, 'develop.ini'), INI('THREE'));
  await becomes(program.url, 'one two THREE four');
});

const chromium = requireProgram('chromium');

test.runIf(chromium).each([
  [', and so is any other page', 'browser_reload = true'],
  [' with browser_reload = false', 'browser_reload = false'],
  [' with browser_reload=false', '', 'browser_reload=false'],
])('the error page is replaced by the next version without a manual reload%s', async (_how, setting, ...args) => {
  const directory = project(setting);
  writeFileSync(join(directory, 'word.js'), 'export const word = (;\n');
  const program = await serve(['develop.ini', '--reload', ...args], { cwd: directory });
  const { page, errors } = await visit(await startChromium(chromium ?? ''), program.url);
  const title = () => expect.poll(() => page.title().catch(() => ''), { timeout: 30_000 });
  const edition = (name: string) =>
    writeFileSync(
      join(directory, 'word.js'),
      `export const word = '<title>${name}</title><div style="height: 3000px">';\n`,
    );
  await title().toMatch(/The application does not load$/);
  edition('well');
  await title().toBe('well');
  if (setting !== 'browser_reload = true') {
    expect(await page.content()).not.toContain('<script');
    return;
  }
  await page.evaluate('scrollTo(0, 1000)');
  edition('better');
  await title().toBe('better');
  expect(await page.evaluate('scrollY')).toBe(1000);
  writeFileSync(join(directory, 'word.js'), 'export const word = (;\n');
  await title().toMatch(/The application does not load$/);
  edition('best');
  await title().toBe('best');
  await expect.poll(() => page.evaluate('scrollY')).toBe(1000);
  // A page that reloads closes its stream, and a version that does not load has status 500.
  expect(errors.filter((error) => !/(?:ERR_ABORTED|: 500)$/.test(error))).toEqual([]);
});

test('a first version that never gets ready is replaced by the next save, or ends at start_timeout', async () => {
  // Long enough for the error page, which has the same limit, on a busy machine.
  const directory = project('start_timeout = 4');
  writeFileSync(join(directory, 'word.js'), `${NEVER}export const word = 'never';\n`);
  const program = await serve(['develop.ini', '--reload'], { cwd: directory });
  await program.says(/ was not ready within 4 s/);
  expect(await (await fetch(program.url)).text()).toMatch(/was not ready within 4 s/);
  writeFileSync(join(directory, 'word.js'), "export const word = 'now';\n");
  await becomes(program.url, 'one now three four');

  const patient = project('start_timeout = 0');
  writeFileSync(join(patient, 'word.js'), `${NEVER}export const word = 'never';\n`);
  const waiting = paster(['serve', 'develop.ini', '--reload'], { cwd: patient });
  await eventually(() => existsSync(join(patient, 'begun')));
  writeFileSync(join(patient, 'word.js'), "export const word = 'now';\n");
  const [, url = ''] = await waiting.says(/^serving on (\S+)$/m);
  await becomes(url, 'one now three four');
});

test('files are polled if the system reports no changes', async () => {
  const directory = project();
  const program = await serve(['develop.ini', '--reload', '--reload-interval', '0.1'], {
    cwd: directory,
    env: { CHOKIDAR_USEPOLLING: '1' },
  });
  expect(watchesOf(program.pid)).toEqual([]);
  await becomes(program.url, 'one two three four');
  writeFileSync(join(directory, 'word.js'), "export const word = 'TWO';\n");
  await becomes(program.url, 'one TWO three four');
  writeFileSync(join(directory, 'data.yaml'), 'FOUR\n');
  await becomes(program.url, 'one TWO three FOUR');
});

/** The inotify watches of a process on Linux. */
function watchesOf(pid: number): string[] {
  if (process.platform !== 'linux') return [];
  return readdirSync(`/proc/${pid}/fdinfo`)
    .map((fd) => readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'))
    .filter((text) => /^inotify wd:/m.test(text));
}

test('autoreload in [DEFAULT] does what --reload does, and serve_traceback = false keeps errors from the browser', async () => {
  const directory = project();
  const ini = (flags: string) => `[DEFAULT]\n${flags}\n${INI('three')}`;
  writeFileSync(join(directory, 'develop.ini'), ini('autoreload = true'));
  const program = await serve(['develop.ini'], { cwd: directory });
  writeFileSync(join(directory, 'app.js'), APP('ONE'));
  await becomes(program.url, 'ONE two three four');
  writeFileSync(join(directory, 'develop.ini'), ini('debug = true\nserve_traceback = false'));
  writeFileSync(join(directory, 'word.js'), 'export const word = (;\n');
  await program.says(/word\.js:1/);
  await eventually(async () => {
    const text = await (await fetch(program.url, { headers: { accept: 'text/html' } })).text();
    return text === 'The application does not load.\n';
  });
  const refused = await paster(['serve', 'develop.ini', 'start', 'autoreload=true'], { cwd: directory }).finished();
  expect(refused).toMatchObject({ status: 2, stderr: expect.stringMatching(/autoreload=false at the end/) });
  const wrong = await paster(['serve', 'develop.ini', 'debug=maybe'], { cwd: directory }).finished();
  expect(wrong).toMatchObject({ status: 2, stderr: expect.stringMatching(/debug: "maybe" is neither true nor false/) });
});

test('ends on TERM and INT, with its workers', async () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const program = await serve(['develop.ini', '--reload', '-v'], { cwd: project() });
    const [, worker] = await program.says(/worker (\d+) is ready/);
    expect(isAlive(Number(worker))).toBe(true);
    expect((await program.kill(signal)).status).toBe(0);
    expect(isAlive(Number(worker))).toBe(false);
    await expect(fetch(program.url)).rejects.toThrow();
  }
});
