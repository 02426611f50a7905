/** The values of a template's variables: given, or answered at a terminal, or the variable's default. */
import { nearest } from '../config/nearest.ts';
import { settingsOf } from '../deploy/context.ts';
import { UsageError } from '../errors.ts';
import type { Questions } from './questions.ts';
import { renderText, type Variables } from './render-text.ts';
import type { Template, TemplateVariable } from './template.ts';

/**
 * The variables of templates that are laid upon each other, those of the topmost first: what is most the project's own is
 * asked first, and a declaration goes before another of the same name further down.
 */
export function variablesOf(templates: readonly Template[]): TemplateVariable[] {
  const declared = new Map<string, TemplateVariable>();
  for (const variable of [...templates].reverse().flatMap(({ variables }) => variables)) {
    if (!declared.has(variable.name)) declared.set(variable.name, variable);
  }
  return [...declared.values()];
}

/**
 * A value for each of `declared`.
 *
 * @param given what the command line and an answers file say
 * @param own what every template is given
 * @param questions where somebody can be asked
 * @throws UsageError for a value that is not allowed, is missing, or is of no variable.
 */
export async function settleVariables(
  declared: readonly TemplateVariable[],
  given: Variables,
  own: Variables,
  questions: Questions | undefined,
): Promise<Variables> {
  refuseUnknown(declared, given);
  const settled = settingsOf(own);
  for (const variable of declared) {
    const standard = standardOf(variable, settled);
    const value = given[variable.name] ?? (await ask(variable, standard, questions)) ?? standard;
    if (value === undefined) {
      throw new UsageError('PASTER_TEMPLATE_VARIABLE', `create: the variable "${variable.name}" has no value`, {
        hint: `give ${variable.name}=VALUE: ${variable.help}`,
      });
    }
    const fault = faultOf(variable, value);
    if (fault !== undefined)
      throw new UsageError('PASTER_TEMPLATE_VARIABLE', `create: ${variable.name}=${value}: ${fault}`);
    settled[variable.name] = value;
  }
  return settled;
}

function refuseUnknown(declared: readonly TemplateVariable[], given: Variables): void {
  const names = declared.map(({ name }) => name);
  for (const name of Object.keys(given)) {
    if (names.includes(name)) continue;
    const meant = nearest(name, names);
    throw new UsageError('PASTER_TEMPLATE_VARIABLE', `create: the template has no variable "${name}"`, {
      hint: meant ? `did you mean "${meant}"?` : `there are: ${names.join(', ')}`,
    });
  }
}

function standardOf({ default: standard, location }: TemplateVariable, settled: Variables): string | undefined {
  if (standard === undefined) return undefined;
  const values = { names: Object.keys(settled), get: (name: string) => settled[name] };
  return renderText(standard, location.file, values, (value) => value);
}

async function ask(
  variable: TemplateVariable,
  standard: string | undefined,
  questions: Questions | undefined,
): Promise<string | undefined> {
  const { question, choices, help } = variable;
  if (questions === undefined || question === undefined) return undefined;
  if (choices.length > 0)
    return questions.choice(
      question,
      choices.map((value) => ({ value })),
      standard,
    );
  return questions.line(question, standard, (answer) => (answer === '' ? help : faultOf(variable, answer)));
}

function faultOf({ choices }: TemplateVariable, value: string): string | undefined {
  // It would begin a line of its own in an INI file.
  if (/\p{Cc}/u.test(value)) return 'a control character or a line feed cannot be part of it';
  if (choices.length === 0 || choices.includes(value)) return undefined;
  const meant = nearest(value, choices);
  return meant ? `did you mean "${meant}"?` : `it can be ${choices.join(', ')}`;
}
