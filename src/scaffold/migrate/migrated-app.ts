/** What an ecosystem file or a Procfile runs, before it becomes sections of an INI file. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Variables } from '../../config/env-file.ts';

export interface MigratedApp {
  readonly name: string;
  readonly program: MigratedProgram;
  /** Absolute. */
  readonly cwd: string;
  readonly variables: Variables;
  /** Files of variables, as absolute paths. */
  readonly envFiles: readonly string[];
  readonly port: number | undefined;
  /** Whether it serves HTTP, and paster can serve it. */
  readonly isServer: boolean;
  /** Whether it opens a port by itself if paster does not serve it. */
  readonly listens: boolean;
  /** The signal that stops a command; undefined: that of paster, TERM. */
  readonly stopSignal: string | undefined;
  readonly instances: number | 'auto';
  /** When it runs, if it ends by itself. */
  readonly schedule: string | undefined;
  /** When it is restarted. */
  readonly restartSchedule: string | undefined;
  /** It ends by itself, and nothing says when it runs. */
  readonly runsOnce: boolean;
  /** Whether it is part of pm2: its section is commented out. */
  readonly isPartOfPm2: boolean;
  readonly settings: Partial<Readonly<Record<MigratedSetting, string>>>;
  /** What has no counterpart, and what to do. */
  readonly notes: readonly string[];
}

/** Settings of a server, a process or a task that have the same meaning in all of them. */
export type MigratedSetting =
  | 'max_memory'
  | 'graceful_timeout'
  | 'start_timeout'
  | 'user'
  | 'group'
  | 'reload_files'
  | 'reload_ignore';

/** A program of Node, or any other command. */
export interface MigratedProgram {
  /** Of a program of Node: its file, an absolute path. */
  readonly file?: string;
  readonly args: readonly string[];
  readonly nodeOptions: readonly string[];
  /** Of any other command: its words. */
  readonly command?: readonly string[];
  /** Variables that are written before a command. */
  readonly variables: Variables;
  /** Where it runs, if a command names a directory: `cd api && node server.js`. An absolute path. */
  readonly cwd?: string;
  /** Of several commands, such as `prisma migrate deploy && node server.js`: the last one, and the text of those before it. */
  readonly last?: { readonly program: MigratedProgram; readonly before: string };
}

export function nodeProgram(
  file: string,
  args: readonly string[],
  nodeOptions: readonly string[] = [],
): MigratedProgram {
  return { file, args, nodeOptions, variables: {} };
}

export function otherProgram(command: readonly string[]): MigratedProgram {
  return { command, args: [], nodeOptions: [], variables: {} };
}

/** Notes such as `error_file: TEXT`: those with the same text become one with all keys. */
export function mergedNotes(notes: readonly string[]): string[] {
  const keysOf = new Map<string, string[]>();
  for (const note of notes) {
    const [, key, text = note] = /^(\w+): (.*)$/.exec(note) ?? [];
    keysOf.set(text, [...(keysOf.get(text) ?? []), ...(key === undefined ? [] : [key])]);
  }
  return [...keysOf].map(([text, keys]) => (keys.length === 0 ? text : `${keys.join(', ')}: ${text}`));
}

const ENV_FILE = /^--env-file(-if-exists)?[= ](.+)$/;
const DOTENV = /^(?:-r|--require|--import)[= ]dotenv\/config$/;

/**
 * Takes the options that read files of variables out of a program: `--env-file`, which NODE_OPTIONS cannot contain, and dotenv, which
 * workers would look for in another directory.
 * @returns the program without these options, and the files as absolute paths
 */
export function withEnvFiles(
  program: MigratedProgram,
  cwd: string,
  variables: Variables,
): { readonly program: MigratedProgram; readonly envFiles: readonly string[] } {
  const envFiles: string[] = [];
  const nodeOptions = program.nodeOptions.filter((option) => {
    const [, ifExists, named] = ENV_FILE.exec(option) ?? [];
    const isDotenv = DOTENV.test(option);
    if (named === undefined && !isDotenv) return true;
    const file = resolve(cwd, named ?? variables['DOTENV_CONFIG_PATH'] ?? '.env');
    if ((ifExists === undefined && !isDotenv) || existsSync(file)) envFiles.push(file);
    return false;
  });
  return { program: { ...program, nodeOptions }, envFiles };
}

/** `.env` of a directory, if there is one. */
export function envFilesOf(directory: string): string[] {
  const file = join(directory, '.env');
  return existsSync(file) ? [file] : [];
}
