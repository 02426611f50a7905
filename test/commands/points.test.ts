/** `paster points`: which parts are installed in and above a directory. */
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../helpers/directory.ts';
import { runHere } from '../helpers/programs/command.ts';
import { type Finished, paster } from '../helpers/programs/program.ts';

function manifest(name: string, paster: unknown): string {
  return JSON.stringify({ name, paster });
}

/** A workspace: `app` is the package that the user works in, below the root that has the dependencies. */
function workspace(): string {
  const directory = temporaryDirectory({
    'app/package.json': manifest('my-app', { 'paste.app_factory': { main: './app.js:make' } }),
    'app/sub/x.ini': '',
    'node_modules/Plain/package.json': manifest('Plain', undefined),
    'node_modules/FakeApp/package.json': manifest('FakeApp', {
      'paste.app_factory': { main: './a.js:make', __proto__x: './a.js:b' },
      'somebody.else': { '\u001b[31m': 'x:y' },
    }),
    'node_modules/@scope/filters/package.json': manifest('@scope/filters', {
      'paste.filter_factory': { gzip: './f.js:make' },
    }),
    'node_modules/broken/package.json': '{',
    'node_modules/no-package/x.js': '',
    'node_modules/.cache/package.json': manifest('hidden', { 'paste.app_factory': { main: 'x:y' } }),
    'packages/linked/package.json': manifest('linked', { 'paste.app_install': { main: './i.js:install' } }),
  });
  symlinkSync('../packages/linked', join(directory, 'node_modules/linked'));
  return directory;
}

function points(cwd: string, args: readonly string[] = []): Promise<Finished> {
  return runHere(['points', ...args], { cwd });
}

test('lists the parts of paster, of the surrounding package, and of packages installed above, links included', async () => {
  const { stdout, stderr, status } = await points(join(workspace(), 'app/sub'));
  expect(status).toBe(0);
  const blocks = stdout.trimEnd().split('\n\n');
  expect(blocks.map((block) => block.split('\n')[0])).toEqual([
    'paste.app_factory',
    'paste.composite_factory',
    'paste.filter_factory',
    'paste.server_factory',
    'paste.app_install',
    'paste.paster_create_template',
    'somebody.else',
  ]);
  expect(blocks[0]).toMatch(/^ {2}paster#welcome +a page that shows/m);
  expect(blocks[0]).toMatch(/^ {2}my-app#main$/m);
  expect(blocks[0]).toMatch(/^ {2}FakeApp#main\n {2}FakeApp#__proto__x$/m);
  expect(blocks[1]).toMatch(/^ {2}paster#urlmap +applications by path prefix/m);
  expect(blocks[2]).toMatch(/^ {2}@scope\/filters#gzip$/m);
  expect(blocks[4]).toBe('paste.app_install\n  linked#main');
  expect(blocks[5]).toMatch(/^ {2}paster#express$/m);
  expect(blocks[6]).toBe('somebody.else\n  FakeApp#\\x1b[31m');
  expect(stdout).not.toContain('hidden');
  expect(stderr).toMatch(/^paster: warn: .*broken\/package\.json is not JSON: [^\n]*\n$/);
});

test('lists one group', async () => {
  const { stdout } = await points(workspace(), ['paste.app_install']);
  expect(stdout).toBe('paste.app_install\n  linked#main\n');
  const empty = await points(workspace(), ['paste.server_runner']);
  expect([empty.stdout, empty.status]).toEqual(['paste.server_runner\n  (none)\n', 0]);
});

test('--json has a stable format', async () => {
  const directory = workspace();
  const { stdout } = await points(directory, ['--json', 'paste.filter_factory']);
  const listed = JSON.parse(stdout);
  expect(Object.keys(listed)).toEqual(['directory', 'groups']);
  expect(listed.directory).toBe(directory);
  expect(Object.keys(listed.groups)).toEqual(['paste.filter_factory']);
  const filters: Record<string, unknown>[] = listed.groups['paste.filter_factory'];
  expect(filters.find((point) => point['package'] === '@scope/filters')).toEqual({
    package: '@scope/filters',
    name: 'gzip',
    uri: 'npm:@scope/filters#gzip',
    target: './f.js:make',
    root: join(directory, 'node_modules/@scope/filters'),
  });
  const translogger = filters.find((point) => point['name'] === 'translogger');
  expect(Object.keys(translogger ?? {})).toEqual(['package', 'name', 'uri', 'target', 'root', 'meaning', 'settings']);
  expect(translogger?.['settings']).toContainEqual({
    name: 'setup_console_handler',
    aliases: [],
    allowed: 'true or false',
    default: true,
    required: false,
    help: 'Write the lines to standard error, where the INI file does not configure logging.',
  });
});

test('--json lists the settings of every server and the server’s own', async () => {
  const { stdout } = await points(temporaryDirectory(), ['--json', 'paste.server_factory']);
  const [http] = JSON.parse(stdout).groups['paste.server_factory'];
  const names = http.settings.map((setting: { name: string }) => setting.name);
  expect(names).toEqual(expect.arrayContaining(['port', 'workers', 'ssl_pem', 'http2']));
  expect(http.settings.find((setting: { name: string }) => setting.name === 'max_requests')).toMatchObject({
    aliases: ['maxRequests'],
    default: 0,
  });
});

test('--json describes the other keys of a URL map', async () => {
  const { stdout } = await points(temporaryDirectory(), ['--json', 'paste.composite_factory']);
  expect(JSON.parse(stdout).groups['paste.composite_factory']).toContainEqual(
    expect.objectContaining({ name: 'urlmap', otherKeys: expect.stringContaining('/prefix') }),
  );
});

/** The parts that packages may have: with paster's settings, with a schema that describes itself, with one that does not, and without a valid one. */
const FOREIGN = `
const standard = (vendor, more) => ({ '~standard': { version: 1, vendor, validate: (value) => ({ value }), ...more } });
const part = (settings) => Object.assign(() => () => {}, { settings });
const properties = {
  size: { type: 'integer', minimum: 1, maximum: 9, default: 5, description: 'How large.' },
  colour: { enum: ['red', 'a|b'], description: 'Which\\ncolour.', examples: ['red'] },
  name: { type: 'string', minLength: 2 },
  odd: { anyOf: [{ type: 'boolean' }, { const: 'maybe' }] },
};
export const described = part(
  standard('describer', { jsonSchema: { input: ({ target }) => target === 'draft-2020-12' && { type: 'object', properties, required: ['name', 'size'] } } }),
);
export const silent = part(standard('checker'));
export const throwing = part(standard('thrower', { jsonSchema: { input() { throw new Error('no words for it'); } } }));
export const plain = part(undefined);
`;

function foreign(modules: Record<string, string> = {}): string {
  const points = { described: './f.js:described', silent: './f.js:silent', throwing: './f.js:throwing' };
  const others = Object.fromEntries(Object.keys(modules).map((name) => [name, `./${name}.js:make`]));
  return temporaryDirectory({
    'node_modules/parts/package.json': JSON.stringify({
      name: 'parts',
      type: 'module',
      paster: { 'paste.app_install': { ...points, again: './f.js:plain', plain: './f.js:plain', ...others } },
    }),
    'node_modules/parts/f.js': FOREIGN,
    ...Object.fromEntries(Object.entries(modules).map(([name, text]) => [`node_modules/parts/${name}.js`, text])),
  });
}

test('--json lists settings of third-party parts whose schema describes them', async () => {
  const { stdout, stderr, status } = await points(foreign(), ['--json', 'paste.app_install']);
  expect([stderr, status]).toEqual(['', 0]);
  const [described, silent, throwing, again] = JSON.parse(stdout).groups['paste.app_install'];
  const setting = { aliases: [], required: false, help: '' };
  expect(described).toMatchObject({
    name: 'described',
    schema: 'describer',
    settings: [
      { ...setting, name: 'size', allowed: 'integer from 1 to 9', default: 5, help: 'How large.' },
      { ...setting, name: 'colour', allowed: 'red, a|b', help: 'Which\ncolour.', example: 'red' },
      { ...setting, name: 'name', allowed: 'string of at least 2 characters', required: true },
      { ...setting, name: 'odd', allowed: 'boolean, or maybe' },
    ],
  });
  for (const [part, schema] of [
    [silent, 'checker'],
    [throwing, 'thrower'],
    [again, undefined],
  ]) {
    expect(part.schema).toBe(schema);
    expect(part).not.toHaveProperty('settings');
  }
});

test('--markdown prints a page with a heading for each part', async () => {
  const { stdout, stderr, status } = await points(foreign(), ['--markdown', 'paste.app_install']);
  expect([stderr, status]).toEqual(['', 0]);
  expect(stdout).toBe(`## Installers (\`paste.app_install\`)

### parts#again

\`npm:parts#again\`, \`npm:parts#plain\`

### parts#described

\`npm:parts#described\`

| setting | allowed | default | meaning |
| --- | --- | --- | --- |
| \`size\` | integer from 1 to 9 | \`5\` | How large. |
| \`colour\` | red, a\\|b |  | Which colour. Example: \`red\` |
| \`name\` | string of at least 2 characters | required |  |
| \`odd\` | boolean, or maybe |  |  |

### parts#silent

\`npm:parts#silent\`

checker checks its settings, and does not describe them.

### parts#throwing

\`npm:parts#throwing\`

thrower checks its settings, and does not describe them.
`);
});

test('--markdown prints paster’s parts, with their names in Paste, and the settings of every server once', async () => {
  const { stdout } = await points(temporaryDirectory(), ['--markdown']);
  expect(stdout.match(/^## .*/gm)).toEqual([
    '## Applications (`paste.app_factory`)',
    '## Composites (`paste.composite_factory`)',
    '## Filters (`paste.filter_factory`)',
    '## Servers (`paste.server_factory`)',
    '## Templates (`paste.paster_create_template`)',
  ]);
  expect(stdout).toContain('\n### error_page\n');
  expect(stdout).toMatch(/^`npm:paster#error_page`, `egg:Paste#error_catcher`.* `npm:paster#evalerror`/m);
  expect(stdout).not.toContain('### evalerror');
  expect(stdout).toMatch(/^`npm:paster#cgi`, `egg:Paste#cgi`$/m);
  expect(stdout).toMatch(/^`npm:paster#cgi`, `egg:PasteScript#cgi`$/m);
  expect(stdout.match(/^\| `max_requests`, `maxRequests` \|/gm)).toHaveLength(1);
  expect(stdout).toContain('\nOther keys: /prefix, or domain NAME [port N] /prefix, and an application.\n');
  expect(stdout).toMatch(/^Without effect: `maxThreads` \(/m);
  expect(stdout).toContain('\nreq.session, kept in a signed cookie.\n');
  // No line ends with two periods, and no sentence begins with a small letter, except in lists and after a name in code.
  expect(stdout).not.toMatch(/\.\.$|^(?!- |[a-z]+\.[a-z])[a-z]+ .*\.$/m);
});

test('a module that cannot be imported is reported, and its part is listed', async () => {
  const directory = foreign({ wrong: 'throw new Error("no database")' });
  for (const form of ['--json', '--markdown']) {
    const { stdout, stderr, status } = await points(directory, [form, 'paste.app_install']);
    expect(status).toBe(0);
    expect(stdout).toContain('npm:parts#wrong');
    expect(stderr).toMatch(/^paster: warn: .*wrong\.js:1:7: .*no database/);
  }
});

test.each([
  ['that never becomes ready', 'await new Promise(() => {})', 'parts#bad (./bad.js:make) never becomes ready'],
  ['that ends the process', 'process.exit(0)', 'parts#bad (./bad.js:make) ended the process'],
])('a module %s is reported', async (_what, text, message) => {
  const { stdout, stderr, status } = await paster(['points', '--json'], { cwd: foreign({ bad: text }) }).finished();
  expect([stdout, status]).toEqual(['', 1]);
  expect(stderr).toContain(message);
});

test('without --json or --markdown it imports no package', async () => {
  const { stdout, stderr, status } = await points(foreign({ bad: 'process.exit(7)' }), ['paste.app_install']);
  expect([stderr, status]).toEqual(['', 0]);
  expect(stdout).toContain('  parts#bad\n');
});

test('--json and --markdown are mutually exclusive', async () => {
  expect(await points(temporaryDirectory(), ['--json', '--markdown'])).toMatchObject({ stdout: '', status: 2 });
});

test.each([
  ['app_factory', 'did you mean "paste.app_factory"?'],
  ['paste.sever_factory', 'did you mean "paste.server_factory"?'],
  ['x', 'there are: paste.app_factory, '],
])('the group %s is an error', async (group, hint) => {
  const { stdout, stderr, status } = await points(temporaryDirectory(), [group]);
  expect([stdout, status]).toEqual(['', 2]);
  expect(stderr).toContain(`paster: points: there is no group "${group}"`);
  expect(stderr).toContain(hint);
});
