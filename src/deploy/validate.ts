/** Checks a section's local configuration against the Standard Schema that its factory carries, if it carries one. */
import type { SettingsSchema } from '../config/setting.ts';
import { ConfigError, ErrorList, errorMessage, type Location, type PasterError, RunError } from '../errors.ts';
import type { Settings } from '../protocol/types.ts';
import { concealed, isSecretSetting, secretsOf } from '../secrets.ts';
import type { Context, FactoryContext } from './context.ts';
import { settingsOf } from './context.ts';
import { withAbsolutePaths } from './setting-paths.ts';
import { asStep } from './unsettled.ts';

/** The part of https://standardschema.dev that is needed here. */
export interface StandardSchema {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    validate(value: unknown): StandardResult | Promise<StandardResult>;
    /** Of a schema that can describe itself, https://standardschema.dev/json-schema. */
    readonly jsonSchema?: { input(options: { readonly target: string }): unknown };
  };
}

type StandardResult =
  | { readonly value: unknown; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] };

interface StandardIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
  /** An extension of paster's own declarations. */
  readonly hint?: string;
}

/** The schema of a factory, its property `settings`. */
export function schemaOf(factory: unknown): StandardSchema | undefined {
  if (typeof factory !== 'function' || !('settings' in factory)) return undefined;
  const { settings } = factory;
  const isSchema =
    ((typeof settings === 'object' && settings !== null) || typeof settings === 'function') && '~standard' in settings;
  return isSchema ? (settings as StandardSchema) : undefined;
}

/** The declarations that paster's own parts carry: more than a Standard Schema, they can be read. */
export function declaredSchema(factory: unknown): SettingsSchema | undefined {
  const schema = schemaOf(factory);
  return schema && isDeclared(schema) ? schema : undefined;
}

function isDeclared(schema: StandardSchema): schema is StandardSchema & SettingsSchema {
  return 'declarations' in schema && 'obsolete' in schema;
}

/** Finds what is wrong with a section whose settings are each of the right type: throws what the factory would throw. */
type OwnCheck = (globalConf: Settings, settings: unknown) => unknown;

/** What `check` is to ask besides the types: `factory.check` of paster's own parts. It starts nothing. */
export function ownCheck(factory: unknown): OwnCheck | undefined {
  if (declaredSchema(factory) === undefined || typeof factory !== 'function' || !('check' in factory)) return undefined;
  return typeof factory.check === 'function' ? (factory.check as OwnCheck) : undefined;
}

/**
 * What the factory is to be called with: its section as it stands, or validated and converted by its schema.
 * @throws ConfigError, or ErrorList with one error for each thing wrong, each at the line of its value.
 */
export async function validateSettings(factory: unknown, context: FactoryContext): Promise<unknown> {
  const schema = schemaOf(factory);
  const localConf = settingsOf(context.localConf);
  return schema ? validateWith(schema, localConf, context) : localConf;
}

export async function validateWith(
  schema: StandardSchema,
  localConf: Readonly<Record<string, string>>,
  context: FactoryContext,
): Promise<unknown> {
  const result = await runSchema(schema, localConf, context);
  if (!result.issues) {
    return isDeclared(schema)
      ? withAbsolutePaths(Object(result.value), schema.declarations, localConf, context)
      : result.value;
  }
  const issues = result.issues.length > 0 ? result.issues : [{ message: 'the settings are not valid' }];
  const errors = issues.map((issue) => issueError(issue, context));
  throw errors.length === 1 && errors[0] ? errors[0] : new ErrorList(errors);
}

/** A schema that fails instead of answering is at fault itself. */
async function runSchema(
  schema: StandardSchema,
  localConf: Readonly<Record<string, string>>,
  context: FactoryContext,
): Promise<StandardResult> {
  const [section] = context.sections;
  const what = `${section ? `[${section.name}] ` : ''}${context.target.description}`;
  try {
    const step = { what: `${what}: the validation of its settings`, location: section?.location };
    return await asStep(step, () => schema['~standard'].validate(localConf));
  } catch (error) {
    const { placeInStack } = await import('./error-place.ts');
    const name = error instanceof Error && error.name !== 'Error' ? `${error.name}: ` : '';
    const message = concealed(errorMessage(error), secretsOfContext(context));
    throw new RunError('PASTER_FACTORY_FAILED', `${what} failed: ${name}${message}`, {
      cause: error,
      location: placeInStack(error) ?? section?.location,
    });
  }
}

function issueError(issue: StandardIssue, context: FactoryContext): PasterError {
  const [first] = issue.path ?? [];
  const key = typeof first === 'object' ? first.key : first;
  const section = context.sections[0];
  const foreign = !('hint' in issue) && key !== undefined ? `${String(key)}: ` : '';
  const secrets = secretsOfContext(context);
  // However short it is: of a key of its own it is known that it is one.
  const own = typeof key === 'string' && isSecretSetting(key) ? context.localConf[key] : undefined;
  const message = concealed(issue.message, own === undefined ? secrets : [...secrets, own]);
  return new ConfigError('PASTER_SETTING', `${section ? `[${section.name}] ` : ''}${foreign}${message}`, {
    location: placeOfKey(context, typeof key === 'string' ? key : undefined) ?? section?.location,
    hint: issue.hint,
  });
}

/** The values of a part's configuration that nobody else's message may quote. */
export function secretsOfContext({ globalConf, localConf }: Context): Set<string> {
  return secretsOf(globalConf, localConf);
}

/** Where a key of a section is written. */
export function placeOfKey(context: FactoryContext, key: string | undefined): Location | undefined {
  return key === undefined ? undefined : context.origins.get(key)?.location;
}
