/** A command: its options as a table, and a `run` that returns an exit status. */
import type { PartKind } from '../../deploy/part-kinds.ts';
import type { Paint } from '../../diagnostics/paint.ts';

/** Where a command writes: the terminal, or a test's own console. */
export interface Console {
  /** Writes a line of output. */
  out(line: string): void;
  /** Writes a line of diagnostics. */
  err(line: string): void;
  /** Set where `out` writes to a terminal, and where colours are forced. */
  readonly screen?: Screen;
}

/** What a command needs to format its output for people. Without it, the output is meant for programs. */
export interface Screen {
  readonly paint: Paint;
  /** Whether there are further lines for people, such as the lines of a file around an error. */
  readonly isTerminal: boolean;
}

/** Kinds of sections of the INI file whose names a shell completes; `web` stands for itself, as in `--only web`. */
export type CompletedNames = readonly (PartKind | 'web')[];

export interface CommandOption {
  /** `-q, --quiet`, `-p, --port <port>`, or `--inspect [address]`: an optional value is written after a `=`; its default is ''. */
  readonly flags: string;
  readonly help: string;
  /** Whether it can be given several times; its value is then a list. */
  readonly repeatable?: boolean;
  /** What completes its value; with `<names>`, each one between commas. */
  readonly completes?: CompletedNames;
}

export interface Command {
  readonly name: string;
  readonly summary: string;
  /** Arguments, each with its help: `<spec>` is required, `[spec]` is not, and `[name=value...]` may be many. */
  readonly args: readonly (readonly [name: string, help: string])[];
  readonly options: readonly CommandOption[];
  readonly examples: readonly (readonly [line: string, meaning: string])[];
  /** Whether everything after the first argument is an argument, even if it looks like an option. */
  readonly passesOptions?: boolean;
  /** What completes an argument after one that matches a pattern of shells: `*.ini`. */
  readonly completes?: { readonly after: readonly string[]; readonly names: CompletedNames };
  /** @returns the exit status, or the command line to run instead */
  run(
    args: readonly string[],
    options: Readonly<Record<string, unknown>>,
    console: Console,
  ): Promise<number | readonly string[]>;
}

/** What the flags of an option say: its names without dashes, and whether it takes a value. */
export interface OptionNames {
  readonly short: string | undefined;
  readonly long: string;
  readonly value: 'none' | 'required' | 'optional';
}

export function optionNames(flags: string): OptionNames {
  const [, short, long = '', hint] = /^(?:-(\w), )?--([a-z-]+)(?: ([<[]).*)?$/.exec(flags) ?? [];
  return { short, long, value: hint === undefined ? 'none' : hint === '<' ? 'required' : 'optional' };
}

/** The name in the options that a command is run with: of `pid-file` it is `pidFile`. */
export function camelCase(long: string): string {
  return long.replace(/-./g, ([, letter = '']) => letter.toUpperCase());
}

/** An option's value as text, if it was given. */
export function textOption(options: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const value = options[name];
  return typeof value === 'string' ? value : undefined;
}

/** Whether a flag was given. */
export function flagOption(options: Readonly<Record<string, unknown>>, name: string): boolean {
  return options[name] === true;
}

/** A repeatable option's values. */
export function listOption(options: Readonly<Record<string, unknown>>, name: string): readonly string[] {
  const value = options[name];
  return Array.isArray(value) ? value.map(String) : [];
}

/** A command before its module is imported. */
export interface CommandEntry {
  readonly summary: string;
  load(): Promise<Command>;
}

/** Commands by name, in the order of the help. */
export type Commands = ReadonlyMap<string, CommandEntry>;
