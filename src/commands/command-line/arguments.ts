/** The arguments and options that several commands have: an INI file or another URI, `name=value`, and `--dotenv`. */
import { existsSync } from 'node:fs';
import { applyEnvFiles } from '../../config/env-file.ts';
import { settingsOf } from '../../deploy/context.ts';
import { configPath, configUri, hasScheme, parseUri } from '../../deploy/uri.ts';
import { UsageError } from '../../errors.ts';
import type { Settings } from '../../protocol/types.ts';
import { fromWorkingDirectory, workingDirectory } from '../../working-directory.ts';
import { type CommandOption, listOption } from './command.ts';

export const DOTENV: CommandOption = {
  flags: '-e, --dotenv <file>',
  help: 'read environment variables from this file; those that are set already stay',
  repeatable: true,
};

/** Applies the files of `--dotenv`. @returns their absolute paths. @throws ConfigError as `applyEnvFiles` does */
export function readEnvFiles(options: Readonly<Record<string, unknown>>): readonly string[] {
  const files = listOption(options, 'dotenv').map((file) => fromWorkingDirectory(file));
  if (files.length > 0) applyEnvFiles(files);
  return files;
}

/** Parses `name=value` arguments. @throws UsageError for one without `=` or without a name */
export function parseAssignments(args: readonly string[]): Settings {
  const settings = settingsOf();
  for (const arg of args) {
    const equals = arg.indexOf('=');
    if (equals < 1) {
      throw new UsageError('PASTER_USAGE', `"${arg}" is not of the form name=value`, {
        hint: 'what goes into the global configuration is written http_port=8081',
      });
    }
    settings[arg.slice(0, equals)] = arg.slice(equals + 1);
  }
  return settings;
}

/** The absolute path of an INI file, given as a path or a `config:` URI. @throws UsageError for any other URI */
export function iniPath(argument: string): string {
  const uri = parseUri(argument);
  if (!uri) return fromWorkingDirectory(argument);
  if (uri.scheme === 'config' && uri.fragment === undefined) return configPath(uri, workingDirectory());
  throw new UsageError('PASTER_USAGE', `"${argument}" is not an INI file`, { hint: 'write the path of the file' });
}

/** The INI file of an argument that `specUri` accepts, as an absolute path; undefined if it names another URI. */
export function iniFileOf(spec: string): string | undefined {
  const uri = parseUri(specUri(spec));
  return uri?.scheme === 'config' ? configPath(uri, workingDirectory()) : undefined;
}

/** The URI for the argument of a command that loads an application: the path of an INI file, `FILE#SECTION`, or any URI. */
export function specUri(spec: string): string {
  if (hasScheme(spec)) return spec;
  const hash = spec.lastIndexOf('#');
  // The name of a file may contain a `#`.
  if (hash === -1 || existsSync(fromWorkingDirectory(spec))) return configUri(fromWorkingDirectory(spec));
  return `${configUri(fromWorkingDirectory(spec.slice(0, hash)))}${spec.slice(hash)}`;
}
