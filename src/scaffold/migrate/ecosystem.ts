/** The apps of pm2's ecosystem file, as pm2 itself reads them. */
import { availableParallelism } from 'node:os';
import { basename, dirname, extname, relative, resolve } from 'node:path';
import type { Variables } from '../../config/env-file.ts';
import { didYouMean } from '../../config/nearest.ts';
import { quotedWords } from '../../deploy/background/command-line.ts';
import { backgroundSettings } from '../../deploy/background/process-settings.ts';
import { schedule, scheduleProblem } from '../../deploy/background/task-settings.ts';
import { processes } from '../../deploy/server/workers-setting.ts';
import { ConfigError, UsageError } from '../../errors.ts';
import { readableText } from '../../files/existing-path.ts';
import { programOfLine, programOfWords, stopSignalOf } from './command-line.ts';
import {
  canonicalApp,
  FILE_KEYS,
  type Fields,
  isFields,
  mebibytesOf,
  placeOfValue,
  secondsOf,
  textOf,
} from './ecosystem-keys.ts';
import { keyNotes, limitNotes, notServedNote, PM2_SERVE, programNotes, variableNotes } from './ecosystem-notes.ts';
import { listening, missingNotes, opensPort, servedProgram } from './listening.ts';
import { type MigratedApp, type MigratedProgram, nodeProgram, otherProgram, withEnvFiles } from './migrated-app.ts';

export interface Ecosystem {
  readonly apps: readonly MigratedApp[];
  /** Keys of the file without a counterpart. */
  readonly notes: readonly string[];
}

/** What runs a script by its extension (pm2's interpreter.json); Node runs the others. */
const INTERPRETERS: Readonly<Record<string, string>> = {
  '.sh': 'bash',
  '.py': 'python3',
  '.rb': 'ruby',
  '.php': 'php',
  '.pl': 'perl',
  '.coffee': 'coffee',
  '.ls': 'lsc',
};

/**
 * @param value what the file exports
 * @param environment of `env_production`; undefined: `env` alone
 * @throws ConfigError for what pm2 does not accept either
 */
export function ecosystemApps(value: unknown, file: string, environment: string | undefined): Ecosystem {
  const config = isFields(value) ? value : {};
  const listed = config['apps'] ?? config['pm2'] ?? value;
  const apps = (Array.isArray(listed) ? listed : [listed]).map((app, index) => {
    if (!isFields(app)) throw fileError(file, `app ${index + 1} is not an object`);
    return canonicalApp(app);
  });
  checkEnvironment(apps, environment);
  const notes = Object.entries(FILE_KEYS).flatMap(([key, note]) =>
    config[key] === undefined ? [] : [`${key}: ${note}`],
  );
  return { apps: apps.map((app) => migratedApp(app, file, environment)), notes };
}

/** The names of the environments of all apps: `production` of `env_production`. */
export function environmentNames(value: unknown): string[] {
  const config = isFields(value) ? value : {};
  const apps = [config['apps'] ?? config['pm2'] ?? value].flat().filter(isFields);
  const names = apps.flatMap(Object.entries).flatMap(([key, variables]) => {
    const [, name] = /^env_(\S+)$/.exec(key) ?? [];
    return name !== undefined && isFields(variables) ? [name] : [];
  });
  return [...new Set(names)];
}

function checkEnvironment(apps: readonly Fields[], environment: string | undefined): void {
  const names = environmentNames(apps);
  if (environment === undefined || names.includes(environment)) return;
  throw new UsageError('PASTER_USAGE', `create: no app has env_${environment}`, {
    hint: didYouMean(environment, names),
  });
}

function migratedApp(app: Fields, file: string, environment: string | undefined): MigratedApp {
  const script = textOf(app['script']);
  if (script === undefined) throw fileError(file, `the app ${JSON.stringify(app['name'] ?? '')} has no script`);
  const started = resolve(dirname(file), textOf(app['cwd']) ?? '.');
  const name = textOf(app['name']) ?? basename(script, extname(script));
  const whole = programOf(app, script, started, file);
  const own = variablesOf(app, environment);
  const port = portOf(app, { ...whole.variables, ...whole.last?.program.variables, ...own }, file);
  const isCluster = isClusterMode(app, whole.last?.program ?? whole);
  const mayServe = isCluster || Number.isInteger(port);
  const served = servedProgram(whole, mayServe);
  const cwd = served.program.cwd ?? started;
  const variables = { ...served.program.variables, ...own };
  const { program, envFiles } = withEnvFiles(served.program, cwd, variables);
  const role = roleOf(app, program, { port, mayServe });
  const instances = role.sharesNoPort ? onlyOne(app) : instancesOf(app, role.isServer);
  const times = scheduleOf(app, file);
  const endsItself = endsByItself(app);
  const isPartOfPm2 = script === 'serve';
  return {
    name,
    program,
    cwd,
    variables,
    envFiles,
    port: port > 0 ? port : undefined,
    isServer: role.isServer,
    listens: role.listens,
    stopSignal: stopSignalOf(program.command ?? [], cwd),
    instances: instances.count,
    schedule: endsItself ? times : undefined,
    restartSchedule: endsItself ? undefined : times,
    runsOnce: endsItself && times === undefined,
    isPartOfPm2,
    settings: settingsOf(app, cwd),
    notes: [
      ...keyNotes(app),
      ...variableNotes(variables),
      ...limitNotes(app),
      ...programNotes(app, role.isServer && isCluster),
      ...instances.notes,
      ...served.notes,
      ...(isPartOfPm2 ? [PM2_SERVE] : []),
      ...missingNotes(program, cwd),
      ...(role.isSurprising ? [notServedNote(name)] : []),
    ],
  };
}

/** pm2 does not start it again when it ends. */
function endsByItself(app: Fields): boolean {
  return app['autorestart'] === false;
}

interface Role {
  /** As in MigratedApp. */
  readonly isServer: boolean;
  /** As in MigratedApp. */
  readonly listens: boolean;
  /** It opens a port that several processes cannot share. */
  readonly sharesNoPort: boolean;
  /** It has a port in pm2, but its code does not listen. */
  readonly isSurprising: boolean;
}

/** What an app is for, by its code and by what pm2 knows. @param mayServe pm2 gives it a port, or a cluster */
function roleOf(
  app: Fields,
  program: MigratedProgram,
  { port, mayServe }: { readonly port: number; readonly mayServe: boolean },
): Role {
  const kind = listening(program);
  const staysAlive = program.file !== undefined && !endsByItself(app);
  const isServer = staysAlive && (kind === 'yes' || (mayServe && kind !== 'no' && kind !== 'other'));
  const opensOwnPort =
    kind === 'websocket' ||
    kind === 'other' ||
    (program.file === undefined && (Number.isInteger(port) || opensPort(program.command ?? [])));
  return {
    isServer,
    listens: isServer || opensOwnPort,
    sharesNoPort: kind === 'other',
    isSurprising: staysAlive && kind === 'no' && mayServe,
  };
}

/** The settings that pm2 has under other names. */
function settingsOf(app: Fields, cwd: string): MigratedApp['settings'] {
  return {
    ...setting('max_memory', mebibytesOf(app['max_memory_restart'])),
    ...setting('graceful_timeout', secondsOf(app['kill_timeout'])),
    ...setting('start_timeout', secondsOf(app['listen_timeout'])),
    ...setting('user', textOf(app['uid'])),
    ...setting('group', textOf(app['gid'])),
    ...setting('reload_files', watched(app['watch'], cwd)),
    ...setting('reload_ignore', ignored(app['ignore_watch'])),
  };
}

/** NaN: it names none, or the path of a socket. */
function portOf(app: Fields, variables: Variables, file: string): number {
  const key = app['port'] === undefined ? 'PORT' : 'port';
  const port = Number(app['port'] ?? variables['PORT']);
  if (!Number.isInteger(port)) return Number.NaN;
  if (port >= 0 && port <= 65535) return port;
  throw new ConfigError('PASTER_MIGRATE', `${appName(app)}: ${key}: "${port}" is not a port`, {
    location: placeOfValue(file, [key], String(port)),
    hint: 'allowed: a whole number from 0 to 65535',
  });
}

/** pm2 turns schedules off with 0. @throws ConfigError for what is no schedule, which pm2 does not accept either */
function scheduleOf(app: Fields, file: string): string | undefined {
  const value = textOf(app['cron_restart']);
  if (value === undefined || value === '0') return undefined;
  const problem = scheduleProblem(value);
  if (problem === undefined) return schedule.parse(value);
  const message = `${appName(app)}: cron_restart: "${value}" is not a schedule: ${problem}`;
  throw new ConfigError('PASTER_MIGRATE', message, {
    location: placeOfValue(file, ['cron_restart', 'cron'], value),
    hint: `allowed: ${schedule.allowed}`,
  });
}

function appName(app: Fields): string {
  return textOf(app['name']) ?? textOf(app['script']) ?? '';
}

function setting<K extends keyof MigratedApp['settings']>(
  key: K,
  value: string | undefined,
): Partial<Record<K, string>> {
  return value === undefined ? {} : ({ [key]: value } as Record<K, string>);
}

function programOf(app: Fields, script: string, cwd: string, file: string): MigratedProgram {
  const args = argumentsOf(app['args'], file);
  const nodeOptions = withValues(argumentsOf(app['node_args'], file));
  const interpreter = textOf(app['exec_interpreter']);
  // pm2 gives such a script to bash.
  if (/\s/.test(script.trim())) return programOfLine(script, cwd, 'bash');
  // A package manager by its path on this machine.
  if (/^\/.*\/(?:npm|pnpm|yarn)$/.test(script)) return programOfWords([basename(script), ...args], cwd, 'bash');
  const path = resolve(cwd, script);
  const source = readableText(path);
  // Not a file: pm2 looks for a command of this name.
  if (source === undefined && !/[./]/.test(script)) return programOfWords([script, ...args], cwd, 'bash');
  const isNode =
    interpreter === undefined ? !(extname(path) in INTERPRETERS) : /(?:^|\/)node(?:@.*)?$/.test(interpreter);
  // A file that is not there yet has to be built.
  const isProgram = source === undefined ? /\.[cm]?[jt]s$/.test(path) : !/^(?:\u007fELF|#!(?!.*\bnode\b))/.test(source);
  if (isNode && isProgram) return nodeProgram(path, args, nodeOptions);
  // Relative to the working directory, which is a setting of its own.
  const inside = relative(cwd, path);
  const name = inside.startsWith('..') ? path : inside;
  if (interpreter === 'none' || (interpreter === undefined && isNode))
    return otherProgram([name === path ? path : `./${name}`, ...args]);
  const options = nodeOptions.flatMap((each) => each.split(' '));
  return otherProgram([interpreter ?? INTERPRETERS[extname(path)] ?? 'node', ...options, name, ...args]);
}

/** pm2 chooses the cluster if there are instances and no mode. */
function isClusterMode(app: Fields, { file }: MigratedProgram): boolean {
  const mode = textOf(app['exec_mode']);
  if (mode !== undefined) return mode.startsWith('cluster');
  return file !== undefined && app['instances'] !== undefined;
}

/** The largest numbers that the settings allow. */
const MAX_WORKERS = processes.max ?? Number.POSITIVE_INFINITY;
const MAX_INSTANCES = backgroundSettings.declarations.instances.type.max ?? Number.POSITIVE_INFINITY;

function instancesOf(app: Fields, isServer: boolean): { count: MigratedApp['instances']; notes: readonly string[] } {
  const value = app['instances'] ?? undefined;
  if (value === undefined) return { count: 1, notes: [] };
  const count = Number(value);
  if (value === 'max' || count === 0) return { count: 'auto', notes: [] };
  if (!Number.isInteger(count)) {
    return { count: 'auto', notes: [`instances: ${JSON.stringify(value)} is not a whole number`] };
  }
  const most = isServer ? MAX_WORKERS : MAX_INSTANCES;
  if (count > most) {
    const setting = isServer ? 'workers' : 'instances of a process';
    return { count: most, notes: [`instances: ${count} is too many, ${setting} may be ${most} at most`] };
  }
  if (count > 0) return { count, notes: [] };
  const here = Math.max(1, availableParallelism() + count);
  return {
    count: here,
    notes: [
      `instances: ${count} is ${here} on this machine; pm2 counts the CPUs again on each: write the number of the one that serves`,
    ],
  };
}

/** pm2's cluster shares a port among processes; those of a section do not. */
function onlyOne(app: Fields): ReturnType<typeof instancesOf> {
  const { count } = instancesOf(app, false);
  return { count: 1, notes: count === 1 ? [] : ['instances: one process, because several cannot open the same port'] };
}

/** `env`, and over it `env_production`. */
function variablesOf(app: Fields, environment: string | undefined): Variables {
  const sources = [app['env'], environment === undefined ? undefined : app[`env_${environment}`]];
  const variables: Record<string, string> = {};
  for (const [name, value] of sources.filter(isFields).flatMap(Object.entries)) {
    if (value === null || value === undefined) continue;
    variables[name] = typeof value === 'object' ? JSON.stringify(value) : String(value);
  }
  if (app['port'] !== undefined) variables['PORT'] = String(app['port']);
  if (app['source_map_support'] === true) {
    variables['NODE_OPTIONS'] = `${variables['NODE_OPTIONS'] ?? ''} --enable-source-maps`.trim();
  }
  return variables;
}

/** Directories, files and patterns for `serve --reload`. */
function watched(value: unknown, cwd: string): string | undefined {
  const paths = listOf(value).map((each) => resolve(cwd, each));
  return paths.join('\n') || undefined;
}

/** pm2's files have patterns such as `\\.git`. */
function ignored(value: unknown): string | undefined {
  const patterns = listOf(value).map((each) => each.replace(/\\(.)/g, '$1'));
  return patterns.join('\n') || undefined;
}

/** A list, or a text with its words. */
function argumentsOf(value: unknown, file: string): string[] {
  if (Array.isArray(value)) return value.map(String);
  try {
    return quotedWords(textOf(value) ?? '');
  } catch (error) {
    throw fileError(file, `args: ${error instanceof Error ? error.message : error}`);
  }
}

/** `--require ./trace.js` as one option. */
function withValues(options: readonly string[]): string[] {
  const joined: string[] = [];
  for (const word of options) {
    if (word.startsWith('-') || joined.length === 0) joined.push(word);
    else joined.push(`${joined.pop()} ${word}`);
  }
  return joined;
}

function listOf(value: unknown): string[] {
  const items = Array.isArray(value) ? value : typeof value === 'string' ? [value] : [];
  return items.map(String);
}

function fileError(file: string, message: string): ConfigError {
  return new ConfigError('PASTER_MIGRATE', message, {
    location: { file, line: 1, column: 1 },
    hint: 'a list of apps: module.exports = { apps: [{ name: "web", script: "server.js" }] }',
  });
}
