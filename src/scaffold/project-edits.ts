/** Lines that `create .` adds to files of a project: scripts in package.json, and what git and Docker leave out. */
import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ConfigError } from '../errors.ts';
import { readableText } from '../files/existing-path.ts';
import type { ExistingProject } from './existing-project.ts';
import { addMembers } from './json-members.ts';
import type { ProjectFile } from './project-files.ts';

/** The scripts of package.json that serve the two INI files, by the names that they have or get. */
export interface Scripts {
  readonly dev: string;
  readonly start: string;
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
  return { dev: nameOf('dev', 'etc/develop.ini'), start: nameOf('start', 'etc/config.ini'), added };
}

/**
 * The files with the lines that are added.
 * @throws ConfigError if package.json is not JSON, or one of the files cannot be read
 */
export function editedFiles(project: ExistingProject, { added }: Scripts): ProjectFile[] {
  const { directory } = project;
  return [
    ...(hasManifest(directory) ? [edited(directory, 'package.json', (text) => withScripts(text, added))] : []),
    edited(directory, '.gitignore', (text) => withLines(text, ['node_modules/', '.env', 'var/'])),
    edited(directory, '.dockerignore', (text) => withLines(text, ['.git/', 'node_modules/', '.env', 'var/'])),
  ];
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

/** All lines for a new file; for one that exists only that of var/. */
function withLines(text: string, lines: readonly string[]): string {
  if (text === '') return `${lines.join('\n')}\n`;
  if (/^\/?var(?:\/\**)?\r?$/m.test(text)) return text;
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
