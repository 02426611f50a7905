/** The command line: argv to a command to an exit status. */
import type { Console } from './commands/command.ts';
import { EXIT_FAILURE, errorStack, formatError, PasterError, printableMessage, UsageError } from './errors.ts';
import { endsWithQuery, takeArguments } from './process/command-line.ts';
import { outputWritten, tolerateUnwritableOutput } from './process/standard-output.ts';
import { ownVersion } from './version.ts';

const console: Console = {
  out: (line) => process.stdout.write(`${line}\n`),
  err: (line) => process.stderr.write(`${line}\n`),
};

const VERSION_WORDS = ['-V', '--version', '-v', 'version'];

async function main(argv: readonly string[]): Promise<number> {
  if (VERSION_WORDS.includes(argv[0] ?? '')) {
    console.out(ownVersion());
    return 0;
  }
  try {
    // `exe` ignores them.
    if (argv[0] !== 'exe' && endsWithQuery(argv)) {
      throw new UsageError(
        'PASTER_CGI_ARGUMENTS',
        'the command line of this CGI program ends with the query of a request',
        {
          hint: 'leave "$@" out of a script; an INI file that is a CGI program begins with #!/usr/bin/env -S paster exe',
        },
      );
    }
    // Only now: whoever asks for the version waits for no commander.
    const { runCommand } = await import('./commands/run.ts');
    return await runCommand(argv, console);
  } catch (error) {
    return report(error, argv.includes('-v') || argv.includes('--verbose'));
  }
}

/** A user's mistake is a line or a few; a stack trace is for defects, and for `-v`. */
function report(error: unknown, verbose: boolean): number {
  if (!(error instanceof PasterError)) {
    console.err(printableMessage(`paster: this is a defect of paster: ${errorStack(error)}`));
    return EXIT_FAILURE;
  }
  for (const message of formatError(error).split(/\n(?! )/)) console.err(`paster: ${message}`);
  if (verbose) console.err(printableMessage(errorStack(error.cause instanceof Error ? error.cause : error)));
  return error.exitStatus;
}

tolerateUnwritableOutput();
const status = await main(takeArguments());
await outputWritten();
process.exit(status);
