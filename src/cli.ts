/** The command line: argv to a command to an exit status. */
import { readFileSync } from 'node:fs';
import type { Console } from './commands/command.ts';
import { outputWritten, tolerateClosedOutput } from './commands/standard-output.ts';
import { EXIT_FAILURE, formatError, PasterError, printable } from './errors.ts';

const console: Console = {
  out: (line) => process.stdout.write(`${line}\n`),
  err: (line) => process.stderr.write(`${line}\n`),
};

function version(): string {
  const manifest = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}

async function main(argv: readonly string[]): Promise<number> {
  if (argv[0] === '--version') {
    console.out(version());
    return 0;
  }
  try {
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
    console.err(`paster: this is a defect of paster: ${error instanceof Error ? error.stack : String(error)}`);
    return EXIT_FAILURE;
  }
  for (const line of formatError(error).split('\n')) console.err(`paster: ${line}`);
  if (verbose) console.err(printable(String(error.cause instanceof Error ? error.cause.stack : error.stack)));
  return error.exitStatus;
}

tolerateClosedOutput();
const status = await main(process.argv.slice(2));
await outputWritten();
process.exit(status);
