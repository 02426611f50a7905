/** Names of templates to templates: entry points of the group `paste.paster_create_template`, paster's own and others'. */
import { statSync } from 'node:fs';
import { isAbsolute, relative, resolve } from 'node:path';
import { nearest } from '../config/nearest.ts';
import { CREATE_TEMPLATE, listPoints, type Point } from '../deploy/points.ts';
import { ConfigError, type PasterError, UsageError } from '../errors.ts';
import { readTemplate, type Template } from './template.ts';

/** A template with the package that it comes from. */
export interface FoundTemplate extends Template {
  readonly package: string;
  /** The package's directory. */
  readonly root: string;
}

/**
 * The templates that can be named in a directory: paster's first, then those of the packages installed around it.
 *
 * @param skipped is told of a package or a template that cannot be read
 */
export async function findTemplates(
  directory: string,
  skipped: (error: PasterError) => void,
): Promise<FoundTemplate[]> {
  const points = (await listPoints(directory, skipped)).filter(({ group }) => group === CREATE_TEMPLATE);
  const found: FoundTemplate[] = [];
  for (const point of points) {
    try {
      found.push(await templateOf(point, points));
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      skipped(error);
    }
  }
  return found;
}

/** The template's own name where no other package has one of that name; paster's goes first. */
async function templateOf(point: Point, points: readonly Point[]): Promise<FoundTemplate> {
  const namesakes = points.filter(({ name }) => name === point.name);
  const isAlone = point.package === 'paster' || namesakes.length === 1;
  const name = isAlone ? point.name : `${point.package}#${point.name}`;
  const directory = resolve(point.root, point.target);
  return readFrom(name, directory, point.package, point.root);
}

async function readFrom(name: string, directory: string, packageName: string, root: string): Promise<FoundTemplate> {
  const inside = relative(root, directory);
  const isDirectory = statSync(directory, { throwIfNoEntry: false })?.isDirectory() ?? false;
  if (inside.startsWith('..') || isAbsolute(inside) || !isDirectory) {
    throw new ConfigError(
      'PASTER_TEMPLATE',
      `the package "${packageName}" declares a template "${name}" that is no directory in it: ${directory}`,
    );
  }
  return { ...(await readTemplate(name, directory)), package: packageName, root };
}

/** The template that a name means: `NAME`, or `PACKAGE#NAME`. @throws UsageError that names what there is. */
export function namedTemplate(name: string, templates: readonly FoundTemplate[]): FoundTemplate {
  const plain = name.replace(/^npm:/, '');
  const found = templates.find((each) => each.name === plain || `${each.package}#${each.name}` === plain);
  if (found) return found;
  const namesakes = templates.filter((each) => each.name.endsWith(`#${plain}`)).map((each) => each.name);
  if (namesakes.length > 0) {
    throw new UsageError('PASTER_TEMPLATE', `create: "${name}" could be ${namesakes.join(' or ')}`);
  }
  const names = templates.map((each) => each.name);
  const meant = nearest(name, names);
  throw new UsageError('PASTER_TEMPLATE', `create: there is no template "${name}"`, {
    hint: meant ? `did you mean "${meant}"?` : `there are: ${names.join(', ')}`,
  });
}

/**
 * The templates in the order in which they are laid upon each other: each after those that it requires, and none twice.
 * @throws ConfigError for a ring of templates.
 */
export async function inOrder(
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
        ? await readFrom(name, resolve(template.directory, name), template.package, template.root)
        : namedTemplate(name, templates);
      await visit(required, [...path, template.directory]);
    }
    ordered.set(template.directory, template);
  };
  for (const template of chosen) await visit(template, []);
  return [...ordered.values()];
}
