/** When lines that are added to a file get there. */
import { readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { configureLogging, getLogger } from '../../src/index.ts';
import { LineFile } from '../../src/logging/line-file.ts';
import { hierarchy } from '../../src/logging/logger.ts';
import { temporaryDirectory } from '../helpers/directory.ts';
import { eventually } from '../helpers/program.ts';

function fresh(): { path: string; read(): string } {
  const path = join(temporaryDirectory(), 'a.log');
  return { path, read: () => readFileSync(path, 'utf8') };
}

test('lines wait for company', () => {
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
])('a line %s goes out, and those before it', (_what, now) => {
  const { path, read } = fresh();
  const file = new LineFile(path);
  file.add('one', 1000);
  file.add('two', now);
  expect(read()).toBe('one\ntwo\n');
});

test('many lines do not wait', () => {
  const { path, read } = fresh();
  const file = new LineFile(path);
  for (let each = 0; each < 160; each++) file.add('x'.repeat(1000), 1000);
  expect(read().length).toBeGreaterThan(100_000);
  file.close();
});

test('a file that is opened anew leaves nothing open behind it', async () => {
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

test('a file that was removed comes again', () => {
  const { path, read } = fresh();
  const file = new LineFile(path);
  rmSync(path);
  expect(file.hasMoved()).toBe(true);
  file.add('line', 1000);
  file.flush();
  expect(read()).toBe('line\n');
});

test.each([
  ['FileHandler', '"w"', ''],
  ['FileHandler', '"a"', 'old\n'],
  ['handlers.RotatingFileHandler', '"w", 1000, 2', 'old\n'],
  ['handlers.RotatingFileHandler', '"w", 0, 2', ''],
])('%s with %s begins with %j', async (handler, args, kept) => {
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
