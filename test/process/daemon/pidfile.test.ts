import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import { readPidFile, writePidFile } from '../../../src/process/daemon/pidfile.ts';
import { Program, ROOT } from '../../helpers/programs/program.ts';
import { buildSources, removeTree, temporaryDirectory } from '../program.ts';

let directory = '';
let file = '';

beforeEach(() => {
  directory = temporaryDirectory();
  file = join(directory, 'paster.pid');
});
afterEach(() => removeTree(directory));

test('has the PID of this process, and is removed when it ends', () => {
  const written = writePidFile(file);
  expect(readFileSync(file, 'utf8').split('\n')[0]).toBe(String(process.pid));
  expect(readPidFile(file)).toMatchObject({ state: 'running', pid: process.pid, graceful: 30 });
  expect(readdirSync(directory)).toEqual(['paster.pid']);
  written.remove();
  expect(readPidFile(file)).toEqual({ state: 'absent' });
});

test('with the PID of another process is stale', () => {
  writePidFile(file);
  const [, start] = readFileSync(file, 'utf8').split('\n');
  writeFileSync(file, `${process.ppid}\n${start}\n`);
  expect(readPidFile(file)).toEqual({ state: 'stale', pid: process.ppid });
  writeFileSync(file, `${process.pid}\n`);
  expect(readPidFile(file)).toEqual({ state: 'stale', pid: process.pid });
});

test.each(['', 'no number\n', '0\n', '-1\n', '1e3\n'])('with the text %j has no PID', (text) => {
  writeFileSync(file, text);
  expect(readPidFile(file)).toEqual({ state: 'stale', pid: undefined });
});

test('is replaced if it is stale, but not if its server is running', async () => {
  writeFileSync(file, '999999999\nlong ago\n');
  writePidFile(file).remove();
  const other = spawn(process.execPath, ['--eval', 'setInterval(() => {}, 1000); console.log("up")'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await new Promise((resolve) => other.stdout.once('data', resolve));
  // Field 22 is the time when the process started (proc(5)).
  const start = readFileSync(`/proc/${other.pid}/stat`, 'utf8').split(' ')[21];
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  writeFileSync(file, `${other.pid}\n${start} ${bootId}\n`);
  expect(() => writePidFile(file)).toThrow(`a server is already running: ${file} names process ${other.pid}`);
  other.kill('SIGKILL');
  await new Promise((resolve) => other.once('exit', resolve));
  writePidFile(file).remove();
});

test('is not removed when another process has written it', () => {
  const written = writePidFile(file);
  writeFileSync(file, '1\nother\n');
  written.remove();
  expect(existsSync(file)).toBe(true);
});

test('in a directory that does not exist is an error', () => {
  expect(() => writePidFile(join(directory, 'run', 'a.pid'))).toThrow(/cannot write the pid file .*a\.pid/);
});

test('of several processes that start at once over a stale file, only one gets it', async () => {
  const files = Array.from({ length: 300 }, (_, index) => join(directory, `${index}.pid`));
  for (const each of files) writeFileSync(each, '999999999\nlong ago\n30\n');
  const build = await buildSources();
  onTestFinished(() => removeTree(build));
  // All of them start in a second, when they have loaded.
  const moment = String(Date.now() + 1000);
  const args = [join(ROOT, 'test/fixtures/process/claims-pid-files.mjs'), moment, ...files];
  const env = { PASTER_BUILD: build };
  const claims = [1, 2, 3].map(() => new Program(process.execPath, args, { env }));
  await Promise.all(claims.map((claim) => claim.says(/\n/)));
  const got = claims.flatMap((claim) => JSON.parse(claim.stdout) as string[]);
  expect(got.sort()).toEqual(files.sort());
  expect(readdirSync(directory)).toHaveLength(files.length);
});
