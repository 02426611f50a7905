/** What paster's own parts declare, for those who must not import anybody else's code. */
import { join, sep } from 'node:path';
import type { SettingsSchema } from '../config/setting.ts';
import { PACKAGE_ROOT } from '../own-files.ts';
import type { FactoryContext } from './context.ts';
import { declaredSchema } from './validate.ts';

/** Where the entry points of paster's package.json lie. */
const OWN_PARTS = join(PACKAGE_ROOT, 'dist') + sep;

/** The declaration of a built-in part; undefined for every other one, of which nothing is imported. */
export async function ownSchema({ target }: FactoryContext): Promise<SettingsSchema | undefined> {
  return target.file?.startsWith(OWN_PARTS) ? declaredSchema(await target.load()) : undefined;
}

/** In a built-in composite, the keys that are no setting of its own name applications; so do settings named `..._app`. */
export function namesApp(key: string, { declarations, others, obsolete }: SettingsSchema): boolean {
  if (Object.hasOwn(declarations, key)) return /(?:^|_)app$/.test(key);
  return !Object.hasOwn(obsolete, key) && (others?.accepts(key) ?? false);
}
