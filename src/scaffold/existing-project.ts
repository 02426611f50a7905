/** Looks at a project that has no INI file yet: what runs it, on which port, and with which tools. Nothing of it is run. */
import { existsSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { type FoundProgram, findProgram, START_SCRIPTS } from '../deploy/programs/find-program.ts';
import { type Framework, frameworkOf } from '../deploy/programs/frameworks.ts';
import { type Manifest, readManifest } from '../deploy/programs/manifest.ts';
import { packageFile } from '../deploy/programs/script-command.ts';
import { isExistingDirectory, readableText } from '../files/existing-path.ts';
import { ownSource } from '../own-files.ts';
import { type FoundPort, portOf } from './program-port.ts';

export type PackageManager = 'npm' | 'pnpm' | 'yarn' | 'bun';

/** Something that was detected, and why. */
export interface Fact<Value> {
  readonly value: Value;
  readonly reason: string;
}

/** One process has to serve. */
export interface SingleProcess {
  readonly reason: string;
  /** The old process has to end before the new one starts. */
  readonly isExclusive: boolean;
}

export interface ExistingProject {
  readonly directory: string;
  readonly manifest: Manifest;
  readonly framework: Framework | undefined;
  /** What runs in production. */
  readonly program: FoundProgram;
  /** What runs during development. */
  readonly development: FoundProgram;
  /** Whether the files that run are there, or a build has to write them first. */
  readonly isBuilt: boolean;
  readonly language: Fact<'JavaScript' | 'TypeScript'>;
  readonly modules: Fact<'ES modules' | 'CommonJS'>;
  readonly staticDirectories: readonly string[];
  /** Whether there is a file .env, and which of the program and paster reads it. */
  readonly envFile: Fact<'program' | 'paster'> | undefined;
  readonly packageManager: Fact<PackageManager>;
  readonly port: FoundPort;
  /** Set if several processes cannot serve in production. */
  readonly singleProcess: SingleProcess | undefined;
}

const DEVELOPMENT_SCRIPTS = ['dev', 'start:dev', 'develop', ...START_SCRIPTS];

const STATIC_DIRECTORIES = ['dist/client', 'build/client', 'public', 'static'];

/** @throws ConfigError if the directory has no program. */
export function lookAtProject(directory: string): ExistingProject {
  const manifest = readManifest(directory);
  const framework = frameworkOf(manifest.uses);
  const program = findProgram(directory, { ini: false, unbuilt: true });
  const development = findProgram(directory, {
    ini: false,
    unbuilt: true,
    scripts: DEVELOPMENT_SCRIPTS,
    development: true,
  });
  return {
    directory,
    manifest,
    framework,
    program,
    development,
    isBuilt: isThere(directory, program.file) && isThere(directory, framework?.output),
    language: languageOf(directory, development),
    modules: modulesOf(manifest, program),
    staticDirectories: STATIC_DIRECTORIES.filter((each) => isExistingDirectory(join(directory, each))),
    envFile: envFileOf(directory, manifest),
    packageManager: packageManagerOf(directory, manifest),
    port: portOf(program, framework?.port),
    singleProcess: singleProcessOf(manifest, program),
  };
}

/** Packages whose programs cannot be served by several processes without further settings. */
const SINGLE_PROCESS: Readonly<Record<string, SingleProcess>> = {
  'socket.io': { reason: 'Socket.IO: a client must reach the same process with each request', isExclusive: false },
  'node-red': { reason: 'Node-RED: it runs its flows in its process', isExclusive: true },
};

const VERDACCIO: SingleProcess = { reason: 'Verdaccio: it keeps its list of packages in one file', isExclusive: false };

function singleProcessOf({ uses }: Manifest, { file = '' }: FoundProgram): SingleProcess | undefined {
  // A project can also need a registry for its tests.
  if (file.includes('/node_modules/verdaccio/')) return VERDACCIO;
  return Object.entries(SINGLE_PROCESS).find(([dependency]) => uses(dependency))?.[1];
}

function isThere(directory: string, file: string | undefined): boolean {
  return file === undefined || existsSync(resolve(directory, file));
}

function languageOf(directory: string, { file = '' }: FoundProgram): ExistingProject['language'] {
  if (/\.[cm]?tsx?$/.test(file)) return { value: 'TypeScript', reason: file.replace(/^\.\//, '') };
  if (existsSync(join(directory, 'tsconfig.json'))) return { value: 'TypeScript', reason: 'tsconfig.json' };
  return { value: 'JavaScript', reason: 'no tsconfig.json' };
}

/** As Node decides it: by the extension, by package.json, by the text. */
function modulesOf({ type }: Manifest, { file = '', directory }: FoundProgram): ExistingProject['modules'] {
  const [, letter] = /\.([cm])[jt]s$/.exec(file) ?? [];
  if (letter !== undefined) return { value: letter === 'm' ? 'ES modules' : 'CommonJS', reason: file };
  if (type !== undefined) {
    return { value: type === 'module' ? 'ES modules' : 'CommonJS', reason: `"type": "${type}" in package.json` };
  }
  if (/^(?:import|export)\b(?!\()/m.test(readableText(resolve(directory, file)) ?? '')) {
    return { value: 'ES modules', reason: `the syntax of ${file.replace(/^\.\//, '')}` };
  }
  return { value: 'CommonJS', reason: 'no "type" in package.json' };
}

/** Packages that read .env by themselves, or are what a framework reads it with. */
const ENV_READERS = ['dotenv', 'dotenv-flow', 'dotenv-expand', '@nestjs/config', '@adonisjs/core', 'next'];

function envFileOf(directory: string, manifest: Manifest): ExistingProject['envFile'] {
  // It may also be a directory, such as a virtual environment of Python.
  if (!statSync(join(directory, '.env'), { throwIfNoEntry: false })?.isFile()) return undefined;
  const reader = ENV_READERS.find(manifest.uses);
  if (reader !== undefined) return { value: 'program', reason: `package.json depends on ${reader}` };
  return { value: 'paster', reason: 'no dependency in package.json reads it' };
}

const LOCK_FILES: readonly (readonly [file: string, manager: PackageManager])[] = [
  ['package-lock.json', 'npm'],
  ['npm-shrinkwrap.json', 'npm'],
  ['pnpm-lock.yaml', 'pnpm'],
  ['yarn.lock', 'yarn'],
  ['bun.lock', 'bun'],
  ['bun.lockb', 'bun'],
];

/** The lock file is that of the directory or of the workspace above, up to the repository's root. */
export function packageManagerOf(start: string, { packageManager }: Manifest): ExistingProject['packageManager'] {
  for (let directory = start; ; directory = dirname(directory)) {
    const [file, manager] = LOCK_FILES.find(([each]) => existsSync(join(directory, each))) ?? [];
    if (file !== undefined && manager !== undefined) return { value: manager, reason: file };
    if (existsSync(join(directory, '.git')) || directory === dirname(directory)) break;
  }
  const [, named] = /^(npm|pnpm|yarn|bun)@/.exec(packageManager ?? '') ?? [];
  if (named !== undefined) {
    return { value: named as PackageManager, reason: '"packageManager" in package.json' };
  }
  return { value: 'npm', reason: 'no lock file' };
}

/** Whether a package can be imported from the directory, which may be one of a workspace. */
export function isInstalled(directory: string, name: string): boolean {
  return existsSync(packageFile(directory, `${name}/package.json`));
}

/** The command that installs paster in the directory; undefined if it is installed. */
export function installCommand(directory: string, manager: PackageManager, manifest: Manifest): string | undefined {
  if (isInstalled(directory, 'paster')) return undefined;
  const source = ownSource(directory);
  if (manifest.uses('paster') && source === undefined) return `${manager} install`;
  return `${addCommand(manager)} ${source ?? 'paster'}`;
}

/** The command that adds a package. */
export function addCommand(manager: PackageManager): string {
  return manager === 'npm' ? 'npm install' : `${manager} add`;
}
