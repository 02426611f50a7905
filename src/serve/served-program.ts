/** `paster serve server.js`, `paster serve .` and plain `paster serve`: what is served without an INI file. */
import { relative, resolve } from 'node:path';
import { checkProgram } from '../deploy/modules/module-target.ts';
import type { FoundProgram } from '../deploy/programs/find-program.ts';
import type { AddressOverrides } from '../deploy/server/server-section.ts';
import { hasScheme, isProgramFile } from '../deploy/uri.ts';
import { isExistingDirectory } from '../files/existing-path.ts';
import { workingDirectory } from '../working-directory.ts';

export interface ServedSpec {
  /** An INI file or a URI. */
  readonly spec: string;
  /** The directory that it is relative to. */
  readonly directory: string;
  /** The address in the variables PORT and HOST, which a program usually listens on. */
  readonly overrides: AddressOverrides;
  /** One line that says what was chosen and why; undefined where the user named it. */
  readonly note: string | undefined;
}

/**
 * Reads the first argument of `serve`. An INI file and a URI are served as they are. For a program's file, a directory or no
 * argument, it finds the program.
 * @throws ConfigError if there is no such program, or if a directory has neither a program nor an INI file.
 */
export async function servedSpec(given: string | undefined): Promise<ServedSpec> {
  const directory = workingDirectory();
  const path = resolve(directory, given ?? '.');
  if (given !== undefined && !isExistingDirectory(path) && !(isProgramFile(given) && !hasScheme(given))) {
    return { spec: given, directory, overrides: {}, note: undefined };
  }
  if (given !== undefined && !isExistingDirectory(path)) checkProgram(given, path, undefined);
  // Loaded late: an INI file is served without it.
  const { findProgram } = await import('../deploy/programs/find-program.ts');
  const found = findProgram(path);
  const place = relative(directory, found.directory);
  const what = found.isIni && place !== '' ? `${place}/${found.spec}` : found.spec;
  if (found.isIni) return { spec: found.spec, directory: found.directory, overrides: {}, note: `serving ${what}` };
  for (const [name, value] of variablesOf(found)) process.env[name] ??= value;
  const { PORT, HOST } = process.env;
  return {
    spec: found.spec,
    directory: found.directory,
    overrides: { ...(PORT && { port: PORT }), ...(HOST && { host: HOST }) },
    note: `serving ${what} (${found.reason}); "paster create ." writes an INI file for it`,
  };
}

/**
 * The variables that the script sets. Options of Node come too late for this process; `paster create .` writes them for the
 * workers.
 */
function variablesOf({ variables = [] }: FoundProgram): (readonly [name: string, value: string])[] {
  return variables.flatMap((each) => {
    const [, name = '', value = ''] = /^([^=]*)=([\s\S]*)$/.exec(each) ?? [];
    return name === 'NODE_OPTIONS' ? [] : [[name, value]];
  });
}
