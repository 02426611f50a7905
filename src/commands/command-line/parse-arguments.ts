/** Parses the arguments of a command by its table of options. */
import { parseArgs } from 'node:util';
import { nearest } from '../../config/nearest.ts';
import { UsageError } from '../../errors.ts';
import { optionHint } from '../../process/program/command-line.ts';
import { type Command, type CommandOption, camelCase, type OptionNames, optionNames } from './command.ts';

/** What a command is run with. */
export interface ParsedArguments {
  readonly args: readonly string[];
  /** By the long names in camel case: true for a flag, otherwise the value, or a list if the option is repeatable. */
  readonly options: Readonly<Record<string, unknown>>;
}

type NamedOption = CommandOption & OptionNames;

/**
 * Parses arguments and options, with the notations of GNU's getopt_long: `--port 80`, `--port=80`, `-p 80`, `-p80`, `-qv`, and `--`
 * before arguments that begin with a dash. A number such as `-1` is an argument.
 * @returns undefined for a request for help, `-h` or `--help`
 * @throws UsageError for an option that the command does not have, for a value too many or too few, or for a wrong number of arguments
 */
export function parseArguments(words: readonly string[], command: Command): ParsedArguments | undefined {
  const known = command.options.map((option): NamedOption => ({ ...option, ...optionNames(option.flags) }));
  const args: string[] = [];
  const options: Record<string, unknown> = {};
  const errors: UsageError[] = [];
  let previous = -1;
  for (const token of tokensOf(words, known)) {
    const { kind, index } = token;
    // `-qv` has a token for each letter.
    const isNewWord = index !== previous;
    previous = index;
    if (kind === 'option-terminator') continue;
    const word = words[index] ?? '';
    if (kind === 'positional' || /^-\d+$/.test(word)) {
      if (command.passesOptions) {
        args.push(...words.slice(index));
        break;
      }
      if (isNewWord) args.push(word);
      continue;
    }
    if (token.name === 'help') return undefined;
    const option = known.find(({ long }) => long === token.name);
    const error = option ? valueError(option, token.value, command) : unknownOption(token, known, command);
    if (error) errors.push(error);
    else if (option) setOption(options, option, token.value);
  }
  const error = errors[0] ?? countError(args.length, command);
  if (error) throw error;
  return { args, options };
}

function tokensOf(words: readonly string[], known: readonly NamedOption[]) {
  const optional = known.filter(({ value }) => value === 'optional').map(({ long }) => `--${long}`);
  return parseArgs({
    // The word after `--inspect` is the next argument: an optional value follows a `=`.
    args: words.map((word) => (optional.includes(word) ? `${word}=` : word)),
    options: Object.fromEntries([
      ['help', { type: 'boolean', short: 'h' }],
      ...known.map(({ long, short, value }) => [
        long,
        { type: value === 'none' ? 'boolean' : 'string', ...(short && { short }) },
      ]),
    ]),
    // The errors here have a hint each.
    strict: false,
    allowPositionals: true,
    tokens: true,
  }).tokens;
}

function setOption(
  options: Record<string, unknown>,
  { long, repeatable }: NamedOption,
  value: string | undefined,
): void {
  const name = camelCase(long);
  const before = options[name];
  if (repeatable) options[name] = [...(Array.isArray(before) ? before : []), value];
  else options[name] = value ?? true;
}

function valueError(
  { flags, long, value }: NamedOption,
  given: string | undefined,
  command: Command,
): UsageError | undefined {
  if ((value === 'none') === (given === undefined)) return undefined;
  return new UsageError(
    'PASTER_USAGE',
    value === 'none' ? `${command.name}: --${long} takes no value` : `${command.name}: ${flags} needs a value`,
    seeHelp(command),
  );
}

function unknownOption(
  { name, rawName }: { readonly name: string; readonly rawName: string },
  known: readonly NamedOption[],
  command: Command,
): UsageError {
  const names = known.map(({ long }) => long);
  const closest = rawName.startsWith('--') ? nearest(name, names) : undefined;
  const hint = optionHint(name) ?? (closest && `did you mean "--${closest}"?`);
  return new UsageError(
    'PASTER_USAGE',
    `${command.name}: unknown option '${rawName}'`,
    hint ? { hint } : seeHelp(command),
  );
}

/** What is wrong with the number of arguments. */
function countError(count: number, command: Command): UsageError | undefined {
  const { name, args } = command;
  const [missing] = args.slice(count).find(([each]) => each.startsWith('<')) ?? [];
  if (missing !== undefined) {
    const argument = missing.replace(/[<>.]/g, '');
    return new UsageError('PASTER_USAGE', `${name}: missing required argument '${argument}'`, seeHelp(command));
  }
  if (count <= args.length || args.at(-1)?.[0].includes('...')) return undefined;
  return new UsageError(
    'PASTER_USAGE',
    `${name}: too many arguments: it takes ${args.length}, but got ${count}`,
    seeHelp(command),
  );
}

function seeHelp({ name }: Command): { readonly hint: string } {
  return { hint: `see paster help ${name}` };
}
