/**
 * A template: a directory whose files become a project's, and the `template.ini` in it that says what it is, which other
 * templates it is laid upon, and which variables it has.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type IniDocument, type IniEntry, readIni } from '../config/ini.ts';
import { nearest } from '../config/nearest.ts';
import { ConfigError, type Location } from '../errors.ts';

/** Says what the directory around it is; no file of the project. */
export const DECLARATION = 'template.ini';

/** A variable as `[variable:NAME]` declares it. */
export interface TemplateVariable {
  readonly name: string;
  readonly help: string;
  /** Rendered with the variables before it. Undefined: it has to be given. */
  readonly default: string | undefined;
  /** The values that it may have; any, if there are none. */
  readonly choices: readonly string[];
  /** What somebody at a terminal is asked; undefined if nobody is. */
  readonly question: string | undefined;
  readonly location: Location;
}

export interface Template {
  /** What `--template` calls it; of one that only others are laid upon, its directory. */
  readonly name: string;
  readonly directory: string;
  readonly summary: string;
  /** Templates to be laid down before: names, or directories relative to this one when they begin with a dot. */
  readonly requires: readonly string[];
  readonly variables: readonly TemplateVariable[];
}

const TEMPLATE_KEYS = ['summary', 'requires'];
const VARIABLE_KEYS = ['help', 'default', 'choices', 'question'];
const VARIABLE = /^variable:(\w+)$/;

/** What `create` itself gives to every template. */
export const GIVEN_VARIABLES = ['name', 'paster_version'] as const;

/** An answers file has a key of this name for another purpose. */
const RESERVED = [...GIVEN_VARIABLES, 'template'];

/** @throws ConfigError, ErrorList for a template.ini with mistakes. */
export async function readTemplate(name: string, directory: string): Promise<Template> {
  const file = join(directory, DECLARATION);
  // A directory without one is a template as well: of files that want nothing but what every template is given.
  if (!existsSync(file)) return { name, directory, summary: '', requires: [], variables: [] };
  const document = await readIni(file);
  const variables = variablesOf(document);
  const entries = entriesOf(document, 'template', TEMPLATE_KEYS);
  return {
    name,
    directory,
    summary: entries.get('summary')?.value ?? '',
    requires: words(entries.get('requires')?.value),
    variables,
  };
}

function variablesOf(document: IniDocument): TemplateVariable[] {
  return [...document.sections.values()].flatMap(({ name: section, location }) => {
    if (section === 'template') return [];
    const name = VARIABLE.exec(section)?.[1];
    if (name === undefined || RESERVED.includes(name)) {
      throw new ConfigError('PASTER_TEMPLATE', `[${section}] means nothing in a template`, {
        location,
        hint: name === undefined ? 'there are [template] and [variable:NAME]' : `"${name}" is there in every template`,
      });
    }
    const entries = entriesOf(document, section, VARIABLE_KEYS);
    return [
      {
        name,
        help: entries.get('help')?.value ?? '',
        default: entries.get('default')?.value,
        choices: words(entries.get('choices')?.value),
        question: entries.get('question')?.value,
        location,
      },
    ];
  });
}

function entriesOf(document: IniDocument, section: string, known: readonly string[]): ReadonlyMap<string, IniEntry> {
  const entries = document.sections.get(section)?.entries ?? new Map<string, IniEntry>();
  for (const { key, location } of entries.values()) {
    if (known.includes(key)) continue;
    const meant = nearest(key, known);
    throw new ConfigError('PASTER_TEMPLATE', `[${section}] unknown key "${key}"`, {
      location,
      hint: meant ? `did you mean "${meant}"?` : `there are: ${known.join(', ')}`,
    });
  }
  return entries;
}

function words(value: string | undefined): string[] {
  return (value ?? '').split(/\s+/).filter((word) => word !== '');
}
