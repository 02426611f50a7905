/**
 * Makes the files of a project from one or more templates. In their paths `+name+` is replaced by a variable, and a leading
 * `__` means a dot (npm does not pack .gitignore). A file whose name ends in `_tmpl` is rendered and loses the ending;
 * if the result is empty, it is not written.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { extname, isAbsolute, join, relative } from 'node:path';
import { ConfigError, errorMessage } from '../errors.ts';
import { renderText, type TemplateValues, type TemplateVariables } from './render-text.ts';
import { DECLARATION, type FoundTemplate } from './template.ts';

/** A file to write, its path relative to the project. */
export interface ProjectFile {
  readonly path: string;
  readonly content: Buffer;
  readonly mode: number;
  /** The content is that of the existing file with lines added, so nothing is lost if it is replaced. */
  readonly isExtension?: boolean;
}

const RENDERED = /_tmpl$/;
const PATH_VARIABLE = /\+(\w+)\+/g;

/** How to quote a value in a file of this kind. */
const QUOTED: Readonly<Record<string, (value: string) => string>> = {
  '.ini': (value) => value.replaceAll('%', '%%'),
  '.json': (value) => JSON.stringify(value).slice(1, -1),
};

/**
 * The files of all `templates`, sorted by path. A file replaces one of the same path in an earlier template; JSON objects
 * are merged, and the members of the later one take precedence.
 */
export async function projectFiles(
  templates: readonly FoundTemplate[],
  variables: TemplateVariables,
): Promise<ProjectFile[]> {
  const files = new Map<string, ProjectFile>();
  for (const template of templates) {
    for (const file of await renderTemplate(template, variables)) {
      const below = files.get(file.path);
      files.set(file.path, below && extname(file.path) === '.json' ? mergedJson(below, file) : file);
    }
  }
  return [...files.values()].sort((one, other) => (one.path < other.path ? -1 : 1));
}

async function renderTemplate(template: FoundTemplate, variables: TemplateVariables): Promise<ProjectFile[]> {
  const values = await valuesFor(template, variables);
  const entries = await readdir(template.directory, { withFileTypes: true, recursive: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const sources = files.filter((file) => file !== join(template.directory, DECLARATION));
  const rendered = await Promise.all(sources.map((file) => renderFile(template.directory, file, values)));
  return rendered.filter((file) => file !== undefined);
}

/** The variables, and as `version:NAME` the version of NAME that the template's own package depends on. */
async function valuesFor({ root }: FoundTemplate, variables: TemplateVariables): Promise<TemplateValues> {
  const { dependencies, devDependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    readonly [group: string]: TemplateVariables | undefined;
  };
  const versions = { ...devDependencies, ...dependencies };
  return {
    names: Object.keys(variables),
    get(name) {
      const [, wanted] = /^version:(.+)$/.exec(name) ?? [];
      const [from, key] = wanted === undefined ? [variables, name] : [versions, wanted];
      return Object.hasOwn(from, key) ? from[key] : undefined;
    },
  };
}

async function renderFile(directory: string, file: string, values: TemplateValues): Promise<ProjectFile | undefined> {
  const source = relative(directory, file);
  const path = source
    .replace(RENDERED, '')
    .replace(/(^|\/)__(?=[^/]+$)/, '$1.')
    .replace(PATH_VARIABLE, (_match, name: string) => renderText(`{{${name}}}`, file, values, (value) => value));
  if (relative('.', path).startsWith('..') || isAbsolute(path)) {
    throw new ConfigError(
      'PASTER_TEMPLATE_PATH',
      `the template's ${source} would be written outside the project: ${path}`,
    );
  }
  const mode = (await stat(file)).mode & 0o111 ? 0o755 : 0o644;
  const content = await readFile(file);
  if (!RENDERED.test(source)) return { path, content, mode };
  const text = renderText(content.toString(), file, values, QUOTED[extname(path)] ?? ((value) => value));
  return text.trim() === '' ? undefined : { path, content: Buffer.from(text), mode };
}

function mergedJson(below: ProjectFile, above: ProjectFile): ProjectFile {
  const merged = merge(parseJson(below), parseJson(above));
  return { ...above, content: Buffer.from(`${JSON.stringify(merged, undefined, 2)}\n`) };
}

function merge(below: unknown, above: unknown): unknown {
  if (!isObject(below) || !isObject(above)) return above;
  const members = new Map(Object.entries(below));
  for (const [key, value] of Object.entries(above)) {
    const merged = members.has(key) ? merge(members.get(key), value) : value;
    members.set(key, /ependencies$/.test(key) && isObject(merged) ? sorted(merged) : merged);
  }
  return Object.fromEntries(members);
}

/** In the order in which npm keeps the dependencies in package.json. */
function sorted(members: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(members).sort(([one], [other]) => (one < other ? -1 : 1)));
}

function parseJson({ path, content }: ProjectFile): unknown {
  try {
    return JSON.parse(content.toString());
  } catch (error) {
    throw new ConfigError('PASTER_TEMPLATE', `a template's ${path} is not JSON: ${errorMessage(error)}`);
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
