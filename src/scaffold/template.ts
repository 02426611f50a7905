/**
 * A template of `create`: a directory whose files become those of a project. Its `template.ini` declares a summary, the
 * templates that it builds on, and its variables.
 */
import { existsSync } from 'node:fs';
import { isAbsolute, join, relative, resolve } from 'node:path';
import { type IniDocument, type IniEntry, readIni } from '../config/ini/ini.ts';
import { didYouMean } from '../config/nearest.ts';
import { CREATE_TEMPLATE, listPoints, type Point } from '../deploy/inspect/points.ts';
import { ConfigError, type Location, type PasterError, UsageError } from '../errors.ts';
import { isExistingDirectory } from '../files/existing-path.ts';
import { PACKAGE_ROOT } from '../own-files.ts';

/** Describes the template; it is not copied to the project. */
export const DECLARATION = 'template.ini';

/** A variable as `[variable:NAME]` declares it. */
export interface TemplateVariable {
  readonly name: string;
  readonly help: string;
  /** Rendered with the variables before it. Undefined: a value is required. */
  readonly default: string | undefined;
  /** The allowed values; empty: any. */
  readonly choices: readonly string[];
  /** The question at a terminal; undefined: it is not asked for. */
  readonly question: string | undefined;
  readonly location: Location;
}

export interface Template {
  /** Its name for `--template`; its relative directory if only other templates use it. */
  readonly name: string;
  readonly directory: string;
  readonly summary: string;
  /** The templates that it builds on: names, or directories relative to this one, which begin with a dot. */
  readonly requires: readonly string[];
  readonly variables: readonly TemplateVariable[];
}

const TEMPLATE_KEYS = ['summary', 'requires'];
const VARIABLE_KEYS = ['help', 'default', 'choices', 'question'];
const VARIABLE = /^variable:(\w+)$/;

/** The variables that every template gets from `create`. */
const GIVEN_VARIABLES = ['name', 'paster_version'] as const;

/** `template` is a key of its own in the file of answers. */
const RESERVED = [...GIVEN_VARIABLES, 'template'];

/** @throws ConfigError, ErrorList for errors in template.ini */
async function readTemplate(name: string, directory: string): Promise<Template> {
  const file = join(directory, DECLARATION);
  // A directory without template.ini is a template too, whose files need only the variables of every template.
  if (!existsSync(file)) return { name, directory, summary: '', requires: [], variables: [] };
  const document = await readIni(file);
  const variables = declaredVariables(document);
  const entries = entriesOf(document, 'template', TEMPLATE_KEYS);
  return {
    name,
    directory,
    summary: entries.get('summary')?.value ?? '',
    requires: words(entries.get('requires')?.value),
    variables,
  };
}

function declaredVariables(document: IniDocument): TemplateVariable[] {
  return [...document.sections.values()].flatMap(({ name: section, location }) => {
    if (section === 'template') return [];
    const name = VARIABLE.exec(section)?.[1];
    if (name === undefined || RESERVED.includes(name)) {
      throw new ConfigError('PASTER_TEMPLATE', `[${section}] has no meaning in a template`, {
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
    throw new ConfigError('PASTER_TEMPLATE', `[${section}] unknown key "${key}"`, {
      location,
      hint: didYouMean(key, known),
    });
  }
  return entries;
}

function words(value: string | undefined): string[] {
  return (value ?? '').split(/\s+/).filter((word) => word !== '');
}

// --- templates by name -----------------------------------------------------------------------------------------------

/** A template and the package that it comes from. */
export interface FoundTemplate extends Template {
  readonly package: string;
  /** The package's directory. */
  readonly root: string;
}

/**
 * Finds the templates that can be named in a directory, which are entry points of the group `paste.paster_create_template`:
 * paster's own, then those of the installed packages.
 *
 * @param onSkip is called with the error of each package or template that cannot be read
 */
export async function findTemplates(directory: string, onSkip: (error: PasterError) => void): Promise<FoundTemplate[]> {
  const points = (await listPoints(directory, onSkip)).filter(({ group }) => group === CREATE_TEMPLATE);
  const found: FoundTemplate[] = [];
  for (const point of points) {
    try {
      found.push(await templateOf(point, points));
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      onSkip(error);
    }
  }
  return found;
}

/** A template is called by its own name if it is paster's, or if no other package has one of this name. */
async function templateOf(point: Point, points: readonly Point[]): Promise<FoundTemplate> {
  const namesakes = points.filter(({ name }) => name === point.name);
  const isAlone = point.package === 'paster' || namesakes.length === 1;
  const name = isAlone ? point.name : `${point.package}#${point.name}`;
  const directory = resolve(point.root, point.target);
  return readPackageTemplate(name, directory, point.package, point.root);
}

async function readPackageTemplate(
  name: string,
  directory: string,
  packageName: string,
  root: string,
): Promise<FoundTemplate> {
  const inside = relative(root, directory);
  if (inside.startsWith('..') || isAbsolute(inside) || !isExistingDirectory(directory)) {
    throw new ConfigError(
      'PASTER_TEMPLATE',
      `the package "${packageName}" declares a template "${name}" that is not a directory of the package: ${directory}`,
    );
  }
  return { ...(await readTemplate(name, directory)), package: packageName, root };
}

/** A template of paster's that `--template` does not name. */
export async function ownTemplate(name: string): Promise<FoundTemplate> {
  const directory = join(PACKAGE_ROOT, 'templates', name);
  return { ...(await readTemplate(name, directory)), package: 'paster', root: PACKAGE_ROOT };
}

/** The template of a name, `NAME` or `PACKAGE#NAME`. @throws UsageError with the names that exist */
export function namedTemplate(name: string, templates: readonly FoundTemplate[]): FoundTemplate {
  const plain = name.replace(/^npm:/, '');
  const found = templates.find((each) => each.name === plain || `${each.package}#${each.name}` === plain);
  if (found) return found;
  const namesakes = templates.filter((each) => each.name.endsWith(`#${plain}`)).map((each) => each.name);
  if (namesakes.length > 0) {
    throw new UsageError('PASTER_TEMPLATE', `create: "${name}" could be ${namesakes.join(' or ')}`);
  }
  const names = templates.map((each) => each.name);
  throw new UsageError('PASTER_TEMPLATE', `create: there is no template "${name}"`, {
    hint: didYouMean(name, names),
  });
}

/**
 * The templates in the order in which they are combined: each once, after those that it requires.
 * @throws ConfigError if templates require each other
 */
export async function inRequiredOrder(
  chosen: readonly FoundTemplate[],
  templates: readonly FoundTemplate[],
): Promise<FoundTemplate[]> {
  const ordered = new Map<string, FoundTemplate>();
  const visit = async (template: FoundTemplate, path: readonly string[]): Promise<void> => {
    if (path.includes(template.directory)) {
      throw new ConfigError(
        'PASTER_TEMPLATE',
        `templates require each other: ${[...path, template.directory].join(' -> ')}`,
      );
    }
    if (ordered.has(template.directory)) return;
    for (const name of template.requires) {
      const required = name.startsWith('.')
        ? await readPackageTemplate(name, resolve(template.directory, name), template.package, template.root)
        : namedTemplate(name, templates);
      await visit(required, [...path, template.directory]);
    }
    ordered.set(template.directory, template);
  };
  for (const template of chosen) await visit(template, []);
  return [...ordered.values()];
}
