/** Keys that older systems have, and that mean nothing to the part that has them now. */
import type { SettingsSchema } from '../config/setting.ts';
import type { FactoryContext } from './context.ts';
import type { LoadSession } from './session.ts';
import { placeOfKey } from './validate.ts';

/** Warns of each such key, by what the part declares, if it declares anything. */
export function warnOfObsolete(
  context: FactoryContext,
  schema: SettingsSchema | undefined,
  session: LoadSession,
): void {
  if (schema === undefined) return;
  const section = context.sections[0]?.name ?? context.kind;
  for (const key of Object.keys(context.localConf)) {
    const reason = Object.hasOwn(schema.obsolete, key) ? schema.obsolete[key] : undefined;
    const place = placeOfKey(context, key);
    if (reason !== undefined && place) session.warn(`[${section}] ${key} has no effect: ${reason}`, place);
  }
}
