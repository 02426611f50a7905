/** `paster create`: a project from a template, or from several laid upon each other. */
import { basename, dirname, join, relative, resolve } from 'node:path';
import { settingsOf } from '../deploy/context.ts';
import { EXIT_FAILURE, EXIT_OK, formatError, printable, printableLine, UsageError } from '../errors.ts';
import { settleVariables, variablesOf } from '../scaffold/answers.ts';
import { type Answers, answersText, NO_ANSWERS, readAnswers } from '../scaffold/answers-file.ts';
import { askAboutConflicts } from '../scaffold/conflict.ts';
import { type FoundTemplate, findTemplates, inOrder, namedTemplate } from '../scaffold/find-template.ts';
import { interruptible } from '../scaffold/interruption.ts';
import { type ProjectFile, projectFiles } from '../scaffold/project-files.ts';
import { nameFault } from '../scaffold/project-name.ts';
import { type Questions, terminalQuestions } from '../scaffold/questions.ts';
import type { TemplateVariable } from '../scaffold/template.ts';
import { projectTree } from '../scaffold/tree.ts';
import { compareFiles, type PlannedFile, planFiles, writeFiles } from '../scaffold/write.ts';
import { ownVersion } from '../version.ts';
import { fromWorkingDirectory, workingDirectory } from '../working-directory.ts';
import { parseAssignments } from './assignments.ts';
import { type Command, type Console, flagOption, listOption, textOption } from './command.ts';

const DEFAULT_TEMPLATE = 'basic';

export const createCommand: Command = {
  name: 'create',
  summary: 'create a project with etc/develop.ini and etc/config.ini',
  args: [
    ['[name]', 'the name of the project and of its directory'],
    ['[var=value...]', 'variables of the template, such as language=ts'],
  ],
  options: [
    {
      flags: '-t, --template <template>',
      help: `a template (default: ${DEFAULT_TEMPLATE}); several are laid upon each other`,
      repeatable: true,
    },
    { flags: '-o, --output-dir <dir>', help: 'where the directory is made (default: here)' },
    { flags: '-n, --simulate', help: 'only show what would be written' },
    { flags: '-f, --overwrite', help: 'replace files that differ' },
    { flags: '--no-interactive', help: 'ask nothing' },
    { flags: '--config <file>', help: 'an INI file of answers: read if it is there, and written' },
    { flags: '--list-templates', help: 'list the templates' },
    { flags: '--list-variables', help: 'list the variables of the template' },
  ],
  examples: [
    ['paster create', 'ask for everything'],
    ['paster create myapp -t express language=ts', 'an Express application in TypeScript in ./myapp'],
    ['paster create -n myapp', 'show what would be written'],
    ['paster create mymap -t etc app=egg:MapProxy#app', 'etc/ alone, for an application that is there already'],
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
  const isAsking = process.stdin.isTTY && process.stdout.isTTY && options['interactive'] !== false && !isListing;
  const questions = isAsking ? terminalQuestions(signal) : undefined;
  const named = args[0]?.includes('=') ? undefined : args[0];
  const name = isListing ? '' : await projectName(named ?? answered.name, questions);
  const given = parseAssignments(named === undefined ? args : args.slice(1));
  const chosen = await chosenTemplates(listOption(options, 'template'), answered.templates, available, questions);
  const templates = await inOrder(chosen, available);
  const declared = variablesOf(templates);
  if (isListing) {
    console.out(table(declared.map((variable) => [variable.name, meaningOf(variable)])));
    return EXIT_OK;
  }
  if ('name' in given) throw new UsageError('PASTER_USAGE', 'create: the name is the argument, not a variable');
  const own = { name, paster_version: ownVersion() };
  const variables = await settleVariables(declared, settingsOf(answered.variables, given), own, questions);
  const files = await projectFiles(templates, variables);
  refuseOwnDependency(name, files);

  const root = resolve(workingDirectory(), textOption(options, 'outputDir') ?? '.', name);
  const planned = await planFiles(await compareFiles(root, files), conflictDecision(options, questions, console));
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
  if (status === EXIT_OK) sayNext(root, files, console);
  return status;
}

async function projectName(given: string | undefined, questions: Questions | undefined): Promise<string> {
  if (given === undefined) {
    if (questions) return questions.line('Name of the project', undefined, nameFault);
    throw new UsageError('PASTER_USAGE', 'create: the name of the project is missing', {
      hint: 'paster create NAME; at a terminal it is asked for',
    });
  }
  const hint = nameFault(given);
  if (hint === undefined) return given;
  throw new UsageError('PASTER_NAME', `create: "${given}" cannot be the name of a project`, { hint });
}

/** @returns What the command line says, or else the file of answers, or whoever is asked. */
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

/** npm installs no package into one of the same name. */
function refuseOwnDependency(name: string, files: readonly ProjectFile[]): void {
  const manifest = files.find(({ path }) => path === 'package.json');
  if (manifest === undefined) return;
  const { dependencies, devDependencies } = JSON.parse(manifest.content.toString()) as Record<string, object>;
  if (!Object.hasOwn({ ...dependencies, ...devDependencies }, name)) return;
  throw new UsageError('PASTER_NAME', `create: "${name}" cannot be the name of a project`, {
    hint: 'it is the name of a package that the project depends on',
  });
}

function conflictDecision(
  options: Options,
  questions: Questions | undefined,
  console: Console,
): Parameters<typeof planFiles>[1] {
  if (flagOption(options, 'overwrite')) return () => 'overwritten';
  if (questions === undefined || flagOption(options, 'simulate')) return () => 'kept';
  return askAboutConflicts(questions, (text) => console.out(text));
}

async function writeAnswers(config: string, answers: Answers): Promise<void> {
  const path = fromWorkingDirectory(config);
  const content = Buffer.from(await answersText(path, answers));
  const files = [{ path: basename(path), content, mode: 0o644 }];
  await writeFiles(dirname(path), await planFiles(await compareFiles(dirname(path), files), () => 'overwritten'));
}

function statusOf(planned: readonly PlannedFile[], console: Console): number {
  const kept = planned.filter(({ outcome }) => outcome === 'kept').length;
  if (kept === 0) return EXIT_OK;
  const which = kept === 1 ? 'file differs and was' : 'files differ and were';
  console.err(`paster: ${kept} ${which} kept (--overwrite replaces)`);
  return EXIT_FAILURE;
}

function sayNext(root: string, files: readonly ProjectFile[], console: Console): void {
  const directory = printableLine(relative(workingDirectory(), root) || '.');
  const install = files.some(({ path }) => path === 'package.json') ? 'npm install && ' : '';
  console.out(`\nNext: cd ${directory} && ${install}npx paster serve etc/develop.ini --reload`);
}

function meaningOf({ help, choices, default: standard }: TemplateVariable): string {
  const values = choices.length > 0 ? ` (${choices.join(', ')})` : '';
  return `${help}${values}${standard === undefined ? '' : `; default: ${standard}`}`;
}

function table(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(0, ...rows.map(([name]) => name.length));
  return rows.map(([name, meaning]) => printable(`${name.padEnd(width)}  ${meaning}`.trimEnd())).join('\n');
}
