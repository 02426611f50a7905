/** Which names a project can have: npm's rule for a package's name, without a scope, since a directory gets it too. */
import { builtinModules } from 'node:module';

const NAME = /^[a-z0-9][a-z0-9._-]*$/;
const LONGEST_NAME = 214;
const RESERVED = new Set(['node_modules', 'favicon.ico', 'paster', ...builtinModules]);

/** What is wrong with a name, as the rest of a sentence; undefined if nothing is. */
export function nameFault(name: string): string | undefined {
  if (RESERVED.has(name)) return 'this name is taken';
  if (name.length > LONGEST_NAME) return `longer than ${LONGEST_NAME} characters`;
  if (NAME.test(name)) return undefined;
  return 'small letters, digits, ".", "-" and "_", beginning with a letter or a digit; --output-dir says where';
}
