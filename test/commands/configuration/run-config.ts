/** Runs `paster config` for the text of an INI file. */
import { temporaryDirectory } from '../../helpers/directory.ts';
import { runHere } from '../../helpers/programs/command.ts';
import type { Finished } from '../../helpers/programs/program.ts';

/** @returns its output, with `$DIR` for the directory of the file */
export async function config(ini: string, args: readonly string[]): Promise<Finished> {
  const directory = temporaryDirectory({ 'x.ini': ini });
  const finished = await runHere(['config', 'x.ini', ...args], { cwd: directory });
  return { ...finished, stdout: finished.stdout.replaceAll(directory, '$DIR') };
}
