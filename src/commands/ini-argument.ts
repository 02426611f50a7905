/** The argument of a command that reads an INI file: its path, or the same as a `config:` URI. */
import { resolve } from 'node:path';
import { configPath, parseUri } from '../deploy/uri.ts';
import { UsageError } from '../errors.ts';

/** @returns The absolute path. @throws UsageError for a URI that is no file. */
export function iniPath(argument: string): string {
  const uri = parseUri(argument);
  if (!uri) return resolve(argument);
  if (uri.scheme === 'config' && uri.fragment === undefined) return configPath(uri, process.cwd());
  throw new UsageError('PASTER_USAGE', `"${argument}" is not an INI file`, { hint: 'write the path of the file' });
}
