/** `paster create --from FILE`: writes the INI files for what pm2's ecosystem file or a Procfile starts. */
import { basename, dirname, join, relative, resolve } from 'node:path';
import { nearest } from '../config/nearest.ts';
import { readManifest } from '../deploy/programs/manifest.ts';
import { EXIT_OK, UsageError } from '../errors.ts';
import { printableLine } from '../printable.ts';
import { installCommand, packageManagerOf } from '../scaffold/existing-project.ts';
import { PACKAGES_PATH } from '../scaffold/migrate/command-line.ts';
import { ecosystemApps, environmentNames } from '../scaffold/migrate/ecosystem.ts';
import { loadEcosystem } from '../scaffold/migrate/ecosystem-file.ts';
import { type MigratedApp, mergedNotes } from '../scaffold/migrate/migrated-app.ts';
import { lostOptions, migratedIni, sectionNames, servedPort, unknownPort } from '../scaffold/migrate/migrated-ini.ts';
import { readProcfile } from '../scaffold/migrate/procfile.ts';
import { stateDirectory } from '../scaffold/project-edits.ts';
import type { ProjectFile } from '../scaffold/project-files.ts';
import type { Questions } from '../scaffold/questions.ts';
import { fromWorkingDirectory, workingDirectory } from '../working-directory.ts';
import { parseAssignments } from './command-line/arguments.ts';
import { type Console, textOption } from './command-line/command.ts';
import { addFiles, questionsOf } from './write-project.ts';

type Options = Readonly<Record<string, unknown>>;

/** What the file starts, in production and during development. */
interface Migration {
  readonly production: readonly MigratedApp[];
  readonly development: readonly MigratedApp[];
  /** The parts of the file itself that have no counterpart in an INI file. */
  readonly notes: readonly string[];
}

const FOR_NEW_PROJECTS = ['template', 'config'];
const VARIABLES = ['web', 'env'];

export async function createFrom(
  file: string,
  args: readonly string[],
  options: Options,
  console: Console,
  signal: AbortSignal,
): Promise<number> {
  const wrong = FOR_NEW_PROJECTS.find((name) => options[name] !== undefined);
  if (wrong !== undefined) throw usage(`--${wrong} is for new projects`, 'leave it out with --from');
  const assigned = args[0] === '.' ? args.slice(1) : args;
  const other = assigned.find((word) => !word.includes('='));
  if (other !== undefined) {
    throw usage(
      `--from writes etc/ beside the file, not "${other}"`,
      'leave it out; --output-dir names another directory',
    );
  }
  const given = parseAssignments(assigned);
  const unknown = Object.keys(given).find((name) => !VARIABLES.includes(name));
  if (unknown !== undefined) throw usage(`--from has no variable "${unknown}"`, `there are: ${VARIABLES.join(', ')}`);
  const source = fromWorkingDirectory(file);
  const root = resolve(workingDirectory(), textOption(options, 'outputDir') ?? dirname(source));
  const migration = await read(source, given['env']);
  const questions = questionsOf(options, signal);
  const web = await chooseWeb(migration.production, given['web'], questions);
  const files = [...iniFiles(migration, web, root, source), ...stateDirectory(root)];

  for (const line of description(migration, web)) console.out(printableLine(line));
  const { status, isComplete } = await addFiles(root, files, { options, questions, console, signal });
  if (!isComplete) return status;
  const place = relative(workingDirectory(), root);
  const manifest = readManifest(root);
  const install = installCommand(root, packageManagerOf(root, manifest).value, manifest);
  const steps = [
    ...(place === '' ? [] : [`cd ${place}`]),
    ...(install === undefined ? [] : [install]),
    'npx paster serve etc/develop.ini --reload',
  ];
  console.out('');
  console.out(printableLine(`Next: ${steps.join(' && ')}`));
  const inProduction = files.filter(({ path }) => /\.ini$/.test(path) && path !== 'etc/develop.ini');
  for (const { path } of inProduction) console.out(`In production: npx paster serve ${path}`);
  return EXIT_OK;
}

async function read(file: string, environment: string | undefined): Promise<Migration> {
  if (/^Procfile/.test(basename(file))) {
    if (environment !== undefined) throw usage('a Procfile has no environments', 'leave env= out');
    const { apps, notes } = readProcfile(file);
    return { production: apps, development: apps, notes };
  }
  if (!/\.(?:[cm]?js|json|ya?ml)$/.test(file)) {
    throw usage(
      `--from: ${basename(file)} is neither an ecosystem file nor a Procfile`,
      'allowed: ecosystem.config.js, .cjs, .mjs, .json, .yaml or Procfile',
    );
  }
  const value = await loadEcosystem(file);
  const names = environmentNames(value);
  const ifDeclared = (name: string) => (names.includes(name) ? name : undefined);
  const { apps, notes } = ecosystemApps(value, file, environment ?? ifDeclared('production'));
  const development = ecosystemApps(value, file, ifDeclared('development')).apps.map(withoutProduction);
  return { production: apps, development, notes };
}

/** Most files have NODE_ENV=production in `env`, which would hide errors during development. */
function withoutProduction(app: MigratedApp): MigratedApp {
  const variables = Object.entries(app.variables).filter(
    ([name, value]) => name !== 'NODE_ENV' || value !== 'production',
  );
  return { ...app, variables: Object.fromEntries(variables) };
}

/** The application that paster serves: the first one that looks like it, unless the user names another. */
async function chooseWeb(
  apps: readonly MigratedApp[],
  given: string | undefined,
  questions: Questions | undefined,
): Promise<MigratedApp | undefined> {
  const possible = apps.filter(({ program }) => program.file !== undefined);
  const servers = possible.filter(({ isServer }) => isServer);
  if (given !== undefined) {
    if (given === '') return undefined;
    const named = possible.find(({ name }) => name === given);
    if (named) return named;
    const names = possible.map(({ name }) => name);
    throw usage(
      `web=${given}: there is no Node program of this name`,
      `there are: ${nearest(given, names) ?? names.join(', ')}`,
    );
  }
  if (servers.length < 2 || !questions) return servers[0];
  const choices = servers.map(({ name, program }) => ({ value: name, hint: basename(program.file ?? '') }));
  const name = await questions.choice(
    'Which one does paster serve? The others listen by themselves',
    choices,
    servers[0]?.name,
  );
  return servers.find((each) => each.name === name);
}

function iniFiles(
  { production, development, notes }: Migration,
  web: MigratedApp | undefined,
  root: string,
  source: string,
): ProjectFile[] {
  const directory = join(root, 'etc');
  const from = `From ${relative(directory, source)}, by paster create --from.`;
  const file = (
    name: string,
    apps: readonly MigratedApp[],
    heading: readonly string[],
    isDevelopment: boolean,
    served = apps.find((app) => app.name === web?.name),
  ) => {
    const text = migratedIni(apps, { web: served, directory, isDevelopment, heading });
    return { path: `etc/${name}`, content: Buffer.from(text), mode: 0o644 };
  };
  const serve = 'npx paster serve etc';
  const own = production.filter((app) => needsOwnFile(app, web));
  const names = sectionNames(production);
  const rest = production.filter((app) => !own.includes(app));
  return [
    file('config.ini', rest, [`Production:   ${serve}/config.ini`, from, ...notes.map((note) => `${note}.`)], false),
    file('develop.ini', development, [`Development:   ${serve}/develop.ini --reload`, from], true),
    ...own.map((app) => {
      const name = ownFile(names.get(app) ?? app.name);
      return file(name, [app], [`Production:   ${serve}/${name}`, from], false, app);
    }),
  ];
}

/** A server with several processes on one port, beside the one that the first file serves. */
function needsOwnFile(app: MigratedApp, web: MigratedApp | undefined): boolean {
  return app !== web && app.isServer && app.instances !== 1;
}

function ownFile(name: string): string {
  return `${['config', 'develop'].includes(name) ? `${name}-app` : name}.ini`;
}

/** What becomes of each app, and what has no counterpart. */
function description({ production, notes }: Migration, web: MigratedApp | undefined): string[] {
  const names = sectionNames(production);
  const rows = production.map(
    (app) => [app.name, shownProgram(app), shownSection(app, names.get(app) ?? app.name, web)] as const,
  );
  const width = (column: 0 | 1) => Math.max(0, ...rows.map((row) => row[column].length));
  const table = rows.map(
    ([name, program, section]) => `${name.padEnd(width(0))}  ${program.padEnd(width(1))}  ${section}`,
  );
  const lost = [...notes.map((note) => `the file: ${note}`), ...notesByText(production, web)];
  return [
    ...table,
    ...(lost.length === 0
      ? []
      : ['', 'Without a counterpart, or in a different way:', ...lost.map((each) => `  ${each}`)]),
  ];
}

/** Each note once, with the apps that it is for: most files have the same keys in all apps. */
function notesByText(apps: readonly MigratedApp[], web: MigratedApp | undefined): string[] {
  const namesOf = new Map<string, string[]>();
  for (const app of apps) {
    const { name, notes, program } = app;
    const lost = app === web || needsOwnFile(app, web) ? [...unknownPort(app), ...lostOptions(program)] : [];
    for (const note of mergedNotes([...notes, ...lost])) namesOf.set(note, [...(namesOf.get(note) ?? []), name]);
  }
  return [...namesOf].map(([note, names]) => `${names.join(', ')}: ${note}`);
}

function shownProgram({ program, cwd }: MigratedApp): string {
  if (program.file !== undefined) return relative(cwd, program.file);
  return (program.command ?? []).join(' ').replace(PACKAGES_PATH, '');
}

function shownSection(app: MigratedApp, name: string, web: MigratedApp | undefined): string {
  if (app === web || needsOwnFile(app, web)) {
    const place = app === web ? '' : ` of etc/${ownFile(name)}`;
    const workers =
      app.instances === 'auto' ? 'workers = auto' : `${app.instances} ${app.instances === 1 ? 'worker' : 'workers'}`;
    return `[app:main] and [server:main]${place}, port ${servedPort(app)}, ${workers}`;
  }
  if (app.runsOnce) return `[task:${name}], commented out: it has no schedule`;
  if (app.isPartOfPm2) return `[process:${name}], commented out: it is part of pm2`;
  return app.schedule === undefined ? `[process:${name}]` : `[task:${name}]`;
}

function usage(message: string, hint: string): UsageError {
  return new UsageError('PASTER_USAGE', `create: ${message}`, { hint });
}
