/**
 * `--env-file`, which every command that reads a configuration takes. Node itself looks for that word on its command line,
 * wherever it stands, and ends where there is no such file; of `-e` it knows nothing.
 */
import { resolve } from 'node:path';
import { applyEnvFiles } from '../config/env-file.ts';
import { type CommandOption, listOption } from './command.ts';

export const ENV_FILE: CommandOption = {
  flags: '-e, --env-file <file>',
  help: 'environment variables from this file, unless they are set already',
  repeatable: true,
};

/** Reads what the option names. @returns The absolute paths. @throws ConfigError as `applyEnvFiles`. */
export function readEnvFiles(options: Readonly<Record<string, unknown>>): readonly string[] {
  const files = listOption(options, 'envFile').map((file) => resolve(file));
  if (files.length > 0) applyEnvFiles(files);
  return files;
}
