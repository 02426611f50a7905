/** TypeScript that Node cannot run: Node removes types, and compiles nothing. */
import { readFile } from 'node:fs/promises';
import { errorCode, errorMessage, type Location } from '../../errors.ts';

export const TYPESCRIPT = /\.[cm]?tsx?$/;

const CODES: ReadonlySet<unknown> = new Set([
  'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX',
  'ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING',
]);

const HINT =
  'Node only removes types, and does not compile decorators, enums, JSX or packages: build to JavaScript, or install tsx ' +
  'and set NODE_OPTIONS=--import=tsx';

/** A hint for an error that occurs because Node does not compile TypeScript; undefined for any other error. */
export async function compilerHint(error: unknown, location: Location | undefined): Promise<string | undefined> {
  const isUnsupported =
    CODES.has(errorCode(error)) ||
    (errorCode(error) === 'ERR_UNKNOWN_FILE_EXTENSION' && errorMessage(error).includes('".tsx"')) ||
    (error instanceof SyntaxError && (await isDecorator(location)));
  return isUnsupported ? HINT : undefined;
}

/** Node leaves decorators as they are, and V8 does not know them. */
async function isDecorator(location: Location | undefined): Promise<boolean> {
  if (!location || !TYPESCRIPT.test(location.file)) return false;
  const lines = (await readFile(location.file, 'utf8').catch(() => '')).split('\n');
  return lines[location.line - 1]?.[location.column - 1] === '@';
}
