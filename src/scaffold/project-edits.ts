/** Lines that `create .` adds to files of a project: scripts in package.json, and what git and Docker leave out. */
import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ConfigError, errorMessage } from '../errors.ts';
import { readableText } from '../files/existing-path.ts';
import type { ExistingProject } from './existing-project.ts';
import type { ProjectFile } from './project-files.ts';

/** The scripts of package.json that serve the two INI files, by the names that they have or get. */
export interface Scripts {
  readonly dev: string;
  readonly start: string;
  /** What they run. Without `--dotenv` a program that needs the variables of .env does not start. */
  readonly commands: { readonly dev: string; readonly start: string };
  /** Those that package.json does not have yet. */
  readonly added: Readonly<Record<string, string>>;
}

export function scriptsFor({ manifest, envFile, program }: ExistingProject): Scripts {
  const isPasters = envFile?.value === 'paster';
  const readsEnvFile = isPasters && (program.nodeOptions ?? []).some((option) => option.startsWith('--env-file'));
  const commands = {
    dev: `paster serve etc/develop.ini --reload${isPasters ? ' --dotenv .env' : ''}`,
    start: `paster serve etc/config.ini${readsEnvFile ? ' --dotenv .env' : ''}`,
  };
  const added: Record<string, string> = {};
  const nameOf = (name: 'dev' | 'start', file: string): string => {
    const existing = Object.entries(manifest.scripts).find(([, script]) => script.includes(`paster serve ${file}`));
    if (existing) return existing[0];
    const free = [name, `paster:${name}`].find((each) => !Object.hasOwn(manifest.scripts, each));
    if (free !== undefined) added[free] = commands[name];
    return free ?? name;
  };
  return { dev: nameOf('dev', 'etc/develop.ini'), start: nameOf('start', 'etc/config.ini'), commands, added };
}

/**
 * The files with the lines that are added.
 * @throws ConfigError if package.json is not JSON, or one of the files cannot be read
 */
export function editedFiles(project: ExistingProject, { added }: Scripts): ProjectFile[] {
  const { directory } = project;
  // `stateDirectory` leaves an existing var/ as it is.
  const needsLine = existsSync(join(directory, 'var')) && !existsSync(join(directory, STATE_IGNORE));
  const ignored = ['node_modules/', '.env', ...(needsLine ? ['var/'] : [])];
  return [
    ...(hasManifest(directory) ? [edited(directory, 'package.json', (text) => withScripts(text, added))] : []),
    ...stateDirectory(directory),
    edited(directory, '.gitignore', (text) => withLines(text, ignored)),
    edited(directory, '.dockerignore', (text) => withLines(text, ['.git/', 'node_modules/', '.env', 'var/'])),
  ];
}

const STATE_IGNORE = 'var/.gitignore';

/**
 * The file that makes var/, where pid files, logs and sockets go; none if there is a var/. Git keeps this file only: in a clone
 * without var/, the pid file would be beside package.json.
 */
export function stateDirectory(root: string): ProjectFile[] {
  if (existsSync(join(root, 'var'))) return [];
  return [{ path: STATE_IGNORE, content: Buffer.from('*\n!.gitignore\n'), mode: 0o644 }];
}

/** Without a package.json a project gets one, unless a directory above has it: that one decides about its modules. */
function hasManifest(directory: string): boolean {
  if (existsSync(join(directory, 'package.json'))) return true;
  for (let at = dirname(directory); ; at = dirname(at)) {
    if (existsSync(join(at, 'package.json'))) return false;
    if (at === dirname(at)) return true;
  }
}

function withScripts(text: string, added: Readonly<Record<string, string>>): string {
  return addMembers(text === '' ? '{\n  "private": true\n}\n' : text, 'scripts', added, 'package.json');
}

/** All lines for a new file; for one that exists only that of var/, if it is among them. */
function withLines(text: string, lines: readonly string[]): string {
  if (text === '') return `${lines.join('\n')}\n`;
  if (!lines.includes('var/') || /^\/?var(?:\/\**)?\r?$/m.test(text)) return text;
  const lineEnd = text.includes('\r\n') ? '\r\n' : '\n';
  return `${text}${text.endsWith('\n') ? '' : lineEnd}var/${lineEnd}`;
}

function edited(directory: string, path: string, edit: (text: string) => string): ProjectFile {
  const file = join(directory, path);
  const isNew = !existsSync(file);
  const text = isNew ? '' : readableText(file);
  if (text === undefined) {
    throw new ConfigError('PASTER_CREATE_EXTEND', `cannot add lines to ${path}: it is not a file that you can read`, {
      hint: 'remove it, or make it readable',
    });
  }
  const mode = isNew ? 0o644 : statSync(file).mode & 0o777;
  return { path, content: Buffer.from(edit(text)), mode, isExtension: true };
}

// --- adding members to an object in a JSON file: all other text stays as it is, with its indentation, order and line ends

interface Member {
  readonly key: string;
  readonly value: number;
  readonly end: number;
}

interface JsonObject {
  /** Behind the brace that opens it. */
  readonly start: number;
  readonly members: readonly Member[];
}

/**
 * Adds `members` to the object that is the member `name` of the file's object, which is added too if it is missing.
 * @param file its path, for messages
 * @throws ConfigError if the text is not JSON, or either is not an object
 */
export function addMembers(
  text: string,
  name: string,
  members: Readonly<Record<string, string>>,
  file: string,
): string {
  const added = Object.entries(members).map(([key, value]) => [key, JSON.stringify(value)] as const);
  if (added.length === 0) return text;
  checkObject(text, name, file);
  const root = objectAt(text, text.indexOf('{'));
  const inner = root.members.find(({ key }) => key === name);
  const style = styleOf(text, root);
  if (inner) return insert(text, objectAt(text, inner.value), added, style, 2);
  const value = `{${style.indent(2)}${lines(added, style, 2)}${style.indent(1)}}`;
  return insert(text, root, [[name, value]], style, 1);
}

function checkObject(text: string, name: string, file: string): void {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (error) {
    throw new ConfigError('PASTER_MANIFEST', `${file} is not JSON: ${errorMessage(error)}`);
  }
  if (isObject(parsed) && (parsed[name] === undefined || isObject(parsed[name]))) return;
  throw new ConfigError('PASTER_MANIFEST', `${file}: "${name}" is not an object`);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

interface Style {
  /** What begins a line at this depth; empty if all is on one line. */
  indent(depth: number): string;
  /** Behind a colon. */
  readonly space: string;
}

function styleOf(text: string, { start, members: [first] }: JsonObject): Style {
  const space = first === undefined || /:\s$/.test(text.slice(start, first.value)) ? ' ' : '';
  const [, lineEnd, unit] = /^(\r?\n)[\r\n]*([ \t]*)/.exec(text.slice(start)) ?? [];
  if (first === undefined) return { indent: (depth) => `\n${'  '.repeat(depth)}`, space };
  if (lineEnd === undefined) return { indent: () => '', space };
  return { indent: (depth) => lineEnd + (unit ?? '').repeat(depth), space };
}

type Added = readonly (readonly [key: string, value: string])[];

function lines(added: Added, style: Style, depth: number): string {
  const members = added.map(([key, value]) => `${JSON.stringify(key)}:${style.space}${value}`);
  return members.join(`,${style.indent(depth) || style.space}`);
}

function insert(text: string, { start, members }: JsonObject, added: Added, style: Style, depth: number): string {
  const last = members.at(-1);
  const before = style.indent(depth) || (last ? style.space : '');
  const written = before + lines(added, style, depth);
  if (last) return `${text.slice(0, last.end)},${written}${text.slice(last.end)}`;
  const close = text.indexOf('}', start);
  return `${text.slice(0, start)}${written}${style.indent(depth - 1)}${text.slice(close)}`;
}

// --- a scanner of JSON that is known to be valid ---------------------------------------------------------------------

function objectAt(text: string, brace: number): JsonObject {
  const members: Member[] = [];
  let at = skipSpace(text, brace + 1);
  while (text[at] === '"') {
    const keyEnd = valueEnd(text, at);
    const key = String(JSON.parse(text.slice(at, keyEnd)));
    const value = skipSpace(text, skipSpace(text, keyEnd) + 1);
    const end = valueEnd(text, value);
    members.push({ key, value, end });
    at = skipSpace(text, end);
    if (text[at] === ',') at = skipSpace(text, at + 1);
  }
  return { start: brace + 1, members };
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (/\s/.test(text[at] ?? '')) at++;
  return at;
}

/** Where the value that begins at `from` ends. */
function valueEnd(text: string, from: number): number {
  const token = /"(?:\\.|[^"\\])*"|[[\]{}]|[^\s,:[\]{}"]+/g;
  token.lastIndex = from;
  for (let depth = 0; ; ) {
    const found = token.exec(text);
    if (!found) return text.length;
    if (/^[[{]$/.test(found[0])) depth++;
    if (/^[\]}]$/.test(found[0])) depth--;
    if (depth === 0) return token.lastIndex;
  }
}
