import { configPath, parseUri } from '../deploy/uri.ts';
import { UsageError } from '../errors.ts';
import { fromWorkingDirectory, workingDirectory } from '../working-directory.ts';

/** @returns The absolute path. @throws UsageError for a URI that is no file. */
export function iniPath(argument: string): string {
  const uri = parseUri(argument);
  if (!uri) return fromWorkingDirectory(argument);
  if (uri.scheme === 'config' && uri.fragment === undefined) return configPath(uri, workingDirectory());
  throw new UsageError('PASTER_USAGE', `"${argument}" is not an INI file`, { hint: 'write the path of the file' });
}
