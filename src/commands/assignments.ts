/** `name=value` arguments, which every command that reads a configuration takes. */
import { settingsOf } from '../deploy/context.ts';
import { UsageError } from '../errors.ts';
import type { Settings } from '../protocol/types.ts';

/** @throws UsageError for an argument without `=` or without a name. */
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
