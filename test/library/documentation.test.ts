/** The library's page and docstrings: its examples run unchanged, and every public name is documented. */
import { mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory, writeFiles } from '../helpers/directory.ts';
import { Program, ROOT } from '../helpers/programs/program.ts';

/** The code blocks of the page; each has its file name in its first line. */
function examples(): Record<string, string> {
  const page = readFileSync(join(ROOT, 'docs/library.md'), 'utf8');
  const blocks = [...page.matchAll(/^```\w+\n(?:#|\/\/) (\S+)\n(.*?)^```$/gms)];
  return Object.fromEntries(blocks.map(([, file = '', text = '']) => [file, text]));
}

function project(): string {
  const files = examples();
  expect(Object.keys(files)).toEqual(['etc/test.ini', 'app.js', 'test/app.test.js', 'serve.js']);
  const directory = temporaryDirectory({ 'package.json': '{"type": "module"}' });
  writeFiles(directory, files);
  mkdirSync(join(directory, 'node_modules'));
  symlinkSync(ROOT, join(directory, 'node_modules/paster'));
  return directory;
}

test('the example of an application’s own tests passes', async () => {
  const program = new Program(process.execPath, ['--test'], { cwd: project() });
  const { status, stdout } = await program.finished();
  expect(stdout).toMatch(/^# pass 1$/m);
  expect(status).toBe(0);
});

test('the example of a server serves', async () => {
  const program = new Program(process.execPath, ['serve.js'], { cwd: project() });
  expect(await program.finished()).toEqual({ status: 0, stdout: 'HELLO WORLD\n', stderr: '' });
});

test('every public name has a docstring', () => {
  const index = readFileSync(join(ROOT, 'src/index.ts'), 'utf8').replace(/\/\*.*?\*\//gs, '');
  const names = [...index.matchAll(/\{([^}]*)\}/g)].flatMap(([, list = '']) =>
    list
      .split(',')
      .map((name) => name.replace('type ', '').trim())
      .filter((name) => name !== ''),
  );
  expect(names).toContain('loadApp');
  const sources = readdirSync(join(ROOT, 'src'), { recursive: true })
    .map(String)
    .filter((file) => file.endsWith('.ts'))
    .map((file) => readFileSync(join(ROOT, 'src', file), 'utf8'))
    .join('\n');
  const undocumented = names.filter(
    (name) =>
      !new RegExp(
        `\\*/\\nexport (?:async |abstract |declare )*(?:function|class|interface|type|const) ${name}\\b`,
      ).test(sources),
  );
  expect(undocumented).toEqual([]);
});
