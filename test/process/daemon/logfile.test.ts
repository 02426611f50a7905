import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { RunError } from '../../../src/errors.ts';
import { LogFile } from '../../../src/process/daemon/logfile.ts';
import { buildSources, removeTree, temporaryDirectory } from '../program.ts';

let directory = '';

beforeEach(() => {
  directory = temporaryDirectory();
});
afterEach(() => removeTree(directory));

test('appends to the file, and reports one that cannot be opened with a hint', () => {
  const file = join(directory, 'a.log');
  writeFileSync(file, 'before\n');
  new LogFile(file).write('after\n');
  expect(readFileSync(file, 'utf8')).toBe('before\nafter\n');
  expect(() => new LogFile(join(directory, 'gone/a.log'))).toThrow(RunError);
  expect(() => new LogFile(directory)).toThrow(/cannot write the log file/);
});

test('captures every way of writing, reopens a renamed file, and restores the streams', async () => {
  const build = await buildSources();
  try {
    const script = `
      import { renameSync } from 'node:fs';
      import { LogFile } from ${JSON.stringify(`${build}/process/daemon/logfile.js`)};
      process.chdir(${JSON.stringify(directory)});
      const file = new LogFile('a.log');
      file.capture();
      console.log('console');
      process.stderr.write(Buffer.from('bytes\\n'));
      await new Promise((resolve) => process.stdout.write('646f6e650a', 'hex', resolve));
      renameSync('a.log', 'old.log');
      console.error('still the old one');
      file.reopen();
      console.log('the new one');
      file.release();
      console.log('the terminal');`;
    const output = execFileSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8' });
    expect(output).toBe('the terminal\n');
    expect(readFileSync(join(directory, 'old.log'), 'utf8')).toBe('console\nbytes\ndone\nstill the old one\n');
    expect(readFileSync(join(directory, 'a.log'), 'utf8')).toBe('the new one\n');
  } finally {
    removeTree(build);
  }
});
