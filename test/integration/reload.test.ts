/** `paster serve --reload`: edits take effect, mistakes are shown, the next good save recovers. */
import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../helpers/directory.ts';
import { eventually, serve } from '../helpers/program.ts';

const APP = (text: string) => `import { word } from './word.js';
import { readFileSync } from 'node:fs';
export function makeApp(globalConf, { greeting, data }) {
  const file = data ? readFileSync(data, 'utf8').trim() : '';
  return (req, res) => res.end(['${text}', word, greeting, file].join(' '));
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

  // As an editor does that saves by renaming.
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
  ['an INI file that is none', 'develop.ini', 'no section', /develop\.ini:1:1/],
  [
    'an unknown section',
    'develop.ini',
    '[app:main]\nuse = nothing\n[server:main]\nuse = npm:paster#http\nport = 0\n',
    /develop\.ini:2:7: .*there is no section/,
  ],
])('%s is shown in the terminal and in the browser until it is mended', async (_what, file, broken, place) => {
  const directory = project();
  const program = await serve(['develop.ini', '--reload'], { cwd: directory });
  await becomes(program.url, 'one two three four');

  writeFileSync(join(directory, file), broken);
  await program.says(place);
  const page = await eventually(async () => {
    const response = await fetch(program.url, { headers: { accept: 'text/html' } });
    return response.status === 500 && response.text();
  });
  expect(page).toMatch(place);
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

test('a version that never comes to an end gives way to the next save', async () => {
  const directory = project();
  const program = await serve(['develop.ini', '--reload'], { cwd: directory });
  await becomes(program.url, 'one two three four');
  writeFileSync(
    join(directory, 'word.js'),
    `import { writeFileSync } from 'node:fs';
writeFileSync(new URL('./begun', import.meta.url), '');
await new Promise(() => setInterval(() => {}, 1000));
export const word = 'never';
`,
  );
  await eventually(() => existsSync(join(directory, 'begun')));
  expect(await (await fetch(program.url)).text()).toBe('one two three four');
  writeFileSync(join(directory, 'word.js'), "export const word = 'again';\n");
  await becomes(program.url, 'one again three four');
});

test('a version that does not load at the start is shown, and recovers', async () => {
  const directory = project();
  writeFileSync(join(directory, 'word.js'), 'export const word = (;\n');
  const program = await serve(['develop.ini', '--reload'], { cwd: directory });
  expect((await fetch(program.url)).status).toBe(500);
  writeFileSync(join(directory, 'word.js'), "export const word = 'well';\n");
  await becomes(program.url, 'one well three four');
});

test('says that a changed address needs a restart', async () => {
  const directory = project();
  const program = await serve(['develop.ini', '--reload'], { cwd: directory });
  writeFileSync(join(directory, 'develop.ini'), INI('three', 'workers = 2'));
  await program.says(/number of workers have changed: restart/);
  await becomes(program.url, 'one two three four');
});

test('ends on TERM and INT, with its workers', async () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const program = await serve(['develop.ini', '--reload'], { cwd: project() });
    expect((await program.kill(signal)).status).toBe(0);
    await expect(fetch(program.url)).rejects.toThrow();
  }
});
