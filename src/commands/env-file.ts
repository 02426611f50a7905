import { applyEnvFiles } from '../config/env-file.ts';
import { fromWorkingDirectory } from '../working-directory.ts';
import { type CommandOption, listOption } from './command.ts';

export const DOTENV: CommandOption = {
  flags: '-e, --dotenv <file>',
  help: 'environment variables from this file, unless they are set already',
  repeatable: true,
};

/** What to use instead of an option that paster had before. */
export function optionHint(name: string): string | undefined {
  return name === 'env-file' ? '--env-file is an option of Node itself: use -e or --dotenv' : undefined;
}

/** Reads the files that the option names. @returns Their absolute paths. @throws ConfigError as `applyEnvFiles`. */
export function readEnvFiles(options: Readonly<Record<string, unknown>>): readonly string[] {
  const files = listOption(options, 'dotenv').map((file) => fromWorkingDirectory(file));
  if (files.length > 0) applyEnvFiles(files);
  return files;
}
