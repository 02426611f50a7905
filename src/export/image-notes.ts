/** What the image of `export docker` lacks: packages that are not in the project, and programs that commands run. */
import { readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { commandWords } from '../deploy/background/command-line.ts';
import { placeOfKey, sectionPrefix } from '../deploy/context.ts';
import { formatLocation } from '../errors.ts';
import type { BackgroundPart } from './background.ts';
import type { Deployment } from './deployment.ts';

type Versions = Readonly<Record<string, string>>;

interface Manifest {
  readonly text: string;
  readonly name: unknown;
  /** Those that the image installs. */
  readonly installed: Versions;
  readonly development: Versions;
}

/** Programs of node:slim that a command is likely to run, and words of a shell. */
const IN_IMAGE = new Set(
  `node npm npx yarn corepack tini sh bash dash env perl awk sed grep find xargs sort uniq head tail tee wc cut tr cat cp mv rm
  ln ls mkdir mktemp touch date tar gzip gunzip nice nohup timeout sleep echo printf true false test stat du df id kill flock chmod
  chown hostname seq exec export cd set unset trap wait ulimit umask source . : [ if then else elif fi for while until do done case
  esac { }`.split(/\s+/),
);

/** @param base the image that the programs are in */
export function imageNotes({ project, background }: Deployment, base: string): string[] {
  const parts = [...background.processes, ...background.tasks];
  return [...packageNotes(project), ...parts.flatMap((part) => programNotes(part, base))];
}

/** Files and directories in the project that dependencies are installed from, relative to it. */
export function localPackages(project: string): string[] {
  const { installed } = readManifest(project);
  return Object.values(installed)
    .flatMap((version) => localPath(project, version) ?? [])
    .filter((path) => /^(?!\.\.)[\w@./+-]+$/.test(path));
}

function packageNotes(project: string): string[] {
  const manifest = readManifest(project);
  const { name, installed, development } = manifest;
  const note = (key: string, text: string) => `${placeInManifest(project, manifest, key)}: ${text}`;
  const outside = Object.entries(installed).flatMap(([key, version]) =>
    localPath(project, version)?.startsWith('..')
      ? [
          note(
            key,
            `"${key}": "${version}" is outside the project, from which the image is built: copy it into the project, and install it from there`,
          ),
        ]
      : [],
  );
  if (name === 'paster' || installed['paster'] !== undefined) return outside;
  const missing =
    development['paster'] === undefined
      ? note(
          'dependencies',
          'paster is not among the dependencies, so the image does not have it: add it to "dependencies"',
        )
      : note('paster', 'paster is in devDependencies, which the image does not install: move it to "dependencies"');
  return [missing, ...outside];
}

/** Relative to the project; undefined for a package of a registry. */
function localPath(project: string, version: string): string | undefined {
  const [, local] = /^(?:(?:file|link|portal):)(.+)$/.exec(version) ?? /^(\.{0,2}\/.+)$/.exec(version) ?? [];
  return local === undefined ? undefined : relative(project, resolve(project, local));
}

function readManifest(project: string): Manifest {
  try {
    const text = readFileSync(join(project, 'package.json'), 'utf8');
    const fields = Object(JSON.parse(text.replace(/^\uFEFF/, '')));
    return {
      text,
      name: fields.name,
      installed: { ...fields.dependencies, ...fields.optionalDependencies },
      development: { ...fields.devDependencies },
    };
  } catch {
    return { text: '', name: undefined, installed: {}, development: {} };
  }
}

/** Where a key is, or else the beginning of the file. */
function placeInManifest(project: string, { text }: Manifest, key: string): string {
  const index = text.search(new RegExp(`"${key.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')}"\\s*:`));
  const lines = text.slice(0, Math.max(0, index)).split('\n');
  const location = { file: join(project, 'package.json'), line: lines.length, column: (lines.at(-1) ?? '').length + 1 };
  return formatLocation(location);
}

function programNotes({ context }: BackgroundPart, base: string): string[] {
  const programs = programsOf(context.localConf['command'] ?? '').filter((each) => !isInImage(each));
  const location = placeOfKey(context, 'command');
  const place = location === undefined ? '' : `${formatLocation(location)}: `;
  return [...new Set(programs)].map(
    (program) =>
      `${place}${sectionPrefix(context)}command: ${base} has no ${program}: ` +
      `build an image from this one that installs it, or run this section in a container of its own`,
  );
}

function isInImage(program: string): boolean {
  // A path in the project.
  if (program.includes('/') && !program.startsWith('/')) return true;
  return IN_IMAGE.has(program.replace(/^.*\//, '')) || /[^\w./+-]/.test(program);
}

/** The programs that a command starts, also by `sh -c`. */
function programsOf(command: string): string[] {
  const words = command === '' ? [] : commandWords(command);
  const [program = '', option, script = ''] = words;
  if (!/(?:^|\/)(?:ba|da)?sh$/.test(program) || option !== '-c') return words.slice(0, 1);
  return script.split(/&&|\|\|?|;|\n|&/).flatMap((each) => {
    const [, first] = /^\s*(?:(?:exec|env)\s+|[A-Za-z_]\w*=\S*\s+)*([^\s=]+)(?:\s|$)/.exec(each) ?? [];
    return first === undefined ? [] : [first];
  });
}
