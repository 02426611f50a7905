/** When lines reach the file that they are added to. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { configureLogging, getLogger } from '../../src/index.ts';
import { LineFile } from '../../src/logging/output/line-file.ts';
import { hierarchy } from '../../src/logging/python/logger.ts';
import { mountSmallDisk, temporaryDirectory } from '../helpers/directory.ts';
import { eventually, requireRoot } from '../helpers/programs/program.ts';

function fresh(): { path: string; read(): string } {
  const path = join(temporaryDirectory(), 'a.log');
  return { path, read: () => readFileSync(path, 'utf8') };
}

test('lines are buffered for a tenth of a second', () => {
  const { path, read } = fresh();
  const file = new LineFile(path);
  file.add('one', 1000);
  file.add('two', 1099);
  expect(read()).toBe('');
  file.close();
  expect(read()).toBe('one\ntwo\n');
});

test.each([
  ['that came a tenth of a second later', 1100],
  ['by a clock that was set back', 999],
])('a line %s is written, together with those before it', (_what, now) => {
  const { path, read } = fresh();
  const file = new LineFile(path);
  file.add('one', 1000);
  file.add('two', now);
  expect(read()).toBe('one\ntwo\n');
});

test('many lines are written without waiting', () => {
  const { path, read } = fresh();
  const file = new LineFile(path);
  for (let each = 0; each < 160; each++) file.add('x'.repeat(1000), 1000);
  expect(read().length).toBeGreaterThan(100_000);
  file.close();
});

test('a reopened file leaks no descriptor', async () => {
  const { path } = fresh();
  const file = new LineFile(path);
  const before = readdirSync('/proc/self/fd').length;
  for (let each = 0; each < 20; each++) {
    file.add('line', 1000);
    file.flush();
    renameSync(path, `${path}.old`);
    file.reopen();
  }
  await eventually(() => readdirSync('/proc/self/fd').length < before + 5);
});

test('a removed file is created again', () => {
  const { path, read } = fresh();
  const file = new LineFile(path);
  rmSync(path);
  expect(file.hasMoved()).toBe(true);
  file.add('line', 1000);
  file.flush();
  expect(read()).toBe('line\n');
});

/** Captures standard error during the test. @returns a function that returns its text */
function captureStderr(): () => string {
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  onTestFinished(() => write.mockRestore());
  return () => write.mock.calls.map(([text]) => String(text)).join('');
}

test('lines are written when a file that could not be opened can be opened', () => {
  const directory = temporaryDirectory();
  const path = join(directory, 'later/a.log');
  const stderr = captureStderr();
  const file = new LineFile(path, { delay: true });
  for (const line of ['one', 'two']) {
    file.add(line, 1000);
    file.flush();
  }
  mkdirSync(join(directory, 'later'));
  file.add('three', 1000);
  file.flush();
  expect(readFileSync(path, 'utf8')).toBe('one\ntwo\nthree\n');
  expect(stderr()).toMatch(
    /^paster: cannot write the log file .*ENOENT.*\npaster: the log file .* can be written again\n$/,
  );
});

test.runIf(requireRoot())('on a full disk lines are kept, then dropped and counted, until there is space', async () => {
  const directory = temporaryDirectory();
  mountSmallDisk(directory);
  const stderr = captureStderr();
  const path = join(directory, 'a.log');
  const file = new LineFile(path);
  const filler = join(directory, 'filler');
  writeFileSync(filler, 'x'.repeat(50_000));
  const line = 'x'.repeat(9999);
  for (let each = 0; each < 200; each++) {
    file.add(`${each} ${line}`, 1000);
    file.flush();
  }
  expect(stderr()).toMatch(/^paster: cannot write the log file .*: ENOSPC.*\n$/);
  rmSync(filler);
  execFileSync('mount', ['-o', 'remount,size=8m', directory]);
  // Without another line.
  await eventually(() => stderr().includes('again'));
  const written = readFileSync(path, 'utf8').trimEnd().split('\n');
  expect(written.every((each, number) => each === `${number} ${line}`)).toBe(true);
  expect(stderr()).toContain(`can be written again; ${200 - written.length} lines were dropped\n`);
  expect(written.length).toBeGreaterThan(100);
  file.close();
});

test.each([
  ['FileHandler', '"w"', ''],
  ['FileHandler', '"a"', 'old\n'],
  ['handlers.RotatingFileHandler', '"w", 1000, 2', 'old\n'],
  ['handlers.RotatingFileHandler', '"w", 0, 2', ''],
])('%s with %s starts with %j', async (handler, args, kept) => {
  const directory = temporaryDirectory({
    'x.log': 'old\n',
    'x.ini': `[loggers]\nkeys = root\n[logger_root]\nlevel = INFO\nhandlers = h\n[handlers]\nkeys = h
[handler_h]\nclass = ${handler}\nformatter = f\nargs = ("%(here)s/x.log", ${args})
[formatters]\nkeys = f\n[formatter_f]\nformat = %(message)s\n`,
  });
  await configureLogging(join(directory, 'x.ini'));
  getLogger('x').info('new');
  hierarchy().flush();
  expect(readFileSync(join(directory, 'x.log'), 'utf8')).toBe(`${kept}new\n`);
});
