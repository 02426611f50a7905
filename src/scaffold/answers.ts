/** The values of template variables: from the command line or a file of answers, from questions, or the defaults. */

import { existsSync, readFileSync } from 'node:fs';
import { readIni } from '../config/ini/ini.ts';
import { didYouMean, nearest } from '../config/nearest.ts';
import { settingsOf } from '../deploy/context.ts';
import { ConfigError, UsageError } from '../errors.ts';
import type { Questions } from './questions.ts';
import { renderText, type TemplateVariables } from './render-text.ts';
import type { Template, TemplateVariable } from './template.ts';

/**
 * The variables of templates that are combined, those of the last template first. They are asked for in this order, and a
 * declaration overrides that of an earlier template.
 */
export function variablesOf(templates: readonly Template[]): TemplateVariable[] {
  const declared = new Map<string, TemplateVariable>();
  for (const variable of [...templates].reverse().flatMap(({ variables }) => variables)) {
    if (!declared.has(variable.name)) declared.set(variable.name, variable);
  }
  return [...declared.values()];
}

/**
 * Finds a value for each of `declared`.
 *
 * @param given the values from the command line and the file of answers
 * @param own the values that every template gets
 * @param questions asks at a terminal, if there is one
 * @throws UsageError for a value that is missing, not allowed, or of an unknown variable
 */
export async function resolveVariables(
  declared: readonly TemplateVariable[],
  given: TemplateVariables,
  own: TemplateVariables,
  questions: Questions | undefined,
): Promise<TemplateVariables> {
  checkNames(declared, given);
  const resolved = settingsOf(own);
  for (const variable of declared) {
    const defaultValue = defaultOf(variable, resolved);
    const value = given[variable.name] ?? (await ask(variable, defaultValue, questions)) ?? defaultValue;
    if (value === undefined) {
      throw new UsageError('PASTER_TEMPLATE_VARIABLE', `create: the variable "${variable.name}" has no value`, {
        hint: `give ${variable.name}=VALUE: ${variable.help}`,
      });
    }
    const problem = validate(variable, value);
    if (problem !== undefined)
      throw new UsageError('PASTER_TEMPLATE_VARIABLE', `create: ${variable.name}=${value}: ${problem}`);
    resolved[variable.name] = value;
  }
  return resolved;
}

function checkNames(declared: readonly TemplateVariable[], given: TemplateVariables): void {
  const names = declared.map(({ name }) => name);
  for (const name of Object.keys(given)) {
    if (names.includes(name)) continue;
    throw new UsageError('PASTER_TEMPLATE_VARIABLE', `create: the template has no variable "${name}"`, {
      hint: didYouMean(name, names),
    });
  }
}

function defaultOf(
  { default: defaultValue, location }: TemplateVariable,
  resolved: TemplateVariables,
): string | undefined {
  if (defaultValue === undefined) return undefined;
  const values = { names: Object.keys(resolved), get: (name: string) => resolved[name] };
  return renderText(defaultValue, location.file, values, (value) => value);
}

async function ask(
  variable: TemplateVariable,
  defaultValue: string | undefined,
  questions: Questions | undefined,
): Promise<string | undefined> {
  const { question, choices, help } = variable;
  if (questions === undefined || question === undefined) return undefined;
  if (choices.length > 0)
    return questions.choice(
      question,
      choices.map((value) => ({ value })),
      defaultValue,
    );
  return questions.line(question, defaultValue, (answer) => (answer === '' ? help : validate(variable, answer)));
}

function validate({ choices }: TemplateVariable, value: string): string | undefined {
  // A line feed would begin a new line in an INI file.
  if (/\p{Cc}/u.test(value)) return 'a control character or a line feed cannot be part of it';
  if (choices.length === 0 || choices.includes(value)) return undefined;
  const closest = nearest(value, choices);
  return closest ? `did you mean "${closest}"?` : `it can be ${choices.join(', ')}`;
}

// --- the file of answers ---------------------------------------------------------------------------------------------

/** The section in the file of `create --config` that keeps the answers of one run for the next one. */
const SECTION = 'create';

/** The project's name, its templates, and the values of their variables. */
export interface Answers {
  readonly name: string | undefined;
  readonly templates: readonly string[];
  readonly variables: TemplateVariables;
}

export const NO_ANSWERS: Answers = { name: undefined, templates: [], variables: {} };

/** Reads the answers in a file; there are none if it does not exist. @throws ConfigError, ErrorList if it is not an INI file. */
export async function readAnswers(file: string): Promise<Answers> {
  if (!existsSync(file)) return NO_ANSWERS;
  const document = await readIni(file);
  const entries = [...(document.sections.get(SECTION)?.entries.values() ?? [])];
  const { name, template = '', ...variables } = Object.fromEntries(entries.map(({ key, value }) => [key, value]));
  for (const { key, value, location } of entries) {
    if (!value.includes('\n')) continue;
    throw new ConfigError('PASTER_ANSWERS', `[${SECTION}] ${key}: it must be one line`, { location });
  }
  return { name, templates: template.split(/\s+/).filter((word) => word !== ''), variables };
}

/** The text of the file with these answers; other sections stay as they are. */
export async function answersText(file: string, { name, templates, variables }: Answers): Promise<string> {
  const values = { ...(name === undefined ? {} : { name }), template: templates.join(' '), ...variables };
  const lines = Object.entries(values).map(([key, value]) => `${key} = ${value}`.trimEnd());
  const written = [`[${SECTION}]`, ...lines, ''];
  if (!existsSync(file)) return written.join('\n');
  const { sections } = await readIni(file);
  const before = readFileSync(file, 'utf8').split('\n');
  const section = sections.get(SECTION);
  if (section === undefined) return [...written, ...before].join('\n');
  const start = section.location.line - 1;
  const next = before.findIndex((line, index) => index > start && line.startsWith('['));
  return [...before.slice(0, start), ...written, ...(next === -1 ? [] : before.slice(next))].join('\n');
}
