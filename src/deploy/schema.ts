/** The declarations of settings that factories carry: those of paster's own parts, and Standard Schemas of others. */
import { join, sep } from 'node:path';
import type { SettingsSchema } from '../config/settings/setting.ts';
import { PACKAGE_ROOT } from '../own-files.ts';
import type { Settings } from '../protocol/types.ts';
import type { FactoryContext } from './context.ts';

/** The part of https://standardschema.dev that paster uses. */
export interface StandardSchema {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    validate(value: unknown): StandardResult | Promise<StandardResult>;
    /** For a schema that can describe itself (https://standardschema.dev/json-schema). */
    readonly jsonSchema?: { input(options: { readonly target: string }): unknown };
  };
}

export type StandardResult =
  | { readonly value: unknown; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] };

export interface StandardIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
  /** An extension of paster's own declarations. */
  readonly hint?: string;
}

/** The schema of a factory: its property `settings`. */
export function schemaOf(factory: unknown): StandardSchema | undefined {
  if (typeof factory !== 'function' || !('settings' in factory)) return undefined;
  const { settings } = factory;
  const isSchema =
    ((typeof settings === 'object' && settings !== null) || typeof settings === 'function') && '~standard' in settings;
  return isSchema ? (settings as StandardSchema) : undefined;
}

/** The declarations of paster's own parts; unlike other Standard Schemas, they list their settings. */
export function declaredSchema(factory: unknown): SettingsSchema | undefined {
  const schema = schemaOf(factory);
  return schema && isDeclared(schema) ? schema : undefined;
}

export function isDeclared(schema: StandardSchema): schema is StandardSchema & SettingsSchema {
  return 'declarations' in schema && 'obsolete' in schema;
}

/** Checks settings that each have the right type; throws what the factory would throw. */
type BuiltinCheck = (globalConf: Settings, settings: unknown) => unknown;

/** The further check of a built-in part, `factory.check`, which `check` calls. It starts nothing. */
export function builtinCheck(factory: unknown): BuiltinCheck | undefined {
  if (declaredSchema(factory) === undefined || typeof factory !== 'function' || !('check' in factory)) return undefined;
  return typeof factory.check === 'function' ? (factory.check as BuiltinCheck) : undefined;
}

/** The directory of the entry points in paster's package.json. */
const BUILTIN_PARTS = join(PACKAGE_ROOT, 'dist') + sep;

/** The declarations of a built-in part. Undefined for other parts, which are not imported. */
export async function builtinSchema({ target }: FactoryContext): Promise<SettingsSchema | undefined> {
  return target.file?.startsWith(BUILTIN_PARTS) ? declaredSchema(await target.load()) : undefined;
}

/** Whether a key of a built-in composite names an application: undeclared keys do, and settings named `..._app`. */
export function namesApp(key: string, { declarations, others, obsolete }: SettingsSchema): boolean {
  if (Object.hasOwn(declarations, key)) return /(?:^|_)app$/.test(key);
  return !Object.hasOwn(obsolete, key) && (others?.accepts(key) ?? false);
}
