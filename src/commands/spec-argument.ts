/** The argument of a command that loads an application: the path of an INI file, `FILE#SECTION`, or any URI. */
import { existsSync } from 'node:fs';
import { configUri, hasScheme } from '../deploy/uri.ts';
import { fromWorkingDirectory } from '../working-directory.ts';

/** The URI that the argument stands for. A file whose own name has a `#` is taken for that file. */
export function specUri(spec: string): string {
  if (hasScheme(spec)) return spec;
  const hash = spec.lastIndexOf('#');
  if (hash === -1 || existsSync(fromWorkingDirectory(spec))) return configUri(fromWorkingDirectory(spec));
  return `${configUri(fromWorkingDirectory(spec.slice(0, hash)))}${spec.slice(hash)}`;
}
