/** What an ecosystem file or a Procfile runs, before it becomes sections of an INI file. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { readManifest } from '../../deploy/programs/manifest.ts';
import { commandFile } from '../../deploy/programs/package-commands.ts';
import { parseScript, type ScriptCommand } from '../../deploy/programs/script-command.ts';
import { readableText } from '../../files/existing-path.ts';

export type Variables = Readonly<Record<string, string>>;

export interface MigratedApp {
  readonly name: string;
  readonly program: Program;
  /** Absolute. */
  readonly cwd: string;
  readonly variables: Variables;
  /** Files of variables, as absolute paths. */
  readonly envFiles: readonly string[];
  readonly port: number | undefined;
  /** Whether it serves HTTP, and paster can serve it. */
  readonly isServer: boolean;
  readonly instances: number | 'auto';
  /** When it runs, if it ends by itself. */
  readonly schedule: string | undefined;
  /** When it is restarted. */
  readonly restartSchedule: string | undefined;
  /** It ends by itself, and nothing says when it runs. */
  readonly runsOnce: boolean;
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
export interface Program {
  /** Of a program of Node: its file, an absolute path. */
  readonly file?: string;
  readonly args: readonly string[];
  readonly nodeOptions: readonly string[];
  /** Of any other command: its words. */
  readonly command?: readonly string[];
  /** Variables that are written before a command. */
  readonly variables: Variables;
}

export function nodeProgram(file: string, args: readonly string[], nodeOptions: readonly string[] = []): Program {
  return { file, args, nodeOptions, variables: {} };
}

export function otherProgram(command: readonly string[]): Program {
  return { command, args: [], nodeOptions: [], variables: {} };
}

/** Commands of packages that serve HTTP. */
const SERVERS = new Set([
  'next',
  'nuxt',
  'astro',
  'vite',
  'serve',
  'http-server',
  'react-router-serve',
  'remix-serve',
  'strapi',
  'directus',
  'nest',
  'verdaccio',
  'node-red',
  'json-server',
]);

/**
 * What a line of a shell runs, such as `node worker.js --queue mail`, `next start` or `npm run worker`.
 * @param shell what runs a line that needs a shell
 */
export function programOfLine(line: string, cwd: string, shell: string): Program {
  const parsed = parseScript(line);
  const program = parsed && (ofNode(parsed, cwd) ?? ofScript(parsed, cwd, shell));
  if (program) return program;
  // Plain words need no shell.
  return /^[\w@%+=:,./ -]+$/.test(line) && !/^\w+=/.test(line)
    ? otherProgram(line.trim().split(/\s+/))
    : otherProgram([shell, '-c', line]);
}

function ofNode({ command, file, args, nodeOptions, variables }: ScriptCommand, cwd: string): Program | undefined {
  const path = file === undefined ? commandFile(cwd, command, readManifest(cwd).dependencies) : existingFile(cwd, file);
  if (path === undefined || (file !== undefined && command !== 'node' && command !== 'tsx')) return undefined;
  return { ...nodeProgram(path, args, nodeOptions), variables: variablesOf(variables) };
}

/** A file as `node FILE` finds it. */
function existingFile(cwd: string, file: string): string | undefined {
  const path = resolve(cwd, file);
  return [path, ...['.js', '.mjs', '.cjs', '.ts'].map((extension) => path + extension), join(path, 'index.js')].find(
    (each) => readableText(each) !== undefined,
  );
}

/** `npm start`, `npm run worker`: what the script in package.json runs. */
function ofScript({ command, args, variables }: ScriptCommand, cwd: string, shell: string): Program | undefined {
  if (!/^(?:npm|pnpm|yarn)$/.test(command)) return undefined;
  const [name, ...rest] = args[0] === 'run' ? args.slice(1) : args;
  const script = readManifest(cwd).scripts[name ?? ''];
  if (script === undefined || rest.length > 0) return undefined;
  const program = programOfLine(script, cwd, shell);
  return program.file === undefined
    ? undefined
    : { ...program, variables: { ...program.variables, ...variablesOf(variables) } };
}

function variablesOf(assignments: readonly string[]): Variables {
  return Object.fromEntries(
    assignments.map((each) => [each.slice(0, each.indexOf('=')), each.slice(each.indexOf('=') + 1)]),
  );
}

/** Whether a program of Node serves HTTP, by its text: it is not run. */
export function looksLikeServer({ file }: Program): boolean {
  if (file === undefined) return false;
  const [, command] = /\/node_modules\/(?:\.bin\/|@[^/]+\/)?([^/]+)/.exec(file) ?? [];
  if (command !== undefined) return SERVERS.has(command);
  return /\b(?:listen|serve|startServer|bootstrap)\s*\(/.test(readableText(file) ?? '');
}

/** `.env` of a directory, if there is one. */
export function envFilesOf(directory: string): string[] {
  const file = join(directory, '.env');
  return existsSync(file) ? [file] : [];
}
