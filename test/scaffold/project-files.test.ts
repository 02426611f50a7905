/** Templates to files: names, rendering, and how the files of several templates are combined. */
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type ProjectFile, projectFiles } from '../../src/scaffold/project-files.ts';
import type { FoundTemplate } from '../../src/scaffold/template.ts';
import { temporaryDirectory } from '../helpers/directory.ts';

const PACKAGE = '{"dependencies": {"express": "^5.0.0"}, "devDependencies": {"tsx": "^4.0.0"}}';

function template(files: Readonly<Record<string, string>>): FoundTemplate {
  const root = temporaryDirectory({ 'package.json': PACKAGE });
  const directory = temporaryDirectory(files);
  return { name: 't', package: 'p', root, directory, summary: '', requires: [], variables: [] };
}

function texts(files: readonly ProjectFile[]): Record<string, string> {
  return Object.fromEntries(files.map(({ path, content }) => [path, content.toString()]));
}

test('a file’s name decides about a leading dot, inserted names and rendering', async () => {
  const files = await projectFiles(
    [
      template({
        __gitignore: 'x',
        'src/__init': 'y',
        '+name+/app.+language+_tmpl': '{{name}}',
        'raw.txt': '{{name}}',
        'template.ini': '[template]',
        'inner/template.ini': 'kept',
      }),
    ],
    { name: 'shop', language: 'ts' },
  );
  expect(texts(files)).toEqual({
    '.gitignore': 'x',
    'src/.init': 'y',
    'shop/app.ts': 'shop',
    'raw.txt': '{{name}}',
    'inner/template.ini': 'kept',
  });
});

test('binary files are copied unchanged, and executable ones stay executable', async () => {
  const each = template({ 'run.sh': '#!/bin/sh\n', 'logo.png': '\0\u{1f600}' });
  chmodSync(join(each.directory, 'run.sh'), 0o755);
  const files = await projectFiles([each], {});
  expect(files.map(({ path, mode }) => [path, mode])).toEqual([
    ['logo.png', 0o644],
    ['run.sh', 0o755],
  ]);
  expect(texts(files)['logo.png']).toBe('\0\u{1f600}');
});

test('a file that is empty after rendering is not written', async () => {
  const each = template({ 'tsconfig.json_tmpl': '{{#language=ts}}\n{}\n{{/language}}\n', empty: '' });
  expect(texts(await projectFiles([each], { language: 'js' }))).toEqual({ empty: '' });
  expect(texts(await projectFiles([each], { language: 'ts' }))).toEqual({ 'tsconfig.json': '{}\n', empty: '' });
});

test('a value is quoted for the kind of file', async () => {
  const each = template({ 'a.ini_tmpl': 'a = {{text}}', 'a.json_tmpl': '{"a": "{{text}}"}', 'a.md_tmpl': '{{text}}' });
  expect(texts(await projectFiles([each], { text: '100% "so"' }))).toEqual({
    'a.ini': 'a = 100%% "so"',
    'a.json': '{"a": "100% \\"so\\""}',
    'a.md': '100% "so"',
  });
});

test('versions are those in the package.json of the template’s package', async () => {
  const each = template({ a_tmpl: '{{version:express}} {{version:tsx}}' });
  expect(texts(await projectFiles([each], {}))).toEqual({ a: '^5.0.0 ^4.0.0' });
  await expect(projectFiles([template({ a_tmpl: '{{version:koa}}' })], {})).rejects.toThrow('"version:koa"');
});

test('a later file replaces an earlier one, and JSON objects are merged', async () => {
  const below = template({
    'a.txt': 'below',
    'package.json':
      '{"name": "x", "scripts": {"test": "a"}, "dependencies": {"paster": "1", "zod": "1"}, "files": ["a"]}',
  });
  const above = template({
    'a.txt': 'above',
    'package.json': '{"scripts": {"dev": "b"}, "dependencies": {"express": "5", "zod": "2"}, "files": ["b"]}',
  });
  const files = texts(await projectFiles([below, above], {}));
  expect(files['a.txt']).toBe('above');
  const manifest: unknown = JSON.parse(files['package.json'] ?? '');
  expect(manifest).toEqual({
    name: 'x',
    scripts: { test: 'a', dev: 'b' },
    dependencies: { express: '5', paster: '1', zod: '2' },
    files: ['b'],
  });
  expect(Object.keys((manifest as { dependencies: object }).dependencies)).toEqual(['express', 'paster', 'zod']);
});

test('no file is written outside the project', async () => {
  const each = template({ '+where+': 'x' });
  await expect(projectFiles([each], { where: '../up' })).rejects.toThrow('would be written outside the project: ../up');
  await expect(projectFiles([each], { where: '/abs' })).rejects.toThrow('outside the project');
});
