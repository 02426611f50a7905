/** Which names a project can have: npm's rule for a package's name, without a scope, since a directory gets it too. */
import { builtinModules } from 'node:module';

const NAME = /^[a-z0-9][a-z0-9._-]*$/;
const LONGEST_NAME = 214;
const RESERVED = new Set(['node_modules', 'favicon.ico', 'paster', ...builtinModules]);

/** Devices of Windows, whatever stands behind a dot: no directory can have such a name there. */
const DEVICE = /^(?:con|prn|aux|nul|com[1-9]|lpt[1-9])(?:\.|$)/;

/** What is wrong with a name, as the rest of a sentence; undefined if nothing is. */
export function nameFault(name: string): string | undefined {
  if (RESERVED.has(name)) return 'this name is taken';
  if (DEVICE.test(name)) return 'Windows has a device of this name';
  if (name.length > LONGEST_NAME) return `longer than ${LONGEST_NAME} characters`;
  if (NAME.test(name)) return undefined;
  return 'small letters, digits, ".", "-" and "_", beginning with a letter or a digit; --output-dir says where';
}
