/** Finds the command that argv names, and parses the rest by the command's table of options. */
import type { Command as Program } from 'commander';
import { nearest } from '../../config/nearest.ts';
import { EXIT_OK, UsageError } from '../../errors.ts';
import { requireOwn } from '../../own-files.ts';
import { optionHint } from '../../process/program/command-line.ts';
import type { Command, Console } from './command.ts';
import { COMMANDS } from './command-table.ts';
import { type ParsedArguments, plainArguments } from './plain-arguments.ts';

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
  const parsed = plainArguments(rest, command) ?? parse(rest, command, console);
  if (!parsed) return EXIT_OK;
  const result = await command.run(parsed.args, parsed.options, console);
  return typeof result === 'number' ? result : runCommand(result, console);
}

/**
 * Lets commander read the arguments of a command.
 * @returns undefined if it has printed the help that they ask for
 * @throws UsageError
 */
export function parse(rest: readonly string[], command: Command, console: Console): ParsedArguments | undefined {
  const program = commandParser(command, console);
  try {
    program.parse(withEmptyOptionalValues(rest, command), { from: 'user' });
    return { args: program.args, options: program.opts() };
  } catch (error) {
    const { CommanderError } = commander();
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return undefined;
    const [message = '', , closest] =
      /^(?:error: )?(.*?)(\n\(Did you mean (.*)\?\))?$/s.exec(error.message)?.slice(1) ?? [];
    const [, option = ''] = /^unknown option '--([^'=]+)/.exec(message) ?? [];
    throw new UsageError('PASTER_USAGE', `${command.name}: ${message}`, {
      hint:
        optionHint(option) ?? (closest ? `did you mean "${closest}"?` : undefined) ?? `see paster help ${command.name}`,
    });
  }
}

/** An optional value of an option is written behind a `=`: the word after `--inspect` is the next argument. */
function withEmptyOptionalValues(args: readonly string[], { options }: Command): string[] {
  const names = options.flatMap(({ flags }) => /--\S+(?= \[)/.exec(flags) ?? []);
  return args.map((arg) => (names.includes(arg) ? `${arg}=` : arg));
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
  if (name === undefined) console.out(topHelp());
  else commandParser(await findCommand(name), console).outputHelp();
  return EXIT_OK;
}

/** Loaded only when it is needed: `paster --help` does without it. */
function commander(): typeof import('commander') {
  return requireOwn('commander');
}

function newParser(console: Console): Program {
  const { Command: Parser } = commander();
  return new Parser().exitOverride().configureOutput({
    writeOut: (text) => console.out(text.trimEnd()),
    // The error that is thrown has the message.
    writeErr: () => {},
  });
}

/** The help as commander would write it, without loading commander, since it must appear at once. */
function topHelp(): string {
  const rows = (pairs: readonly (readonly [string, string])[]) =>
    pairs.map(([term, meaning]) => `  ${term.padEnd('help [COMMAND]'.length)}  ${meaning}`);
  const commands = [...COMMANDS].map(([name, { summary }]) => [name, summary] as const);
  return [
    'Usage: paster COMMAND [options]',
    '',
    'Run any Node app from one INI file: the app, its middleware and its server.',
    '',
    'Options:',
    ...rows([
      ['-V, --version', 'print the version'],
      ['-h, --help', 'show this help'],
    ]),
    '',
    'Commands:',
    ...rows([...commands, ['help [COMMAND]', 'show the options and examples of a command']]),
  ].join('\n');
}

function commandParser(command: Command, console: Console): Program {
  const program = newParser(console).name(`paster ${command.name}`).description(command.summary);
  for (const [name, meaning] of command.args) {
    // A long list of words would widen the column of all arguments.
    const [, words] = /^\[((?:[a-z]+\|){4,}[a-z]+)\]$/.exec(name) ?? [];
    if (words === undefined) program.argument(name, meaning);
    else program.argument('[command]', words.replaceAll('|', ', '));
  }
  for (const { flags, help: meaning, repeatable } of command.options) {
    if (repeatable) program.option(flags, meaning, (value: string, all: string[] = []) => [...all, value]);
    else program.option(flags, meaning);
  }
  if (command.passesOptions) program.passThroughOptions();
  const width = Math.max(...command.examples.map(([line]) => line.length));
  const examples = command.examples.map(([line, meaning]) => `  ${line.padEnd(width)}  ${meaning}`);
  return program.addHelpText('after', `\nExamples:\n${examples.join('\n')}`);
}
