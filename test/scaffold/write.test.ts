/** All files are written or none: existing files, and what is left behind if writing fails or is interrupted. */
import {
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Interruption } from '../../src/scaffold/interruption.ts';
import type { ProjectFile } from '../../src/scaffold/project-files.ts';
import { compareFiles, type Decision, planFiles, writeFiles } from '../../src/scaffold/write.ts';
import { temporaryDirectory } from '../helpers/directory.ts';
import { requireRoot } from '../helpers/programs/program.ts';

function file(path: string, text = 'new'): ProjectFile {
  return { path, content: Buffer.from(text), mode: 0o644 };
}

async function write(root: string, files: readonly ProjectFile[], decision: Decision, signal?: AbortSignal) {
  const planned = await planFiles(await compareFiles(root, files), () => decision);
  await writeFiles(root, planned, signal);
  return planned.map(({ outcome }) => outcome);
}

function tree(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort();
}

test('creates directories, also above the root, and keeps existing files', async () => {
  const directory = temporaryDirectory({ 'a/same': 'new', 'a/mine': 'mine' });
  const root = join(directory, 'a');
  expect(await write(root, [file('same'), file('b/c/d'), file('b/e'), file('f')], 'kept')).toEqual([
    'same',
    'created',
    'created',
    'created',
  ]);
  expect(tree(root)).toEqual(['b', 'b/c', 'b/c/d', 'b/e', 'f', 'mine', 'same']);
  await write(join(directory, 'x/y'), [file('z')], 'kept');
  expect(tree(join(directory, 'x'))).toEqual(['y', 'y/z']);
  expect(statSync(join(directory, 'x')).mode & 0o777).toBe(0o777 & ~process.umask());
});

test('keeps, overwrites or backs up existing files', async () => {
  const directory = temporaryDirectory({ a: 'mine' });
  await write(directory, [file('a')], 'kept');
  expect(readFileSync(join(directory, 'a'), 'utf8')).toBe('mine');
  for (const text of ['second', 'third', 'fourth']) await write(directory, [file('a', text)], 'backed up');
  expect(tree(directory)).toEqual(['a', 'a.bak', 'a.bak2', 'a.bak3']);
  expect(readFileSync(join(directory, 'a.bak'), 'utf8')).toBe('mine');
  expect(readFileSync(join(directory, 'a.bak3'), 'utf8')).toBe('third');
  await write(directory, [file('a', 'fifth')], 'overwritten');
  expect(readFileSync(join(directory, 'a'), 'utf8')).toBe('fifth');
});

test('an aborted signal leaves nothing behind', async () => {
  const directory = temporaryDirectory({ a: 'mine' });
  await expect(write(directory, [file('a'), file('b/c')], 'overwritten', AbortSignal.abort())).rejects.toThrow(
    Interruption,
  );
  expect(tree(directory)).toEqual(['a']);
  expect(readFileSync(join(directory, 'a'), 'utf8')).toBe('mine');
});

test('a failure in the middle reverts everything', async () => {
  const directory = temporaryDirectory({ a: 'mine', b: 'mine' });
  const planned = await planFiles(
    await compareFiles(directory, [file('a'), file('n/m'), file('b'), file('c')]),
    () => 'overwritten',
  );
  // After the comparison, another process creates a directory at the path of the file.
  mkdirSync(join(directory, 'c/full'), { recursive: true });
  await expect(writeFiles(directory, planned)).rejects.toThrow(/cannot write /);
  expect(tree(directory)).toEqual(['a', 'b', 'c', 'c/full']);
  expect(readFileSync(join(directory, 'a'), 'utf8')).toBe('mine');
  expect(readFileSync(join(directory, 'b'), 'utf8')).toBe('mine');
});

test('a file in place of a directory, or a directory in place of a file, is an error', async () => {
  const directory = temporaryDirectory({ file: '', 'directory/x': '' });
  await expect(compareFiles(join(directory, 'file'), [file('a')])).rejects.toThrow(
    `${directory}/file is a file, not a directory`,
  );
  await expect(compareFiles(directory, [file('file/b/c')])).rejects.toThrow(`${directory}/file is a file`);
  await expect(compareFiles(directory, [file('directory')])).rejects.toThrow(
    `cannot write ${directory}/directory: there is a directory of this name`,
  );
});

test('a dangling link is replaced, not followed', async () => {
  const directory = temporaryDirectory();
  symlinkSync('/nowhere/at/all', join(directory, 'a'));
  await write(directory, [file('a')], 'kept');
  expect(readFileSync(join(directory, 'a'), 'utf8')).toBe('new');
});

test('lines are added to the target of a link, and to no file if a later file cannot be written', async () => {
  const directory = temporaryDirectory({ 'shared/real.json': '{}', b: 'mine' });
  symlinkSync('shared/real.json', join(directory, 'package.json'));
  const extended = { ...file('package.json', '{"new": 1}'), isExtension: true };
  await write(directory, [extended], 'kept');
  expect(readlinkSync(join(directory, 'package.json'))).toBe('shared/real.json');
  expect(readFileSync(join(directory, 'shared/real.json'), 'utf8')).toBe('{"new": 1}');

  const again = { ...extended, content: Buffer.from('{}') };
  const planned = await planFiles(await compareFiles(directory, [again, file('c')]), () => 'overwritten');
  mkdirSync(join(directory, 'c/full'), { recursive: true });
  await expect(writeFiles(directory, planned)).rejects.toThrow(/cannot write /);
  expect(readFileSync(join(directory, 'shared/real.json'), 'utf8')).toBe('{"new": 1}');
  expect(lstatSync(join(directory, 'package.json')).isSymbolicLink()).toBe(true);
});

test.skipIf(!requireRoot())('a link that another user made to a file of root is not followed', async () => {
  const directory = temporaryDirectory({ 'real.json': '{}' });
  const link = join(directory, 'package.json');
  symlinkSync('real.json', link);
  lchownSync(link, 65534, 65534);
  await expect(write(directory, [{ ...file('package.json'), isExtension: true }], 'kept')).rejects.toThrow(
    `another user made this link, and ${directory}/real.json does not belong to that user`,
  );
  expect(readFileSync(join(directory, 'real.json'), 'utf8')).toBe('{}');
});
