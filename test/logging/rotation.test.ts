/** Files that are rotated, as two processes see them: each has opened the file itself, and either may be in the middle of an operation. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  constants,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { LineFile } from '../../src/logging/output/line-file.ts';
import { type Rotation, rotateIfDue, SizeRotation, TimedRotation } from '../../src/logging/output/rotation.ts';
import { temporaryDirectory } from '../helpers/directory.ts';

/** 40 bytes with its line feed. */
const LINE = 'x'.repeat(39);

/** A file as one process has opened it. */
function opened(path: string, rotation: Rotation): LineFile {
  const file: LineFile = new LineFile(path, {
    room: () => rotation.room(file),
    beforeWrite: (length) => rotateIfDue(file, rotation, length),
  });
  return file;
}

function write(file: LineFile, line = LINE): void {
  file.add(line, Date.now());
  file.flush();
}

/** The content of each file in the directory. */
function contents(directory: string): Record<string, string> {
  const names = readdirSync(directory).sort();
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(directory, name), 'utf8')]));
}

test('one process rotates a file, and the other follows', () => {
  const directory = temporaryDirectory();
  const path = join(directory, 'a.log');
  const [one, other] = [opened(path, new SizeRotation(100, 5)), opened(path, new SizeRotation(100, 5))];
  write(one, 'one');
  write(one);
  write(other);
  write(one);
  write(other, 'after');
  expect(contents(directory)).toEqual({ 'a.log': `${LINE}\nafter\n`, 'a.log.1': `one\n${LINE}\n${LINE}\n` });
});

test('a file is not rotated again if another process has rotated it between the check and the lock', () => {
  const directory = temporaryDirectory();
  const path = join(directory, 'a.log');
  const rotation = new SizeRotation(10, 5);
  const [late, early] = [new LineFile(path), new LineFile(path)];
  write(early);
  const overtaken: Rotation = {
    isDue() {
      rotateIfDue(early, rotation, 40);
      return true;
    },
    room: () => 0,
    rotate: (name) => rotation.rotate(name),
    onNewFile() {},
  };
  rotateIfDue(late, overtaken, 40);
  write(late, 'late');
  expect(contents(directory)).toEqual({ 'a.log': 'late\n', 'a.log.1': `${LINE}\n` });
});

test('lines that went to a file which another process has removed are written again', () => {
  const directory = temporaryDirectory();
  const path = join(directory, 'a.log');
  const file = new LineFile(path, {
    beforeWrite() {
      renameSync(path, `${path}.1`);
      rmSync(`${path}.1`);
    },
  });
  write(file, 'kept');
  expect(contents(directory)).toEqual({ 'a.log': 'kept\n' });
});

test('an empty file is not rotated, however long the first line is', () => {
  const directory = temporaryDirectory();
  const file = opened(join(directory, 'a.log'), new SizeRotation(10, 5));
  write(file);
  expect(Object.keys(contents(directory))).toEqual(['a.log']);
  write(file);
  expect(Object.keys(contents(directory))).toEqual(['a.log', 'a.log.1']);
});

test('buffered lines fill a file only up to its limit', () => {
  const directory = temporaryDirectory();
  const file = opened(join(directory, 'a.log'), new SizeRotation(100, 9));
  for (const line of ['1', '2', '3', '4', '5', '6', '7']) file.add(line.repeat(29), Date.now());
  file.add('9'.repeat(200), Date.now());
  file.add('the end', Date.now());
  file.flush();
  const lines = Object.values(contents(directory)).map((text) =>
    text
      .split('\n')
      .map((line) => line.slice(0, 1))
      .join(''),
  );
  expect(lines).toEqual(['t', '9', '7', '456', '123']);
});

test('a file that cannot be rotated is written to, and that is reported once', () => {
  const directory = temporaryDirectory({ 'a.log.1/not-empty': '' });
  const stderr = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  onTestFinished(() => stderr.mockRestore());
  const file = opened(join(directory, 'a.log'), new SizeRotation(10, 1));
  for (const line of ['first line', 'second line', 'third line']) write(file, line);
  expect(readFileSync(join(directory, 'a.log'), 'utf8')).toBe('first line\nsecond line\nthird line\n');
  expect(stderr.mock.calls).toEqual([[expect.stringMatching(/^paster: cannot rotate the log file .*a\.log: EISDIR/)]]);
});

test('only the configured number of files is kept', () => {
  const directory = temporaryDirectory();
  const file = opened(join(directory, 'a.log'), new SizeRotation(10, 2));
  for (const line of ['1', '2', '3', '4', '5']) write(file, line.repeat(20));
  const kept = { 'a.log': '5', 'a.log.1': '4', 'a.log.2': '3' };
  expect(contents(directory)).toEqual(
    Object.fromEntries(Object.entries(kept).map(([name, line]) => [name, `${line.repeat(20)}\n`])),
  );
});

test.each([
  [0, 5],
  [10, 0],
])('nothing is rotated with a limit of %d bytes and %d files to keep', (limit, keep) => {
  const directory = temporaryDirectory();
  const file = opened(join(directory, 'a.log'), new SizeRotation(limit, keep));
  for (const line of ['first line', 'second line']) write(file, line);
  expect(contents(directory)).toEqual({ 'a.log': 'first line\nsecond line\n' });
});

test('no process waits for the lock of a running process', () => {
  const directory = temporaryDirectory({ 'a.log.lock': String(process.pid) });
  const path = join(directory, 'a.log');
  const file = opened(path, new SizeRotation(10, 5));
  write(file, 'first line');
  write(file, 'second line');
  expect(contents(directory)).toEqual({ 'a.log': 'first line\nsecond line\n', 'a.log.lock': String(process.pid) });
  rmSync(`${path}.lock`);
  write(file, 'third line');
  expect(contents(directory)).toEqual({ 'a.log': 'third line\n', 'a.log.1': 'first line\nsecond line\n' });
});

test.each([
  ['of a process that has ended', () => String(spawnSync('true').pid), 0],
  ['that is older than any rotation could be', () => String(process.pid), 60],
  ['that was never finished', () => '', 60],
])('a lock %s is removed', (_what, owner, age) => {
  const directory = temporaryDirectory({ 'a.log.lock': owner() });
  const path = join(directory, 'a.log');
  const then = Date.now() / 1000 - age;
  utimesSync(`${path}.lock`, then, then);
  const file = opened(path, new SizeRotation(10, 5));
  for (const line of ['first line', 'second line', 'third line']) write(file, line);
  expect(contents(directory)).toEqual({ 'a.log': 'third line\n', 'a.log.1': 'first line\nsecond line\n' });
});

test('a lock that is just being acquired is kept', () => {
  const directory = temporaryDirectory({ 'a.log.lock': '' });
  const path = join(directory, 'a.log');
  const file = opened(path, new SizeRotation(10, 5));
  for (const line of ['first line', 'second line', 'third line']) write(file, line);
  expect(existsSync(`${path}.lock`)).toBe(true);
  expect(existsSync(`${path}.1`)).toBe(false);
});

test('a lock that was acquired between the check of a stale one and its removal is kept', () => {
  const dead = spawnSync('true').pid;
  const directory = temporaryDirectory({ 'a.log.lock': String(dead) });
  const lock = join(directory, 'a.log.lock');
  const file = opened(join(directory, 'a.log'), new SizeRotation(10, 5));
  write(file, 'first line');
  const { kill } = process;
  const spy = vi.spyOn(process, 'kill').mockImplementation((pid, signal) => {
    if (pid === dead) {
      rmSync(lock);
      writeFileSync(lock, String(process.ppid));
    }
    return kill.call(process, pid, signal);
  });
  onTestFinished(() => spy.mockRestore());
  write(file, 'second line');
  expect(contents(directory)).toEqual({ 'a.log': 'first line\nsecond line\n', 'a.log.lock': String(process.ppid) });
});

test('a lock that another process has taken over is not released', () => {
  const directory = temporaryDirectory();
  const path = join(directory, 'a.log');
  const file = new LineFile(path);
  const slow: Rotation = {
    isDue: () => true,
    room: () => 0,
    rotate: () => writeFileSync(`${path}.lock`, String(process.ppid)),
    onNewFile() {},
  };
  rotateIfDue(file, slow, 1);
  expect(contents(directory)).toEqual({ 'a.log': '', 'a.log.lock': String(process.ppid) });
});

test('a device or a FIFO is written to and never renamed', () => {
  const directory = temporaryDirectory();
  const [fifo, link] = [join(directory, 'a.log'), join(directory, 'link.log')];
  execFileSync('mkfifo', [fifo]);
  symlinkSync('/dev/null', link);
  // Without a reader, opening the FIFO must fail instead of waiting.
  expect(() => opened(fifo, new SizeRotation(10, 1))).toThrow(/ENXIO/);
  const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
  for (const path of [fifo, link]) {
    const file = opened(path, new SizeRotation(10, 1));
    for (const line of ['first line', 'second line']) write(file, line);
    file.close();
  }
  expect(readFileSync(reader, 'utf8')).toBe('first line\nsecond line\n');
  closeSync(reader);
  expect(readdirSync(directory).sort()).toEqual(['a.log', 'link.log']);
});

test('a symbolic link is not renamed instead of its file', () => {
  const directory = temporaryDirectory();
  const path = join(directory, 'a.log');
  symlinkSync('real.log', path);
  const stderr = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  onTestFinished(() => stderr.mockRestore());
  const file = opened(path, new SizeRotation(10, 1));
  for (const line of ['first line', 'second line']) write(file, line);
  expect(stderr.mock.calls).toEqual([
    [expect.stringMatching(/^paster: cannot rotate .*: its name is a symbolic link/)],
  ]);
  expect(readFileSync(join(directory, 'real.log'), 'utf8')).toBe('first line\nsecond line\n');
});

const DAY = 86_400;
/** 2026-11-21, 09:00 UTC. */
const MORNING = Date.UTC(2026, 10, 21, 9) / 1000;

test('a daily file is named after its day, and stays if a file has that name', () => {
  const directory = temporaryDirectory({ 'a.log': 'old\n', 'a.log.2026-11-20': 'earlier\n' });
  const path = join(directory, 'a.log');
  const yesterday = new TimedRotation('midnight', 1, 0, true, MORNING - DAY);
  expect(yesterday.isDue(new LineFile(path), 1, MORNING * 1000)).toBe(true);
  yesterday.rotate(path);
  expect(contents(directory)).toEqual({ 'a.log': 'old\n', 'a.log.2026-11-20': 'earlier\n' });
  rmSync(`${path}.2026-11-20`);
  yesterday.rotate(path);
  expect(contents(directory)).toEqual({ 'a.log.2026-11-20': 'old\n' });
});

test('the newest daily files are kept, and files with other names are not touched', () => {
  const others = ['a.log.bak', 'a.log.2026-11', 'b.log.2026-11-01'];
  const days = ['a.log.2026-11-17', 'a.log.2026-11-18', 'a.log.2026-11-19'];
  const directory = temporaryDirectory(Object.fromEntries([...others, ...days].map((name) => [name, ''])));
  writeFileSync(join(directory, 'a.log'), '');
  new TimedRotation('midnight', 1, 2, true, MORNING - DAY).rotate(join(directory, 'a.log'));
  expect(Object.keys(contents(directory)).sort()).toEqual([...others, 'a.log.2026-11-19', 'a.log.2026-11-20'].sort());
});

test('all daily files are kept if no number is configured', () => {
  const directory = temporaryDirectory({ 'a.log': '', 'a.log.2026-11-01': '' });
  new TimedRotation('midnight', 1, 0, true, MORNING - DAY).rotate(join(directory, 'a.log'));
  expect(Object.keys(contents(directory))).toEqual(['a.log.2026-11-01', 'a.log.2026-11-20']);
});
