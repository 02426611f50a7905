/** `paster create .` and `paster init`: writes etc/ and scripts for the application that a directory has. */
import { relative, resolve } from 'node:path';
import { settingsOf } from '../deploy/context.ts';
import { isDevelopmentServer } from '../deploy/programs/frameworks.ts';
import { developmentLines, scriptEnvironment } from '../deploy/programs/script-environment.ts';
import { UsageError } from '../errors.ts';
import { ownVersion } from '../own-files.ts';
import { printableLine } from '../printable.ts';
import { resolveVariables, variablesOf } from '../scaffold/answers.ts';
import {
  addCommand,
  type ExistingProject,
  installCommand,
  isInstalled,
  lookAtProject,
} from '../scaffold/existing-project.ts';
import { interruptible } from '../scaffold/interruption.ts';
import { editedFiles, type Scripts, scriptsFor } from '../scaffold/project-edits.ts';
import { projectFiles } from '../scaffold/project-files.ts';
import type { TemplateVariables } from '../scaffold/render-text.ts';
import { ownTemplate } from '../scaffold/template.ts';
import { workingDirectory } from '../working-directory.ts';
import { parseAssignments } from './command-line/arguments.ts';
import { type Command, type Console, textOption } from './command-line/command.ts';
import { addFiles, questionsOf } from './write-project.ts';

export const initCommand: Command = {
  name: 'init',
  summary: 'write etc/ and scripts for the application in this directory',
  args: [['[var=value...]', 'values instead of the detected ones: port=4000, app=listen:../server.js']],
  options: [
    { flags: '-o, --output-dir <dir>', help: 'the directory of the application (default: here)' },
    { flags: '-n, --simulate', help: 'only show what would be written' },
    { flags: '-f, --overwrite', help: 'replace files that differ' },
    { flags: '--no-interactive', help: 'ask nothing' },
  ],
  examples: [
    ['paster init', 'the same as paster create .'],
    ['paster init port=4000', 'on another port than the one that the program names'],
  ],
  run: (args, options, console) =>
    interruptible(
      (signal) => createHere(args, options, console, signal),
      () => console.err('paster: interrupted: nothing was written'),
    ),
};

/** Options of `create` that are about new projects. */
const FOR_NEW_PROJECTS = ['template', 'config'];

/** Detects what the directory runs, and writes the files. @returns the exit status */
export async function createHere(
  args: readonly string[],
  options: Readonly<Record<string, unknown>>,
  console: Console,
  signal: AbortSignal,
): Promise<number> {
  const wrong = FOR_NEW_PROJECTS.find((name) => options[name] !== undefined);
  if (wrong !== undefined) {
    throw new UsageError('PASTER_USAGE', `create: --${wrong} is for new projects`, {
      hint: 'give a name instead of "."',
    });
  }
  const root = resolve(workingDirectory(), textOption(options, 'outputDir') ?? '.');
  const project = lookAtProject(root);
  const scripts = scriptsFor(project);
  const template = await ownTemplate('existing');
  const declared = variablesOf([template]);
  const given = givenVariables(project, parseAssignments(args));
  const variables = await resolveVariables(declared, given, { paster_version: ownVersion() }, undefined);
  const files = [
    ...(await projectFiles([template], { ...variables, ...derivedVariables(project, variables, scripts) })),
    ...editedFiles(project, scripts),
  ];
  for (const line of description(project, variables)) console.out(printableLine(line));
  const { status, isComplete } = await addFiles(root, files, {
    options,
    questions: questionsOf(options, signal),
    console,
    signal,
    note: ({ file, outcome }) =>
      file.path === 'package.json' && outcome !== 'same' ? ` (${addedScripts(scripts)})` : '',
  });
  if (isComplete) for (const line of nextSteps(project, scripts)) console.out(printableLine(line));
  return status;
}

function addedScripts({ added }: Scripts): string {
  const names = Object.keys(added).map((name) => `"${name}"`);
  return `${names.length === 1 ? 'script' : 'scripts'} ${names.join(' and ')}`;
}

/** What was detected, unless the command line says otherwise. */
function givenVariables(project: ExistingProject, assigned: TemplateVariables): TemplateVariables {
  const detected = Object.entries(detectedVariables(project));
  const isOtherProgram = 'app' in assigned;
  const usable = detected.filter(([name]) => !isOtherProgram || !PROGRAM_VARIABLES.includes(name));
  return settingsOf(Object.fromEntries(usable), assigned);
}

/** Variables that mean nothing for another program than the one that was detected. */
const PROGRAM_VARIABLES = ['args', 'develop_app', 'develop_args'];

/** The values of the template's variables that were detected in the project. */
function detectedVariables({
  program,
  development,
  port,
  singleProcess,
  framework,
  staticDirectories,
}: ExistingProject): TemplateVariables {
  return {
    app: fromEtc(program.uri),
    args: (program.args ?? []).join(' '),
    develop_app: fromEtc(development.uri),
    develop_args: (development.args ?? []).join(' '),
    port: String(port.port),
    workers: singleProcess === undefined ? 'auto' : '1',
    // A framework that builds its server knows its own static files.
    static: framework?.server === undefined ? (staticDirectories[0] ?? '') : '',
  };
}

function derivedVariables(
  { singleProcess, program, development }: ExistingProject,
  { app = '', develop_app = '', develop_args = '' }: TemplateVariables,
  { commands }: Scripts,
): TemplateVariables {
  const isExclusive = singleProcess?.isExclusive ?? false;
  const isDetected = app === fromEtc(program.uri);
  const isDevelopmentDetected = develop_app === fromEtc(development.uri);
  return {
    start_command: commands.start,
    develop_command: commands.dev,
    environment: isDetected ? indented(scriptEnvironment(program).lines) : '',
    develop_environment: isDevelopmentDetected ? indented(developmentLines(development, program)) : '',
    is_exclusive: isExclusive ? 'true' : '',
    is_develop_exclusive: isExclusive || isDevelopmentServer(develop_app, develop_args.split(' ')) ? 'true' : '',
    is_program: app.startsWith('listen:') ? 'true' : '',
    is_develop_program: develop_app.startsWith('listen:') ? 'true' : '',
    single_process: singleProcess?.reason ?? '',
  };
}

function indented(lines: readonly string[]): string {
  return lines.map((line) => `    ${line}`).join('\n');
}

/** A URI relative to etc/; the arguments are a setting of their own. */
function fromEtc(uri: string): string {
  return uri.replace(/^(\w+:)(?:\.\/)?(?!\/)/, '$1../');
}

type Row = readonly [name: string, value: string, reason?: string | undefined];

/** What was detected, and why. */
function description(project: ExistingProject, variables: TemplateVariables): string[] {
  const rows = rowsOf(project, variables);
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value, reason]) => `${name.padEnd(width)}  ${value}${reason ? ` (${reason})` : ''}`);
}

function rowsOf(project: ExistingProject, { app = '', port = '', workers = '' }: TemplateVariables): Row[] {
  const { framework, program, development, language, modules, packageManager, envFile } = project;
  const { staticDirectories, singleProcess } = project;
  const isProgram = app === fromEtc(program.uri);
  const rows: Row[] = [
    ['framework', framework?.name ?? 'none', framework && `package.json depends on ${framework.dependency}`],
    ['program', isProgram ? program.spec : app, isProgram ? program.reason : COMMAND_LINE],
    ['language', language.value, language.reason],
    ['modules', modules.value, modules.reason],
    ['port', port, port === String(project.port.port) ? project.port.reason : COMMAND_LINE],
    ['package manager', packageManager.value, packageManager.reason],
  ];
  if (isProgram && development.spec !== program.spec) {
    rows.push(['in development', development.spec, development.reason]);
  } else if (isProgram && framework?.server !== undefined) {
    rows.push(['in development', 'what was built', 'the framework also has its own development server']);
  }
  if (staticDirectories.length > 0) {
    rows.push(['static files', staticDirectories.map((each) => `${each}/`).join(' '), 'the application serves them']);
  }
  if (envFile) rows.push(['.env', `read by ${envFile.value === 'paster' ? 'paster' : 'the program'}`, envFile.reason]);
  if (singleProcess !== undefined && workers === '1') rows.push(['workers', '1', singleProcess.reason]);
  const { lines, lost } = scriptEnvironment(program);
  if (isProgram && lines.length > 0) rows.push(['environment', lines.join(' '), 'the same script']);
  if (isProgram && lost.length > 0) rows.push(['not passed on', lost.join(' '), 'NODE_OPTIONS cannot contain it']);
  return rows;
}

const COMMAND_LINE = 'the command line';

/** The commands to run, in their order. */
function nextSteps(project: ExistingProject, { dev, start }: Scripts): string[] {
  const { directory, manifest, packageManager, isBuilt, development } = project;
  const manager = packageManager.value;
  const place = relative(workingDirectory(), directory);
  const install = installCommand(directory, manager, manifest);
  const needsTsx =
    /\.[cm]?tsx?$/.test(development.file ?? '') &&
    !Reflect.get(process.features, 'typescript') &&
    !isInstalled(directory, 'tsx');
  const commands = [
    ...(place === '' ? [] : [`cd ${place}`]),
    ...(install === undefined ? [] : [install]),
    ...(needsTsx ? [`${addCommand(manager)} -D tsx`] : []),
  ];
  const build = isBuilt || !Object.hasOwn(manifest.scripts, 'build') ? [] : [`${manager} run build`];
  const needsBuildToDevelop = development.spec === project.program.spec;
  return [
    '',
    `Next: ${[...commands, ...(needsBuildToDevelop ? build : []), `${manager} run ${dev}`].join(' && ')}`,
    `In production: ${[...build, start === 'start' ? `${manager} start` : `${manager} run ${start}`].join(' && ')}`,
  ];
}
