/** `paster create`: a project from a template. */
import { readdirSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { nearest } from '../config/nearest.ts';
import { EXIT_FAILURE, EXIT_OK, printableLine, UsageError } from '../errors.ts';
import { PACKAGE_ROOT } from '../own-files.ts';
import { renderTemplate } from '../scaffold/template.ts';
import { type Outcome, writeProject } from '../scaffold/write.ts';
import { ownVersion } from '../version.ts';
import { parseAssignments } from './assignments.ts';
import { type Command, type Console, flagOption, listOption, textOption } from './command.ts';

const TEMPLATES = join(PACKAGE_ROOT, 'templates');

/** npm's rule for a package's name, without a scope: it is the directory's name too. */
const NAME = /^[a-z0-9][a-z0-9._-]*$/;
const RESERVED = ['node_modules', 'favicon.ico', 'paster'];

export const createCommand: Command = {
  name: 'create',
  summary: 'create a project with etc/develop.ini and etc/config.ini',
  args: [
    ['[name]', 'the name of the project and of its directory'],
    ['[var=value...]', 'variables of the template'],
  ],
  options: [
    {
      flags: '-t, --template <template>',
      help: 'a template (default: basic); several are laid over each other',
      repeatable: true,
    },
    { flags: '-o, --output-dir <dir>', help: 'where the directory is made (default: here)' },
    { flags: '-n, --simulate', help: 'only say what would be written' },
    { flags: '-f, --overwrite', help: 'replace files that differ' },
    { flags: '--no-interactive', help: 'ask nothing' },
    { flags: '--list-templates', help: 'list the templates' },
  ],
  examples: [
    ['paster create myapp', 'a project in ./myapp'],
    ['paster create -n myapp', 'show what would be written'],
  ],
  run: create,
};

async function create(
  args: readonly string[],
  options: Readonly<Record<string, unknown>>,
  console: Console,
): Promise<number> {
  if (flagOption(options, 'listTemplates')) {
    for (const name of templateNames()) console.out(name);
    return EXIT_OK;
  }
  const [name, ...assignments] = args;
  if (name === undefined) throw new UsageError('PASTER_USAGE', 'create: the name of the project is missing');
  checkName(name);
  const simulate = flagOption(options, 'simulate');
  const root = resolve(textOption(options, 'outputDir') ?? '.', name);
  const given = parseAssignments(assignments);
  if ('name' in given) throw new UsageError('PASTER_USAGE', 'create: the name is the argument, not a variable');
  const variables = { ...given, name, paster_version: ownVersion() };
  const chosen = listOption(options, 'template');
  const directories = (chosen.length > 0 ? chosen : ['basic']).map(templateDirectory);
  const layers = await Promise.all(directories.map((directory) => renderTemplate(directory, variables)));
  // A later template's file takes an earlier one's place.
  const files = [...new Map(layers.flat().map((file) => [file.path, file])).values()];
  const outcomes = await writeProject(
    root,
    files,
    { overwrite: flagOption(options, 'overwrite'), simulate },
    (outcome, path) => console.out(printableLine(`${simulate ? 'would be ' : ''}${outcome}: ${join(name, path)}`)),
  );
  return conclude(outcomes, root, simulate, console);
}

function conclude(outcomes: readonly Outcome[], root: string, simulate: boolean, console: Console): number {
  const kept = outcomes.filter((outcome) => outcome === 'kept').length;
  if (kept > 0) {
    console.err(
      `paster: ${kept} file${kept === 1 ? ' differs and was' : 's differ and were'} kept (--overwrite replaces)`,
    );
    return EXIT_FAILURE;
  }
  if (!simulate) {
    const directory = printableLine(relative(process.cwd(), root) || '.');
    console.out(`\nNext: cd ${directory} && npm install && npx paster serve etc/develop.ini --reload`);
  }
  return EXIT_OK;
}

function checkName(name: string): void {
  if (NAME.test(name) && name.length <= 214 && !RESERVED.includes(name)) return;
  throw new UsageError('PASTER_NAME', `create: "${name}" cannot be the name of a project`, {
    hint: RESERVED.includes(name)
      ? 'this name is taken'
      : 'small letters, digits, ".", "-" and "_", beginning with a letter or a digit; --output-dir says where',
  });
}

function templateNames(): string[] {
  return readdirSync(TEMPLATES).sort();
}

function templateDirectory(name: string): string {
  const names = templateNames();
  if (names.includes(name)) return join(TEMPLATES, name);
  const meant = nearest(name, names);
  throw new UsageError('PASTER_TEMPLATE', `create: there is no template "${name}"`, {
    hint: meant ? `did you mean "${meant}"?` : `there are: ${names.join(', ')}`,
  });
}
