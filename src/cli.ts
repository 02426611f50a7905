/** The command line: argv to a command to an exit status. */
import type { Console } from './commands/command-line/command.ts';
import { paintFor, plain } from './diagnostics/paint.ts';
import { EXIT_FAILURE, errorStack, formatError, PasterError, UsageError } from './errors.ts';
import { ownVersion } from './own-files.ts';
import { printableMessage } from './printable.ts';
import { endsWithQuery, takeArguments } from './process/program/command-line.ts';
import { enableCompileCache } from './process/program/compile-cache.ts';
import { runLastTask } from './process/program/last-task.ts';
import { outputWritten, tolerateUnwritableOutput } from './process/program/standard-output.ts';

const console: Console = {
  out: (line) => process.stdout.write(`${line}\n`),
  err: (line) => process.stderr.write(`${line}\n`),
  screen: { paint: paintFor(process.stdout), isTerminal: process.stdout.isTTY },
};

const VERSION_WORDS = ['-V', '--version', '-v', 'version'];

async function main(argv: readonly string[]): Promise<number> {
  if (VERSION_WORDS.includes(argv[0] ?? '')) {
    console.out(ownVersion());
    return 0;
  }
  try {
    // `exe` ignores such arguments.
    if (argv[0] !== 'exe' && endsWithQuery(argv)) {
      throw new UsageError(
        'PASTER_CGI_ARGUMENTS',
        'the command line of this CGI program ends with the query of a request',
        {
          hint: 'leave "$@" out of a script; an INI file that is a CGI program begins with #!/usr/bin/env -S paster exe',
        },
      );
    }
    // Node takes from the cache what is imported from now on.
    enableCompileCache();
    // Loaded late: the version needs no commands.
    const { runCommand } = await import('./commands/command-line/run.ts');
    return await runCommand(argv, console);
  } catch (error) {
    return report(error, argv.includes('-v') || argv.includes('--verbose'));
  }
}

/** A user's error is a line or a few. Stack traces are for defects, and for `-v`. */
async function report(error: unknown, verbose: boolean): Promise<number> {
  if (!(error instanceof PasterError)) {
    console.err(printableMessage(`paster: this is a bug in paster: ${errorStack(error)}`));
    return EXIT_FAILURE;
  }
  const paint = paintFor(process.stderr);
  if (process.stderr.isTTY || paint !== plain) {
    // Loaded late: it reads the files that it shows.
    const { commandErrorLines } = await import('./diagnostics/error-report.ts');
    for (const line of await commandErrorLines(error, paint, process.stderr.isTTY)) console.err(line);
  } else for (const message of formatError(error).split(/\n(?! )/)) console.err(`paster: ${message}`);
  if (verbose || process.stderr.isTTY) {
    const { documentationLines } = await import('./diagnostics/error-report.ts');
    for (const line of documentationLines(error)) console.err(paint('dim', `  ${line}`));
  }
  if (verbose) console.err(printableMessage(errorStack(error.cause instanceof Error ? error.cause : error)));
  return error.exitStatus;
}

/** A program that ends with its signals replaces it. */
const { exit } = process;
tolerateUnwritableOutput();
const status = await main(takeArguments());
await runLastTask();
await outputWritten();
exit.call(process, status);
