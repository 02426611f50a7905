/** What a command is: its options as a table, and a `run` that returns an exit status. */

/** Where a command writes: the terminal in `cli.ts`, anything else in a test. */
export interface Console {
  /** A line of output. */
  out(line: string): void;
  /** A line of diagnostics. */
  err(line: string): void;
}

/** An option, in commander's notation; an optional value, `--inspect [address]`, is given behind a `=` and is '' otherwise. */
export interface CommandOption {
  readonly flags: string;
  readonly help: string;
  /** Can be given several times; its value is then a list. */
  readonly repeatable?: boolean;
}

export interface Command {
  readonly name: string;
  readonly summary: string;
  /** Arguments in commander's notation, each with its help: `<spec>`, `[name=value...]`. */
  readonly args: readonly (readonly [name: string, help: string])[];
  readonly options: readonly CommandOption[];
  readonly examples: readonly (readonly [line: string, meaning: string])[];
  /** What looks like an option behind the first argument is an argument too. */
  readonly passesOptions?: boolean;
  /** @returns The exit status, or the command line that this one stands for. */
  run(
    args: readonly string[],
    options: Readonly<Record<string, unknown>>,
    console: Console,
  ): Promise<number | readonly string[]>;
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

/** What is known of a command before its module is imported. */
export interface CommandEntry {
  readonly summary: string;
  load(): Promise<Command>;
}

/** Commands by name, in the order of the help. */
export type Commands = ReadonlyMap<string, CommandEntry>;
