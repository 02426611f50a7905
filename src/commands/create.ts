/** `paster create`: makes a project from one or more templates. */
import { builtinModules } from 'node:module';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { settingsOf } from '../deploy/context.ts';
import { EXIT_OK, formatError, UsageError } from '../errors.ts';
import { ownSource, ownVersion } from '../own-files.ts';
import { printable, printableLine } from '../printable.ts';
import {
  type Answers,
  answersText,
  NO_ANSWERS,
  readAnswers,
  resolveVariables,
  variablesOf,
} from '../scaffold/answers.ts';
import { interruptible } from '../scaffold/interruption.ts';
import { type ProjectFile, projectFiles } from '../scaffold/project-files.ts';
import type { Questions } from '../scaffold/questions.ts';
import {
  type FoundTemplate,
  findTemplates,
  inRequiredOrder,
  namedTemplate,
  type TemplateVariable,
} from '../scaffold/template.ts';
import { compareFiles, planFiles, writeFiles } from '../scaffold/write.ts';
import { fromWorkingDirectory, workingDirectory } from '../working-directory.ts';
import { parseAssignments } from './command-line/arguments.ts';
import { type Command, type Console, flagOption, listOption, textOption } from './command-line/command.ts';
import { createHere } from './init.ts';
import { decisionMaker, projectTree, questionsOf, statusOf } from './write-project.ts';

const DEFAULT_TEMPLATE = 'basic';

export const createCommand: Command = {
  name: 'create',
  summary: 'create a project with etc/develop.ini and etc/config.ini',
  args: [
    ['[name]', 'the name of the project and of its directory; . for the application in this directory'],
    ['[var=value...]', 'variables of the template, such as language=ts'],
  ],
  options: [
    {
      flags: '-t, --template <template>',
      help: `a template (default: ${DEFAULT_TEMPLATE}); several are combined`,
      repeatable: true,
    },
    { flags: '--from <file>', help: 'etc/ for what an ecosystem file of pm2 or a Procfile starts' },
    { flags: '-o, --output-dir <dir>', help: 'make the new directory there (default: here)' },
    { flags: '-n, --simulate', help: 'only show what would be written' },
    { flags: '-f, --overwrite', help: 'replace files that differ' },
    { flags: '--no-interactive', help: 'ask nothing' },
    { flags: '--config <file>', help: 'keep your answers in this INI file, and read them from it' },
    { flags: '--list-templates', help: 'list the templates' },
    { flags: '--list-variables', help: 'list the variables of the template' },
  ],
  examples: [
    ['paster create', 'ask for everything'],
    ['paster create myapp -t express language=ts', 'an Express application in TypeScript in ./myapp'],
    ['paster create .', 'etc/ and scripts for the application in this directory'],
    ['paster create --from ecosystem.config.js', 'etc/ for what pm2 starts'],
    ['paster create -n myapp', 'show what would be written'],
    ['paster create mymap -t etc app=egg:MapProxy#app', 'only etc/, for an existing application'],
  ],
  run: (args, options, console) =>
    interruptible(
      (signal) => create(args, options, console, signal),
      () => console.err('paster: interrupted: nothing was written'),
    ),
};

type Options = Readonly<Record<string, unknown>>;

async function create(
  args: readonly string[],
  options: Options,
  console: Console,
  signal: AbortSignal,
): Promise<number> {
  const from = textOption(options, 'from');
  if (from !== undefined) {
    const { createFrom } = await import('./create-from.ts');
    return createFrom(from, args, options, console, signal);
  }
  if (args[0] === '.') return createHere(args.slice(1), options, console, signal);
  const available = await findTemplates(workingDirectory(), (error) =>
    console.err(`paster: warn: ${formatError(error)}`),
  );
  if (flagOption(options, 'listTemplates')) {
    console.out(table(available.map(({ name, summary }) => [name, summary])));
    return EXIT_OK;
  }
  const config = textOption(options, 'config');
  const answered = config === undefined ? NO_ANSWERS : await readAnswers(fromWorkingDirectory(config));
  const isListing = flagOption(options, 'listVariables');
  const questions = isListing ? undefined : questionsOf(options, signal);
  const named = args[0]?.includes('=') ? undefined : args[0];
  const name = isListing ? '' : await projectName(named ?? answered.name, questions);
  const given = parseAssignments(named === undefined ? args : args.slice(1));
  const chosen = await chosenTemplates(listOption(options, 'template'), answered.templates, available, questions);
  const templates = await inRequiredOrder(chosen, available);
  const declared = variablesOf(templates);
  if (isListing) {
    console.out(table(declared.map((variable) => [variable.name, variableHelp(variable)])));
    return EXIT_OK;
  }
  if ('name' in given) throw new UsageError('PASTER_USAGE', 'create: the name is the argument, not a variable');
  const own = { name, paster_version: ownVersion() };
  const variables = await resolveVariables(declared, settingsOf(answered.variables, given), own, questions);
  const files = await projectFiles(templates, variables);
  refuseOwnDependency(name, files);

  const root = resolve(workingDirectory(), textOption(options, 'outputDir') ?? '.', name);
  const planned = await planFiles(await compareFiles(root, files), decisionMaker(options, questions, console));
  if (flagOption(options, 'simulate')) {
    console.out(projectTree(name, planned));
    return statusOf(planned, console);
  }
  await writeFiles(root, planned, signal);
  for (const { file, outcome } of planned) console.out(printableLine(`${outcome}: ${join(name, file.path)}`));
  if (config !== undefined) {
    const declaredNames = declared.map((variable) => variable.name);
    await writeAnswers(config, {
      name,
      templates: chosen.map((template) => template.name),
      variables: Object.fromEntries(Object.entries(variables).filter(([key]) => declaredNames.includes(key))),
    });
  }
  const status = statusOf(planned, console);
  if (status === EXIT_OK) printNextSteps(root, files, console);
  return status;
}

async function projectName(given: string | undefined, questions: Questions | undefined): Promise<string> {
  if (given === undefined) {
    if (questions) return questions.line('Name of the project', undefined, validateName);
    throw new UsageError('PASTER_USAGE', 'create: the name of the project is missing', {
      hint: 'paster create NAME; at a terminal it is asked for',
    });
  }
  const hint = validateName(given);
  if (hint === undefined) return given;
  throw new UsageError('PASTER_NAME', `create: "${given}" cannot be the name of a project`, { hint });
}

/** The templates of the command line, else of the file of answers, else of the user's answer. */
async function chosenTemplates(
  given: readonly string[],
  answered: readonly string[],
  available: readonly FoundTemplate[],
  questions: Questions | undefined,
): Promise<FoundTemplate[]> {
  const names = given.length > 0 ? given : answered;
  if (names.length > 0) return names.map((name) => namedTemplate(name, available));
  const choices = available.map(({ name, summary }) => ({ value: name, hint: printableLine(summary) }));
  const name = (await questions?.choice('Framework', choices, DEFAULT_TEMPLATE)) ?? DEFAULT_TEMPLATE;
  return [namedTemplate(name, available)];
}

/** npm refuses to install a package into a project of the same name. */
function refuseOwnDependency(name: string, files: readonly ProjectFile[]): void {
  const manifest = files.find(({ path }) => path === 'package.json');
  if (manifest === undefined) return;
  const { dependencies, devDependencies } = JSON.parse(manifest.content.toString()) as Record<string, object>;
  if (!Object.hasOwn({ ...dependencies, ...devDependencies }, name)) return;
  throw new UsageError('PASTER_NAME', `create: "${name}" cannot be the name of a project`, {
    hint: 'it is the name of a package that the project depends on',
  });
}

async function writeAnswers(config: string, answers: Answers): Promise<void> {
  const path = fromWorkingDirectory(config);
  const content = Buffer.from(await answersText(path, answers));
  const files = [{ path: basename(path), content, mode: 0o644 }];
  await writeFiles(dirname(path), await planFiles(await compareFiles(dirname(path), files), () => 'overwritten'));
}

function printNextSteps(root: string, files: readonly ProjectFile[], console: Console): void {
  const install = files.some(({ path }) => path === 'package.json')
    ? [`npm install ${ownSource(root) ?? ''}`.trimEnd()]
    : [];
  const steps = [
    `cd ${relative(workingDirectory(), root) || '.'}`,
    ...install,
    'npx paster serve etc/develop.ini --reload',
  ];
  console.out(`\nNext: ${printableLine(steps.join(' && '))}`);
}

function variableHelp({ help, choices, default: defaultValue }: TemplateVariable): string {
  const values = choices.length > 0 ? ` (${choices.join(', ')})` : '';
  return `${help}${values}${defaultValue === undefined ? '' : `; default: ${defaultValue}`}`;
}

function table(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(0, ...rows.map(([name]) => name.length));
  return rows.map(([name, meaning]) => printable(`${name.padEnd(width)}  ${meaning}`.trimEnd())).join('\n');
}

/** npm's rule for the name of a package, without a scope, since a directory gets the name too. */
const NAME = /^[a-z0-9][a-z0-9._-]*$/;
const LONGEST_NAME = 214;
const RESERVED = new Set(['node_modules', 'favicon.ico', 'paster', ...builtinModules]);

/** Devices of Windows, with any extension: no directory can have such a name there. */
const DEVICE = /^(?:con|prn|aux|nul|com[1-9]|lpt[1-9])(?:\.|$)/;

/** What is wrong with the name of a project; undefined if nothing is. */
function validateName(name: string): string | undefined {
  if (RESERVED.has(name)) return 'this name is taken';
  if (DEVICE.test(name)) return 'Windows has a device of this name';
  if (name.length > LONGEST_NAME) return `longer than ${LONGEST_NAME} characters`;
  if (NAME.test(name)) return undefined;
  return 'small letters, digits, ".", "-" and "_", beginning with a letter or a digit; --output-dir says where';
}
