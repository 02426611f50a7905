/** Reads the usual command line without commander, which takes 10 ms to load: a sixth of what paster adds to the start of Node. */
import type { Command } from './command.ts';

/** What a command is run with. */
export interface ParsedArguments {
  readonly args: readonly string[];
  /** By the long names in camel case: true for a flag, otherwise the value, or a list if the option is repeatable. */
  readonly options: Readonly<Record<string, unknown>>;
}

type Value = string | true | readonly string[];

/**
 * Reads arguments, options that are written in full, and values that are the next argument or follow a `=`.
 * @returns the same as commander; undefined if commander has to read it, because of an error, a request for help, or another notation
 */
export function plainArguments(words: readonly string[], command: Command): ParsedArguments | undefined {
  const args: string[] = [];
  const options: Record<string, Value> = {};
  for (let next = 0; next < words.length; next++) {
    const word = words[next] ?? '';
    if (!isOption(word)) {
      if (command.passesOptions) {
        args.push(...words.slice(next));
        break;
      }
      args.push(word);
      continue;
    }
    const [, flag = '', attached] = /^(--[^=]+)=(.*)$/s.exec(word) ?? [undefined, word];
    const option = command.options.find(({ flags }) => flags.split(/[ ,]+/).includes(flag));
    const [, long = '', hint] = /--([a-z-]+)(?: ([<[]).*)?$/.exec(option?.flags ?? '') ?? [];
    // Commander sets the opposite of an option `--no-...` if it is not given.
    if (!option || long === '' || hint === '[') return undefined;
    const name = long.replace(/-./g, ([, letter = '']) => letter.toUpperCase());
    if (hint === undefined) {
      if (attached !== undefined) return undefined;
      options[name] = true;
      continue;
    }
    const value = attached ?? words[++next];
    if (value === undefined) return undefined;
    const before = options[name];
    options[name] = option.repeatable ? [...(Array.isArray(before) ? before : []), value] : value;
  }
  return isComplete(args.length, command) ? { args, options } : undefined;
}

function isOption(word: string): boolean {
  return word.length > 1 && word.startsWith('-');
}

/** Whether a command takes this number of arguments, and whether commander adds nothing to them. */
function isComplete(count: number, { args, options }: Command): boolean {
  const required = args.filter(([name]) => name.startsWith('<')).length;
  const isList = args.at(-1)?.[0].includes('...') ?? false;
  const hasDefaults = options.some(({ flags }) => flags.includes('--no-'));
  return count >= required && (isList || count <= args.length) && !hasDefaults;
}
