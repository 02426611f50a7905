/** Writes the sections of an INI file for what an ecosystem file or a Procfile runs. */
import { isAbsolute, relative } from 'node:path';
import { shellWord } from '../../deploy/background/command-line.ts';
import { WEB } from '../../deploy/part-kinds.ts';
import { scriptEnvironment } from '../../deploy/programs/script-environment.ts';
import { portOf, readPort } from '../program-port.ts';
import { type MigratedApp, type MigratedProgram, type MigratedSetting, mergedNotes } from './migrated-app.ts';

export interface IniOptions {
  /** The application that paster serves; undefined: none. */
  readonly web: MigratedApp | undefined;
  /** The directory of the INI file. */
  readonly directory: string;
  readonly isDevelopment: boolean;
  /** The lines above the sections. */
  readonly heading: readonly string[];
}

/** Keys with a value; undefined: left out. Lines of a value are indented. */
type Entries = readonly (readonly [key: string, value: string | undefined])[];

export function migratedIni(apps: readonly MigratedApp[], options: IniOptions): string {
  const { web, isDevelopment, heading } = options;
  const names = sectionNames(apps);
  const sections = [
    heading.map((line) => `# ${line}`).join('\n'),
    section('DEFAULT', [['debug', String(isDevelopment)]]),
    ...(web ? [webSections(web, options)] : []),
    ...apps.filter((app) => app !== web).map((app) => partSection(app, names.get(app) ?? app.name, options)),
    ...apps
      .filter(({ restartSchedule }) => restartSchedule !== undefined && !isDevelopment)
      .map((app) => restartSection(app, app === web ? undefined : (names.get(app) ?? app.name))),
  ];
  return `${sections.join('\n\n')}\n`;
}

/** The port that the file names, or the program; otherwise paster's own, which `unknownPort` reports. */
export function servedPort(app: MigratedApp): number {
  return app.port ?? portOf(searched(app), undefined).port;
}

function knownPort(app: MigratedApp): number | undefined {
  return app.port ?? (app.program.file === undefined ? undefined : readPort(searched(app))?.port);
}

function searched({ program: { file = '', args }, cwd, variables }: MigratedApp): Parameters<typeof readPort>[0] {
  const texts = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
  return { directory: cwd, file, args, variables: texts, reason: '' };
}

/** The note for a server whose port is a guess. */
export function unknownPort(app: MigratedApp): string[] {
  if (knownPort(app) !== undefined) return [];
  return [`port: neither the file nor the text of the program names it: ${servedPort(app)} is a guess`];
}

/** A name for each section; "web" is that of the server in --only. */
export function sectionNames(apps: readonly MigratedApp[]): Map<MigratedApp, string> {
  const names = new Map<MigratedApp, string>();
  // The names of `restartSection`.
  const taken = new Set(
    apps.flatMap((app) => (app.restartSchedule === undefined ? [] : [`restart-${WEB}`, `restart-${plainName(app)}`])),
  );
  for (const app of apps) {
    const first = plainName(app);
    let name = first;
    for (let count = 2; taken.has(name); count++) name = `${first}-${count}`;
    taken.add(name);
    names.set(app, name);
  }
  return names;
}

function plainName({ name }: MigratedApp): string {
  const plain = name.replace(/[^\w.@-]+/g, '-').replace(/^-+|-+$/g, '') || 'app';
  return plain === WEB ? `${WEB}-app` : plain;
}

function webSections(app: MigratedApp, { directory, isDevelopment }: IniOptions): string {
  const { program, settings, instances } = app;
  const server = section('server:main', [
    ['use', 'npm:paster#http'],
    ['host', '127.0.0.1'],
    ['port', String(servedPort(app))],
    ['workers', isDevelopment ? undefined : String(instances)],
    ['max_memory', isDevelopment ? undefined : settings.max_memory],
    ...chosen(app, ['start_timeout', 'graceful_timeout']),
    ...(isDevelopment ? reloadEntries(app, directory) : []),
    ...environmentEntries(app, directory),
  ]);
  const notes = isDevelopment ? [] : [...app.notes, ...unknownPort(app), ...lostOptions(program)];
  const user = settings.user ?? settings.group;
  if (user !== undefined && !isDevelopment)
    notes.push(`user: paster serve --user ${user}, or export systemd --user ${user}`);
  return [
    ...comments(notes),
    section('app:main', [
      ['use', `listen:${fromIni(program.file ?? '', directory)}`],
      ['args', words(program.args)],
      ['cwd', here(app.cwd, directory)],
    ]),
    '',
    '# For connections from other machines: host = 0.0.0.0',
    server,
  ].join('\n');
}

function partSection(app: MigratedApp, name: string, { directory, isDevelopment }: IniOptions): string {
  const { program, schedule, runsOnce, settings } = app;
  const lost = lostOptions(program);
  const isProgram = program.file !== undefined && lost.length === 0;
  const isTask = schedule !== undefined || runsOnce;
  const nodeWords = [
    'node',
    ...program.nodeOptions.flatMap((each) => each.split(' ')),
    program.file ?? '',
    ...program.args,
  ];
  const command = program.command ?? nodeWords;
  const started: Entries = isProgram
    ? [
        ['use', `program:${fromIni(program.file ?? '', directory)}`],
        ['args', words(program.args)],
      ]
    : [
        ['command', words(command)],
        ['stop_signal', isTask ? undefined : app.stopSignal],
      ];
  const instances = app.instances === 'auto' ? undefined : app.instances;
  const isExclusive = app.listens && !isTask && (isDevelopment || instances === undefined || instances === 1);
  const text = section(`${isTask ? 'task' : 'process'}:${name}`, [
    ['schedule', runsOnce ? '0 0 * * *' : schedule],
    ...started,
    ['cwd', here(app.cwd, directory)],
    ['exclusive', isExclusive ? 'true' : undefined],
    [
      'instances',
      isTask || isDevelopment || instances === undefined || instances === 1 ? undefined : String(instances),
    ],
    ['max_memory', isTask || isDevelopment ? undefined : settings.max_memory],
    ...(isTask ? [] : chosen(app, ['start_timeout'])),
    ...chosen(app, ['graceful_timeout']),
    ...(isDevelopment ? [] : chosen(app, ['user', 'group'])),
    ...(isDevelopment && !isTask ? reloadEntries(app, directory) : []),
    ...environmentEntries(app, directory, isProgram),
  ]);
  const notes = isDevelopment ? [] : [...app.notes];
  if (app.listens && !isTask) {
    const known = knownPort(app);
    const port = known === undefined ? '' : `on port ${known} `;
    const why = isExclusive ? ': at a reload, the old process has to end before the new one can listen' : '';
    notes.push(`It listens ${port}by itself${why}`);
  }
  if (app.instances === 'auto' && !isTask) notes.push('instances: write how many processes run it');
  const commented = text.replace(/^/gm, '# ');
  if (!runsOnce) return [...comments(notes), app.isPartOfPm2 ? commented : text].join('\n');
  notes.push('It ends by itself, and nothing says when it runs');
  notes.push('To use it, also with paster run, write its schedule and remove the "# " of its lines');
  return [...comments(notes), commented].join('\n');
}

/** pm2 restarts it at certain times: a task replaces it. */
function restartSection({ restartSchedule }: MigratedApp, name: string | undefined): string {
  const command =
    name === undefined
      ? 'npx paster control "%(__file__)s" reload'
      : `sh -c 'npx paster control "$0" stop ${name} && npx paster control "$0" start ${name}' "%(__file__)s"`;
  return [
    `[task:restart-${name ?? WEB}]`,
    `schedule = ${restartSchedule}`,
    `command = ${command}`,
    'cwd = %(here)s/..',
  ].join('\n');
}

function chosen({ settings }: MigratedApp, keys: readonly MigratedSetting[]): Entries {
  return keys.map((key) => [key, settings[key]]);
}

function reloadEntries({ settings }: MigratedApp, directory: string): Entries {
  return [
    [
      'reload_files',
      settings.reload_files
        ?.split('\n')
        .map((path) => here(path, directory).replaceAll(' ', '\\ '))
        .join('\n'),
    ],
    ['reload_ignore', settings.reload_ignore?.replaceAll(' ', '\\ ')],
  ];
}

function environmentEntries(
  { program, variables, envFiles }: MigratedApp,
  directory: string,
  isProgram = true,
): Entries {
  const { lines } = scriptEnvironment({
    variables: Object.entries(variables)
      .filter(([name, value]) => /^[A-Za-z_][\w.-]*$/.test(name) && !/[\n\0]/.test(value))
      .map(([name, value]) => `${name}=${value}`),
    nodeOptions: isProgram ? program.nodeOptions : [],
  });
  const port = variables['PORT'] === undefined ? [] : [`PORT=${variables['PORT']}`];
  return [
    ['env_file', envFiles.map((file) => here(file, directory).replaceAll(' ', '\\ ')).join('\n') || undefined],
    ['environment', [...port, ...lines].map(escaped).join('\n') || undefined],
  ];
}

/** Options of Node that no variable can contain. */
export function lostOptions({ nodeOptions }: MigratedProgram): string[] {
  return scriptEnvironment({ variables: [], nodeOptions }).lost.map(
    (option) => `node_args: NODE_OPTIONS cannot contain ${option}`,
  );
}

function comments(notes: readonly string[]): string[] {
  return mergedNotes(notes).map((note) => `# ${note.replace(/\s+/g, ' ')}.`);
}

/** `value` is INI text already, with `%` doubled. */
function section(name: string, entries: Entries): string {
  const lines = entries.flatMap(([key, value]) => {
    if (value === undefined || value === '') return [];
    const [first = '', ...rest] = value.split('\n');
    return rest.length === 0 && key !== 'environment'
      ? [`${key} = ${first}`]
      : [`${key} =`, ...[first, ...rest].map((line) => `    ${line}`)];
  });
  return [`[${name}]`, ...lines].join('\n');
}

function escaped(text: string): string {
  return text.replaceAll('%', '%%');
}

/** A file of a URI, relative to the INI file. */
function fromIni(file: string, directory: string): string {
  return escaped(portable(file, directory));
}

function here(path: string, directory: string): string {
  const name = escaped(portable(path, directory));
  return isAbsolute(name) ? name : `%(here)s/${name}`;
}

/** Relative to the INI file, unless it is outside the project: such a path is that of one machine. */
function portable(path: string, directory: string): string {
  const name = relative(directory, path);
  return name.startsWith('../../') ? path : name;
}

function words(args: readonly string[]): string {
  return escaped(args.map(shellWord).join(' '));
}
