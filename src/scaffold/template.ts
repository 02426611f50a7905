/**
 * Reads a template: a directory whose files become a project's. A name that ends in `_tmpl` is rendered and loses the
 * ending, `+name+` in a path is replaced, and a leading `__` stands for a dot (npm does not pack .gitignore).
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { isAbsolute, join, relative } from 'node:path';
import { ConfigError } from '../errors.ts';

/** Values for the `{{name}}`s of a template. */
export type Variables = Readonly<Record<string, string>>;

/** A file as it is to be, its path relative to the project. */
export interface ProjectFile {
  readonly path: string;
  readonly content: Buffer;
  readonly mode: number;
}

const PLACEHOLDER = /\{\{\s*(\w+)\s*\}\}/g;
const PATH_PLACEHOLDER = /\+(\w+)\+/g;

/** All files of the template in `directory`, rendered, in the order of their paths. */
export async function renderTemplate(directory: string, variables: Variables): Promise<ProjectFile[]> {
  const entries = await readdir(directory, { withFileTypes: true, recursive: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return Promise.all(files.sort().map((file) => renderFile(directory, file, variables)));
}

async function renderFile(directory: string, file: string, variables: Variables): Promise<ProjectFile> {
  const source = file.slice(directory.length + 1);
  const bytes = await readFile(file);
  const rendered = source.endsWith('_tmpl');
  const path = source
    .replace(/_tmpl$/, '')
    .replace(/(^|\/)__(?=[^/]+$)/, '$1.')
    .replace(PATH_PLACEHOLDER, (_match, name: string) => variable(name, variables, source));
  if (relative('.', path).startsWith('..') || isAbsolute(path)) {
    throw new ConfigError(
      'PASTER_TEMPLATE_PATH',
      `the template's ${source} would be written outside the project: ${path}`,
    );
  }
  return {
    path,
    content: rendered
      ? Buffer.from(bytes.toString().replace(PLACEHOLDER, (_match, name: string) => variable(name, variables, source)))
      : bytes,
    mode: (await stat(file)).mode & 0o111 ? 0o755 : 0o644,
  };
}

function variable(name: string, variables: Variables, file: string): string {
  const value = Object.hasOwn(variables, name) ? variables[name] : undefined;
  if (value !== undefined) return value;
  throw new ConfigError('PASTER_TEMPLATE_VARIABLE', `the template's ${file} wants a variable "${name}"`, {
    hint: `give ${name}=VALUE; there are: ${Object.keys(variables).join(', ')}`,
  });
}
