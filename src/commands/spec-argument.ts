/** The argument of a command that loads an application: the path of an INI file, `FILE#SECTION`, or any URI. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { configUri, hasScheme } from '../deploy/uri.ts';

/** The URI that the argument stands for. A file whose own name has a `#` is taken for that file. */
export function specUri(spec: string): string {
  if (hasScheme(spec)) return spec;
  const hash = spec.lastIndexOf('#');
  if (hash === -1 || existsSync(resolve(spec))) return configUri(resolve(spec));
  return `${configUri(resolve(spec.slice(0, hash)))}${spec.slice(hash)}`;
}
