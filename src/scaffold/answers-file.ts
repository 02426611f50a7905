/** The file of `create --config`: the answers of one run, for the next one, in a section `[create]`. */
import { existsSync, readFileSync } from 'node:fs';
import { readIni } from '../config/ini.ts';
import { ConfigError } from '../errors.ts';
import type { Variables } from './render-text.ts';

const SECTION = 'create';

/** What is answered: the project's name, its templates, and values of their variables. */
export interface Answers {
  readonly name: string | undefined;
  readonly templates: readonly string[];
  readonly variables: Variables;
}

export const NO_ANSWERS: Answers = { name: undefined, templates: [], variables: {} };

/** The answers in a file; none, if there is no such file yet. @throws ConfigError, ErrorList for one that is no INI file. */
export async function readAnswers(file: string): Promise<Answers> {
  if (!existsSync(file)) return NO_ANSWERS;
  const document = await readIni(file);
  const entries = [...(document.sections.get(SECTION)?.entries.values() ?? [])];
  const { name, template = '', ...variables } = Object.fromEntries(entries.map(({ key, value }) => [key, value]));
  for (const { key, value, location } of entries) {
    if (!value.includes('\n')) continue;
    throw new ConfigError('PASTER_ANSWERS', `[${SECTION}] ${key}: an answer is one line`, { location });
  }
  return { name, templates: template.split(/\s+/).filter((word) => word !== ''), variables };
}

/** The file's text with these answers in it: other sections stay as they are. */
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
