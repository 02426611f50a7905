/** Finds what a directory or a file runs without an INI file, for `paster serve .` and `paster create .`. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { ConfigError } from '../../errors.ts';
import { isExistingDirectory, readableText } from '../../files/existing-path.ts';
import { isProgramFile } from '../uri.ts';
import {
  developmentServerArgs,
  type Framework,
  frameworkOf,
  isDevelopmentCommand,
  isForkingScript,
} from './frameworks.ts';
import { type Manifest, readManifest } from './manifest.ts';
import { commandFile, packageFile, parseScript, portableScript, type ScriptCommand } from './script-command.ts';

/** What to serve, and how it was found. */
export interface FoundProgram {
  /**
   * An INI file's path, or a URI: `listen:./server.js#ARGUMENTS`, `module:./app.js`, `call:./app.js:makeApp`. Both are
   * relative to `directory`.
   */
  readonly spec: string;
  /** The same without arguments. */
  readonly uri: string;
  readonly isIni: boolean;
  readonly directory: string;
  /** For the line that reports the choice: `scripts.start of package.json`. */
  readonly reason: string;
  /** The file of a program or of a module, relative to `directory`. */
  readonly file?: string;
  /** Arguments of the program. */
  readonly args?: readonly string[];
  /** Options of Node in the script that was found, which `serve` does not pass on: `--import ./instrument.js`. */
  readonly nodeOptions?: readonly string[];
  /** Variables that the script sets: `NODE_ENV=production`. */
  readonly variables?: readonly string[];
}

export interface FindOptions {
  /** Take an INI file if there is one. Default: true. */
  readonly ini?: boolean;
  /** The scripts of package.json to look at, in this order. */
  readonly scripts?: readonly string[];
  /** Take a framework's development server if one of the scripts runs it. Default: false. */
  readonly development?: boolean;
  /** Take a file that a build has yet to make. Default: false. */
  readonly unbuilt?: boolean;
}

/** The scripts that start an application in production. */
export const START_SCRIPTS: readonly string[] = ['start:prod', 'start'];

/** Where programs usually are when package.json does not say. */
const USUAL_FILES = ['server', 'index', 'app', 'main', 'src/server', 'src/index', 'src/app', 'src/main'].flatMap(
  (stem) => ['.js', '.mjs', '.cjs', '.ts', '.mts'].map((extension) => stem + extension),
);

const USUAL_INI = ['etc/develop.ini', 'etc/config.ini', 'develop.ini', 'config.ini', 'production.ini'];

/**
 * What a file or a directory serves.
 * @throws ConfigError that lists what was looked for, or for a script that only Windows runs.
 */
export function findProgram(path: string, options: FindOptions = {}): FoundProgram {
  if (isProgramFile(path)) return program(resolve('.'), resolve(path), { reason: 'the file itself' });
  const directory = resolve(path);
  const { ini: takesIni = true, unbuilt = false } = options;
  const ini = takesIni ? iniFile(directory) : undefined;
  if (ini) return { spec: ini, uri: ini, isIni: true, directory, reason: 'it is there' };
  const manifest = readManifest(directory);
  const found =
    fromEntryPoint(manifest, directory) ??
    (options.development ? fromDevelopmentServer(manifest, directory, options) : undefined) ??
    fromBuild(manifest, directory, false) ??
    fromScript(manifest, directory, options) ??
    (unbuilt ? fromBuild(manifest, directory, true) : undefined) ??
    fromMain(manifest, directory) ??
    fromUsualFiles(directory);
  if (found) return found;
  if (takesIni) {
    throw new ConfigError('PASTER_NO_PROGRAM', `found no program and no INI file in ${directory}`, {
      hint: `paster looks for ${USUAL_INI[0]} or another INI file, and for "scripts.start" ("node server.js") and "main" in package.json`,
    });
  }
  throw new ConfigError('PASTER_NO_PROGRAM', `found no program in ${directory}`, {
    hint: 'paster looks for "scripts.start" ("node server.js") and "main" in package.json, and for server.js, index.js, app.js; "paster create NAME" makes a new project',
  });
}

function iniFile(directory: string): string | undefined {
  return USUAL_INI.find((file) => existsSync(join(directory, file))) ?? onlyIni(directory);
}

function onlyIni(directory: string): string | undefined {
  const files = ['.', 'etc'].flatMap((each) => {
    const folder = join(directory, each);
    if (!isExistingDirectory(folder)) return [];
    return readdirSync(folder).flatMap((name) => (name.endsWith('.ini') ? join(each, name) : []));
  });
  return files.length === 1 ? files[0] : undefined;
}

function fromEntryPoint({ paster }: Manifest, directory: string): FoundProgram | undefined {
  const expression = paster?.['paste.app_factory']?.['main'];
  if (typeof expression !== 'string') return undefined;
  const reason = '"paster" in package.json';
  const uri = `call:${expression}`;
  return { spec: uri, uri, isIni: false, directory, reason, file: expression.replace(/:[^:/]*$/, '') };
}

/** The server that a framework has built, or, if it `isExpected`, will build. */
function fromBuild(manifest: Manifest, directory: string, isExpected: boolean): FoundProgram | undefined {
  const framework = frameworkOf((name) => manifest.uses(name));
  if (framework?.server === undefined) return undefined;
  // A project can have its own program around a framework that is also a program.
  if (!isExpected && (framework.output !== undefined || !existsSync(join(directory, framework.server)))) {
    return undefined;
  }
  return builtServer(framework, framework.server, directory);
}

function builtServer({ dependency, args = [] }: Framework, server: string, directory: string): FoundProgram {
  const reason = `package.json depends on ${dependency}`;
  const inPackage = server.replace(/^node_modules\//, '');
  const file = inPackage === server ? join(directory, server) : packageFile(directory, inPackage);
  return program(directory, file, { args, reason, scheme: 'listen' });
}

function fromDevelopmentServer(
  { scripts, dependencies, uses }: Manifest,
  directory: string,
  { scripts: names = START_SCRIPTS }: FindOptions,
): FoundProgram | undefined {
  for (const name of names) {
    const script = scripts[name] ?? '';
    const { command, args, variables } = parseScript(script) ?? { command: '', args: [], variables: [] };
    const served = developmentServerArgs(command, args, uses);
    if (served === undefined) continue;
    const file = commandFile(directory, command, dependencies);
    const reason = `"${name}" in package.json: ${script}`;
    if (file !== undefined) return program(directory, file, { args: served, reason, variables, scheme: 'listen' });
  }
  return undefined;
}

/** What a script of package.json runs. */
function fromScript(manifest: Manifest, directory: string, options: FindOptions): FoundProgram | undefined {
  const { scripts = START_SCRIPTS, unbuilt = false } = options;
  // Angular puts the name of the application into the name of the script.
  const rendering = Object.keys(manifest.scripts).filter((name) => name.startsWith('serve:ssr:'));
  for (const name of [...scripts, ...rendering]) {
    const script = manifest.scripts[name] ?? '';
    refuseWindowsScript(name, script, directory);
    const parsed = parseScript(script);
    const reason = `"${name}" in package.json: ${script}`;
    const found = parsed && scriptProgram(parsed, reason, directory, { manifest, unbuilt });
    if (found) return found;
  }
  return undefined;
}

/** A shell does not set the variables of such a script, so its program could do something else than it is meant to. */
function refuseWindowsScript(name: string, script: string, directory: string): void {
  const portable = portableScript(script);
  if (portable === undefined) return;
  const file = join(directory, 'package.json');
  const before = readFileSync(file, 'utf8').split(JSON.stringify(script))[0] ?? '';
  const lines = before.split('\n');
  throw new ConfigError(
    'PASTER_SCRIPT',
    `the script "${name}" sets variables in a way that works only on Windows: ${script}`,
    {
      location: { file, line: lines.length, column: (lines.at(-1) ?? '').length + 1 },
      hint: `write "${portable}", or name the program: paster serve server.js`,
    },
  );
}

function scriptProgram(
  parsed: ScriptCommand,
  reason: string,
  directory: string,
  { manifest, unbuilt }: { readonly manifest: Manifest; readonly unbuilt: boolean },
): FoundProgram | undefined {
  const { command, file: name, args, nodeOptions, variables } = parsed;
  if (name !== undefined) {
    if (isForkingScript(name, args)) return undefined;
    const file = resolveProgram(directory, name) ?? (unbuilt ? missingFile(directory, name) : undefined);
    return file === undefined ? undefined : program(directory, file, { args, reason, nodeOptions, variables });
  }
  if (isDevelopmentCommand(command, args)) return undefined;
  const file = commandFile(directory, command, manifest.dependencies);
  return file === undefined ? undefined : program(directory, file, { args, reason, variables, scheme: 'listen' });
}

function fromMain({ main }: Manifest, directory: string): FoundProgram | undefined {
  const file = main === undefined ? undefined : resolveProgram(directory, main);
  return file === undefined ? undefined : program(directory, file, { reason: '"main" in package.json' });
}

function fromUsualFiles(directory: string): FoundProgram | undefined {
  const file = USUAL_FILES.find((each) => existsSync(join(directory, each)));
  return file === undefined ? undefined : program(directory, join(directory, file), { reason: 'its usual name' });
}

/** A file as `node FILE` finds it: with its extension or without. */
function resolveProgram(directory: string, name: string): string | undefined {
  const path = resolve(directory, name);
  const candidates = [
    path,
    ...['.js', '.mjs', '.cjs', '.ts'].map((extension) => path + extension),
    join(path, 'index.js'),
  ];
  return candidates.find((each) => existsSync(each) && statSync(each).isFile());
}

/** A file in a directory that builds write, which may not be there yet. */
function missingFile(directory: string, name: string): string | undefined {
  if (!/^(?:\.\/)?(?:\.?output|build|dist|lib|out)\//.test(name)) return undefined;
  return resolve(directory, isProgramFile(name) ? name : `${name}.js`);
}

interface ProgramDetails {
  readonly reason: string;
  readonly args?: readonly string[];
  readonly nodeOptions?: readonly string[];
  readonly variables?: readonly string[];
  readonly scheme?: string;
}

function program(directory: string, path: string, details: ProgramDetails): FoundProgram {
  const { reason, args = [], nodeOptions = [], variables = [], scheme } = details;
  const inside = relative(directory, path);
  // The packages of a workspace can be in a directory above.
  const isOutside = inside.startsWith('..') && !inside.includes('node_modules/');
  const file = isOutside ? path : inside.startsWith('..') ? inside : `./${inside}`;
  const uri = scheme === undefined ? exportedApp(path, file) : `${scheme}:${file}`;
  const spec = args.length > 0 ? `${uri}#${args.join(' ')}` : uri;
  return { spec, uri, isIni: false, directory, reason, file, args, nodeOptions, variables };
}

/** The URI of a file: what it exports if it listens nowhere. A program that listens says so in its first file. */
function exportedApp(path: string, file: string): string {
  const source = readableText(path);
  if (source === undefined) return `listen:${file}`;
  if (/\b(?:listen|serve|startServer|bootstrap|start)\s*\(/.test(source)) return `listen:${file}`;
  if (/\bexports\.makeApp\s*=|\bexport\s+(?:const|(?:async\s+)?function)\s+makeApp\b/.test(source)) {
    return `call:${file}:makeApp`;
  }
  const isExported = /\bmodule\.exports\s*=|\bexport\s+default\b|\bexport\s*\{[^}]*\bas\s+default\b/.test(source);
  return `${isExported ? 'module' : 'listen'}:${file}`;
}
