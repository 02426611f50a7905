/** Shared by the tests of `paster check`: files to check, and the findings as lines. */
import { join } from 'node:path';
import { checkFile } from '../../../src/deploy/check/check.ts';
import { formatError } from '../../../src/errors.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { runHere } from '../../helpers/programs/command.ts';
import { type Finished, paster } from '../../helpers/programs/program.ts';

/** The text of `app.mjs`, next to each checked file. Its factories write a file `called`. */
export const MODULE = `
import { writeFileSync } from 'node:fs';
const called = () => { writeFileSync(new URL('called', import.meta.url), ''); return (req, res) => res.end(); };
export const make = () => called();
export const makeComposite = () => called();
export const value = 42;
export const typed = () => called();
typed.settings = { '~standard': { version: 1, vendor: 'test', validate: (given) =>
  given.size === '1' ? { value: given } : { issues: [{ message: 'must be 1', path: ['size'] }] } } };
export const broken = () => called();
broken.settings = { '~standard': { version: 1, vendor: 'test', validate() { throw new TypeError('no schema'); } } };
export default called;
`;

export const SERVER = '[server:main]\nuse = npm:paster#http\n';

/** Code that never returns, like a loop, but takes no processor time from the other tests. */
export const BLOCKS = 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);\n';

/** Runs `paster check` on `x.ini`, or with other arguments, in a directory with these files. */
export async function check(
  files: Readonly<Record<string, string>>,
  args: readonly string[] = ['x.ini'],
): Promise<Finished> {
  return checkWith((words, cwd) => runHere(words, { cwd }), files, args);
}

/** Runs `paster check` in its own process, for modules that end the process or never return. */
export async function checkInProcess(files: Readonly<Record<string, string>>): Promise<Finished> {
  return checkWith((words, cwd) => paster(words, { cwd }).finished(), files, ['x.ini']);
}

async function checkWith(
  run: (words: readonly string[], cwd: string) => Promise<Finished>,
  files: Readonly<Record<string, string>>,
  args: readonly string[],
): Promise<Finished> {
  const directory = temporaryDirectory({ 'app.mjs': MODULE, ...files });
  const finished = await run(['check', ...args], directory);
  return { ...finished, stdout: finished.stdout.replaceAll(directory, '$DIR') };
}

/**
 * The findings of `check` for a file, as the lines that it prints but without the name of the file. It runs in this
 * process, because a process for each file would take most of the time of these tests.
 */
export async function lines(ini: string, others: Readonly<Record<string, string>> = {}): Promise<string[]> {
  const directory = temporaryDirectory({ 'app.mjs': MODULE, 'x.ini': ini, ...others });
  const found = await checkFile(join(directory, 'x.ini'), {});
  return found.map(({ severity, error }) => {
    const line = formatError(error, directory)
      .replace(/^x\.ini:/, '')
      .replaceAll(directory, '$DIR');
    return severity === 'error' ? line : line.replace(/^\d+:\d+: /, '$&warning: ');
  });
}
