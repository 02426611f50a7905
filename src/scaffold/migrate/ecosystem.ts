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
  ECOSYSTEM_KEYS,
  FILE_KEYS,
  mebibytesOf,
  placeOfValue,
  secondsOf,
  textOf,
  UNKNOWN_KEY,
} from './ecosystem-keys.ts';
import { listening, missingNotes, opensPort, servedProgram } from './listening.ts';
import { type MigratedApp, type MigratedProgram, nodeProgram, otherProgram, withEnvFiles } from './migrated-app.ts';

type Fields = Readonly<Record<string, unknown>>;

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
  const directory = dirname(file);
  const script = textOf(app['script']);
  if (script === undefined) throw fileError(file, `the app ${JSON.stringify(app['name'] ?? '')} has no script`);
  const started = resolve(directory, textOf(app['cwd']) ?? '.');
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
  const times = scheduleOf(app, file);
  const endsItself = app['autorestart'] === false;
  const listenKind = listening(program);
  const isServer =
    program.file !== undefined &&
    !endsItself &&
    (listenKind === 'yes' || (!['no', 'other'].includes(listenKind) && mayServe));
  const instances = listenKind === 'other' ? onlyOne(app) : instancesOf(app, isServer);
  const { command = [] } = program;
  const isPartOfPm2 = script === 'serve';
  const notes = [
    ...notesOf(app, variables),
    ...limitNotes(app),
    ...programNotes(app, isServer && isCluster),
    ...instances.notes,
    ...served.notes,
    ...(isPartOfPm2 ? [PM2_SERVE] : []),
    ...missingNotes(program, cwd),
    ...(program.file !== undefined && listenKind === 'no' && !endsItself && mayServe
      ? [
          `a background process, because its code does not call listen(); if it serves HTTP, run create --from with web=${name}`,
        ]
      : []),
  ];
  return {
    name,
    program,
    cwd,
    variables,
    envFiles,
    port: port > 0 ? port : undefined,
    isServer,
    listens:
      isServer ||
      listenKind === 'websocket' ||
      listenKind === 'other' ||
      (program.file === undefined && (Number.isInteger(port) || opensPort(command))),
    stopSignal: stopSignalOf(command, cwd),
    instances: instances.count,
    schedule: endsItself ? times : undefined,
    restartSchedule: endsItself ? undefined : times,
    runsOnce: endsItself && times === undefined,
    isPartOfPm2,
    settings: {
      ...setting('max_memory', mebibytesOf(app['max_memory_restart'])),
      ...setting('graceful_timeout', secondsOf(app['kill_timeout'])),
      ...setting('start_timeout', secondsOf(app['listen_timeout'])),
      ...setting('user', textOf(app['uid'])),
      ...setting('group', textOf(app['gid'])),
      ...setting('reload_files', watched(app['watch'], cwd)),
      ...setting('reload_ignore', ignored(app['ignore_watch'])),
    },
    notes,
  };
}

const PM2_SERVE =
  'script: serve is the file server of pm2: [app:main] use = npm:paster#static serves a directory, and a web server can do what PM2_SERVE_SPA does';

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

/** The keys without a counterpart. */
function notesOf(app: Fields, variables: Variables): string[] {
  const notes: string[] = [];
  for (const [key, value] of Object.entries(app)) {
    if (value === undefined || value === null || key === 'env' || (/^env_\S+$/.test(key) && isFields(value))) continue;
    const unknown = key === 'env_file' ? `${UNKNOWN_KEY}; paster reads env_file of a section` : UNKNOWN_KEY;
    const known = Object.hasOwn(ECOSYSTEM_KEYS, key) ? ECOSYSTEM_KEYS[key] : { note: unknown };
    if (known?.note !== undefined && !isDefault(key, value)) notes.push(`${key}: ${known.note}`);
  }
  for (const [name, value] of Object.entries(variables)) {
    if (/[\n\0]/.test(value)) notes.push(`env: ${name} has several lines: put it into a file of env_file`);
    else if (!/^[A-Za-z_][\w.-]*$/.test(name))
      notes.push(`env: ${JSON.stringify(name)} cannot be the name of a variable`);
    else if (value.trim() !== value)
      notes.push(`env: ${name} loses the spaces at its ends: put it into a file of env_file`);
  }
  return notes;
}

/** Notes for limits that cannot be read: the INI file lacks them, and the user must learn that. */
function limitNotes(app: Fields): string[] {
  const limits = [
    { key: 'max_memory_restart', read: mebibytesOf, expected: 'a size such as 300M, at most 1024G' },
    { key: 'kill_timeout', read: secondsOf, expected: 'a number of milliseconds above 0' },
    { key: 'listen_timeout', read: secondsOf, expected: 'a number of milliseconds above 0' },
  ];
  return limits.flatMap(({ key, read, expected }) => {
    const value = app[key] ?? undefined;
    if (value === undefined || read(value) !== undefined) return [];
    return [`${key}: ${JSON.stringify(value)} is not ${expected}`];
  });
}

/** A value that asks for nothing: `merge_logs: false`. */
function isDefault(key: string, value: unknown): boolean {
  return key === 'autostart' ? value !== false : value === false;
}

function programNotes(app: Fields, isCluster: boolean): string[] {
  const interpreter = textOf(app['exec_interpreter']) ?? 'node';
  return [
    ...(/^node@/.test(interpreter) ? ['interpreter: paster runs programs with the Node that runs paster'] : []),
    ...(isCluster && app['instances'] === undefined ? ['exec_mode: workers of a server are its cluster'] : []),
    ...(app['watch'] === true ? ['watch: paster serve etc/develop.ini --reload, in development'] : []),
  ];
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

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function fileError(file: string, message: string): ConfigError {
  return new ConfigError('PASTER_MIGRATE', message, {
    location: { file, line: 1, column: 1 },
    hint: 'a list of apps: module.exports = { apps: [{ name: "web", script: "server.js" }] }',
  });
}
