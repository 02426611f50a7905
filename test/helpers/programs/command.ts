/**
 * Runs a command of paster in the test runner's own process, for tests of what it prints and writes: a process for each takes
 * a tenth of a second of the processor. It is not for commands that write to standard output by themselves (`request`,
 * `shell`), start paster again (`check`, `serve`), or import modules that change during the test.
 */
import { runCommand } from '../../../src/commands/command-line/run.ts';
import { formatError, PasterError } from '../../../src/errors.ts';
import type { Finished, ProgramOptions } from './program.ts';

/** Takes the same as `paster`, and gives what a program has finished with. */
export async function runHere(
  args: readonly string[],
  { cwd, env }: Pick<ProgramOptions, 'cwd' | 'env'> = {},
): Promise<Finished> {
  let stdout = '';
  let stderr = '';
  const out = (line: string): void => {
    stdout += `${line}\n`;
  };
  const err = (line: string): void => {
    stderr += `${line}\n`;
  };
  const leave = enter(cwd, { NODE_OPTIONS: '', ...env });
  try {
    const status = await runCommand(args, { out, err });
    return { status, stdout, stderr };
  } catch (error) {
    if (!(error instanceof PasterError)) throw error;
    for (const message of formatError(error).split(/\n(?! )/)) err(`paster: ${message}`);
    return { status: error.exitStatus, stdout, stderr };
  } finally {
    leave();
  }
}

/** Changes the working directory and variables. @returns what changes them back */
function enter(cwd: string | undefined, env: NodeJS.ProcessEnv): () => void {
  const directory = process.cwd();
  const before = Object.keys(env).map((name) => [name, process.env[name]] as const);
  if (cwd !== undefined) process.chdir(cwd);
  for (const [name, value] of Object.entries(env)) setVariable(name, value);
  return () => {
    process.chdir(directory);
    for (const [name, value] of before) setVariable(name, value);
  };
}

function setVariable(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}
