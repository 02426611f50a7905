/** `paster check -v`: which packages are imported ahead, and why the others are not, in the words of `serve --reload -v`. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { paster } from '../../helpers/programs/program.ts';

const PACKAGES: Readonly<Record<string, string>> = {
  plain: '',
  dotenv: '',
  excepted: '',
  'reads-env': 'export const mode = process.env.CHECK_MODE;\n',
  listens: "process.on('warning', () => {});\n",
  last: '',
  waits: 'await new Promise((resolve) => process.env.CHECK_MODE && resolve());\n',
};

const APP = `import 'plain';
import 'excepted';
import 'dotenv';
import './setup.js';
import 'reads-env';
import 'listens';
import 'last';
import { writeFileSync } from 'node:fs';
export const makeApp = () => writeFileSync('called', '');
`;

const INI = '[app:main]\nuse = call:./app.js:makeApp\n\n[server:main]\nuse = npm:paster#http\nport = 0\n';

function project(): string {
  const directory = temporaryDirectory({
    'package.json': '{"type": "module"}',
    'app.js': APP,
    'setup.js': "process.env.CHECK_MODE = 'own';\n",
    'program.js': 'require("node:fs").writeFileSync("called", "");\n',
    'app.ini': `${INI}reload_preload_except = excepted\n`,
    'off.ini': `${INI}reload_preload = off\n`,
    'waits.js': "import 'plain';\nimport './setup.js';\nimport 'waits';\nexport const makeApp = () => {};\n",
    'waits.ini': INI.replace('app.js', 'waits.js'),
    'program.ini': INI.replace('call:./app.js:makeApp', 'listen:./program.js'),
    'broken.ini': INI.replace('call:', 'cal:'),
  });
  for (const [name, text] of Object.entries(PACKAGES)) {
    const home = join(directory, 'node_modules', name);
    mkdirSync(home, { recursive: true });
    writeFileSync(join(home, 'package.json'), JSON.stringify({ name, type: 'module', exports: './index.js' }));
    writeFileSync(join(home, 'index.js'), text);
  }
  return directory;
}

test('prints the packages, and why others are left out, and calls no factory', {
  timeout: 120_000,
}, async () => {
  const directory = project();
  const check = async (...args: readonly string[]) => {
    const { stdout, stderr, status } = await paster(['check', ...args], { cwd: directory }).finished();
    return { lines: stdout.trimEnd().split('\n'), stderr, status };
  };
  expect(await check('app.ini', '-v')).toEqual({
    lines: [
      'app.ini: ok',
      'excepted is not imported ahead: it is in reload_preload_except',
      'dotenv is not imported ahead: it depends on what runs before it, or changes what runs after it',
      'listens is not imported ahead, nor is what comes after it: it listens to "warning" of the process',
      'reads-env is not imported ahead, nor is what comes after it: it reads CHECK_MODE, which the application sets',
      'imported ahead: plain',
    ],
    stderr: '',
    status: 0,
  });
  expect((await check('waits.ini', '-v')).lines).toEqual([
    'waits.ini: ok',
    'waits is not imported ahead, nor is what comes after it: it waits for something when it is imported',
    'imported ahead: plain',
  ]);
  expect(await check('off.ini', '-v')).toMatchObject({
    lines: ['off.ini: ok', 'no packages are imported ahead: reload_preload is off'],
  });
  expect(await check('program.ini', '--verbose')).toMatchObject({
    lines: [
      'program.ini: ok',
      'the packages of a program are known once it runs: serve --reload -v says what it imports ahead',
    ],
  });
  expect((await check('broken.ini', '-v')).lines).toEqual([
    expect.stringMatching(/^broken\.ini:/),
    expect.stringMatching(/^ {2}PASTER_\w+: docs\/error-codes\.md#paster_\w+$/),
  ]);
  expect(existsSync(join(directory, 'called'))).toBe(false);
});
