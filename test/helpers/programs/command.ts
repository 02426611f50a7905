/**
 * Runs a command of paster in the test runner's own process, for tests of what it prints and writes: a process for each takes
 * a tenth of a second of processor time. It is not for commands that may never finish, start servers or workers, or import
 * modules that change during the test. `check` does here what it does in its child process.
 */
import { Readable, Writable } from 'node:stream';
import { iniPath } from '../../../src/commands/command-line/arguments.ts';
import type { Console } from '../../../src/commands/command-line/command.ts';
import { parseArguments } from '../../../src/commands/command-line/parse-arguments.ts';
import { runCommand } from '../../../src/commands/command-line/run.ts';
import { checkCommand } from '../../../src/commands/configuration/check.ts';
import { checkHere } from '../../../src/commands/configuration/check-here.ts';
import { formatError, PasterError } from '../../../src/errors.ts';
import type { Finished, ProgramOptions } from './program.ts';

let isRunning = false;

/** Takes the same arguments as `paster`, and returns what a finished program does. */
export async function runHere(
  args: readonly string[],
  { cwd, env, input = '' }: Pick<ProgramOptions, 'cwd' | 'env' | 'input'> = {},
): Promise<Finished> {
  // The working directory and the streams belong to the whole process.
  if (isRunning) throw new Error('another command runs here: start a process for one of them');
  isRunning = true;
  const stdout = new Collected();
  const stderr = new Collected();
  const out = (line: string): void => void stdout.write(`${line}\n`);
  const err = (line: string): void => void stderr.write(`${line}\n`);
  const leave = enter(cwd, { NODE_OPTIONS: '', ...env });
  // Some parts write directly: `request` the body of the response, filters what they log.
  const restore = replaceStreams({ stdin: Readable.from([Buffer.from(input)]), stdout, stderr });
  const finished = (status: number): Finished => ({ status, stdout: stdout.text, stderr: stderr.text });
  try {
    return finished(await run(args, { out, err }));
  } catch (error) {
    if (!(error instanceof PasterError)) throw error;
    for (const message of formatError(error).split(/\n(?! )/)) err(`paster: ${message}`);
    return finished(error.exitStatus);
  } finally {
    restore();
    leave();
    isRunning = false;
  }
}

async function run(args: readonly string[], console: Console): Promise<number> {
  const [command, ...words] = args;
  const parsed = command === 'check' ? parseArguments(words, checkCommand) : undefined;
  if (parsed === undefined) return runCommand(args, console);
  if (parsed.options['verbose'] === true) throw new Error('check -v starts a process for each package');
  const [file = '', ...assignments] = parsed.args;
  const unlimited = { skipped: new Set<string>(), enter: async () => () => {} };
  return checkHere(iniPath(file), assignments, parsed.options, unlimited, console);
}

/** Records what is written to it. */
class Collected extends Writable {
  readonly #chunks: Buffer[] = [];

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#chunks.push(chunk);
    done();
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString();
  }
}

/** Replaces streams of this process. @returns a function that restores them */
function replaceStreams(streams: Readonly<Record<'stdin' | 'stdout' | 'stderr', Readable | Writable>>): () => void {
  const before = Object.keys(streams).map((name) => [name, Object.getOwnPropertyDescriptor(process, name)] as const);
  for (const [name, value] of Object.entries(streams))
    Object.defineProperty(process, name, { value, configurable: true });
  return () => {
    for (const [name, descriptor] of before) if (descriptor) Object.defineProperty(process, name, descriptor);
  };
}

/** Changes the working directory and variables. @returns a function that undoes that, and the variables that a command has set itself */
function enter(cwd: string | undefined, env: NodeJS.ProcessEnv): () => void {
  const directory = process.cwd();
  const before = { ...process.env };
  if (cwd !== undefined) process.chdir(cwd);
  for (const [name, value] of Object.entries(env)) setVariable(name, value);
  return () => {
    process.chdir(directory);
    for (const name of Object.keys({ ...process.env, ...before })) {
      if (process.env[name] !== before[name]) setVariable(name, before[name]);
    }
  };
}

function setVariable(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}
