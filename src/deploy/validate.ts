/** Validates a section's settings with the schema of its factory, if it has one. */
import type { SettingsSchema } from '../config/settings/setting.ts';
import { ConfigError, ErrorList, errorMessage, type PasterError, RunError } from '../errors.ts';
import { concealed, isSecretSetting, secretsOf } from '../secrets.ts';
import type { Context, FactoryContext } from './context.ts';
import { describePart, placeOfKey, sectionPlace, sectionPrefix, settingsOf } from './context.ts';
import { asLoadingStep } from './loading-step.ts';
import { isDeclared, type StandardIssue, type StandardResult, type StandardSchema, schemaOf } from './schema.ts';
import { withAbsolutePaths } from './sections/setting-paths.ts';
import type { LoadSession } from './session.ts';

/**
 * The settings to call the factory with: validated and converted by its schema, or the section's texts if it has none.
 * @throws ConfigError, or ErrorList for several errors, each at the line of its value.
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
    if (!isDeclared(schema)) return result.value;
    return withAbsolutePaths(Object(result.value), schema.declarations, localConf, context);
  }
  const issues = result.issues.length > 0 ? result.issues : [{ message: 'the settings are not valid' }];
  const errors = issues.map((issue) => issueError(issue, context));
  throw errors.length === 1 && errors[0] ? errors[0] : new ErrorList(errors);
}

/** @throws RunError if the schema itself fails. */
async function runSchema(
  schema: StandardSchema,
  localConf: Readonly<Record<string, string>>,
  context: FactoryContext,
): Promise<StandardResult> {
  try {
    const step = { what: `${describePart(context)}: the validation of its settings`, location: sectionPlace(context) };
    return await asLoadingStep(step, () => schema['~standard'].validate(localConf));
  } catch (error) {
    throw await partFailure(error, context);
  }
}

/** The error for an exception of a part's code. */
export async function partFailure(error: unknown, context: Context): Promise<RunError> {
  const { placeInStack } = await import('./modules/error-place.ts');
  const name = error instanceof Error && error.name !== 'Error' ? `${error.name}: ` : '';
  const message = concealed(errorMessage(error), secretsOfContext(context));
  return new RunError('PASTER_FACTORY_FAILED', `${describePart(context)} failed: ${name}${message}`, {
    cause: error,
    location: placeInStack(error) ?? sectionPlace(context),
  });
}

function issueError(issue: StandardIssue, context: FactoryContext): PasterError {
  const [first] = issue.path ?? [];
  const key = typeof first === 'object' ? first.key : first;
  // Messages of paster's own schemas name the key already.
  const prefix = !('hint' in issue) && key !== undefined ? `${String(key)}: ` : '';
  const secrets = secretsOfContext(context);
  // The key itself names a secret, so mask the value even if it is short.
  const own = typeof key === 'string' && isSecretSetting(key) ? context.localConf[key] : undefined;
  const message = concealed(issue.message, own === undefined ? secrets : [...secrets, own]);
  return new ConfigError('PASTER_SETTING', `${sectionPrefix(context)}${prefix}${message}`, {
    location: placeOfKey(context, typeof key === 'string' ? key : undefined) ?? sectionPlace(context),
    hint: issue.hint,
  });
}

/** The secret values of a part's configuration, which messages of other code must not quote. */
function secretsOfContext({ globalConf, localConf }: Context): Set<string> {
  return secretsOf(globalConf, localConf);
}

/** Warns of each key that the part declares obsolete: older systems have it, but it has no effect here. */
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
