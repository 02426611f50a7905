/** Finds the command that argv names, and runs it with its arguments. */
import { nearest } from '../../config/nearest.ts';
import { EXIT_OK, UsageError } from '../../errors.ts';
import type { Command, Console } from './command.ts';
import { COMMANDS } from './command-table.ts';
import { commandHelp, topHelp } from './help.ts';
import { parseArguments } from './parse-arguments.ts';

/**
 * Runs the command that `argv` names.
 * @returns the exit status
 * @throws UsageError for an error in the command line, and everything that the command throws
 */
export async function runCommand(argv: readonly string[], console: Console): Promise<number> {
  const [first, ...rest] = argv;
  if (first === undefined || first === '-h' || first === '--help') return help(undefined, console);
  if (first === 'help') return help(rest[0] === 'help' ? undefined : rest[0], console);
  const command = await findCommand(first);
  const parsed = parseArguments(rest, command);
  if (!parsed) return help(first, console);
  const result = await command.run(parsed.args, parsed.options, console);
  return typeof result === 'number' ? result : runCommand(result, console);
}

async function findCommand(name: string): Promise<Command> {
  const entry = COMMANDS.get(name);
  if (entry) return entry.load();
  const closest = nearest(name, [...COMMANDS.keys(), 'help']);
  throw new UsageError(
    'PASTER_USAGE',
    name.startsWith('-') ? `unknown option "${name}" before a command` : `unknown command "${name}"`,
    { hint: closest ? `did you mean "${closest}"?` : `there are: ${[...COMMANDS.keys()].join(', ')}` },
  );
}

async function help(name: string | undefined, console: Console): Promise<number> {
  console.out(name === undefined ? topHelp(COMMANDS) : commandHelp(await findCommand(name), process.stdout.columns));
  return EXIT_OK;
}
