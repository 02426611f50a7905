/** The functions that a setting names as `call:module:name`, for parts that call them and for `check`. */
import { ConfigError, type Location } from '../errors.ts';
import { describeValue } from '../protocol/describe.ts';
import type { Settings } from '../protocol/types.ts';
import { workingDirectory } from '../working-directory.ts';
import { moduleTarget } from './module-target.ts';

/**
 * Imports the module and picks the function.
 *
 * @param setting whose value names it, for messages
 * @param expression `call:module:name`, the module relative to the INI file
 * @throws ConfigError where there is no such function.
 */
export async function loadFunction(
  setting: string,
  expression: string,
  { here = workingDirectory() }: Settings,
  from?: Location,
): Promise<(...args: unknown[]) => unknown> {
  const found = await moduleTarget(expression.replace(/^call:/, ''), here, from).load();
  if (typeof found === 'function') return found as (...args: unknown[]) => unknown;
  throw new ConfigError(
    'PASTER_NOT_A_FUNCTION',
    `${setting}: ${expression} is not a function but ${describeValue(found)}`,
    {
      setting,
      location: from,
      hint: 'what is named here is called',
    },
  );
}
