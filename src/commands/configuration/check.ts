/** `paster check`: finds everything that is wrong with an INI file, without serving it. */
import { IMPORT_TIMEOUT_MS } from '../../deploy/loading-step.ts';
import { EXIT_OK } from '../../errors.ts';
import { printableLine } from '../../printable.ts';
import { IsolatedRun, runIsolated } from '../../process/program/isolated-run.ts';
import { takeRole } from '../../process/program/self-spawn.ts';
import { DOTENV, iniPath, parseAssignments, readEnvFiles } from '../command-line/arguments.ts';
import { type Command, type CommandOption, type Console, flagOption } from '../command-line/command.ts';

const AS_USER: CommandOption = {
  flags: '--as-user <user>',
  help: 'report whether a web server that runs as this user, such as www-data, could connect',
};

const VERBOSE: CommandOption = {
  flags: '-v, --verbose',
  help: 'show error codes, and which packages serve --reload imports ahead',
};

export const checkCommand: Command = {
  name: 'check',
  summary: 'find every error in an INI file without serving it',
  args: [
    ['<config>', 'an INI file'],
    ['[name=value...]', 'a global value; overrides [DEFAULT]'],
  ],
  options: [DOTENV, AS_USER, VERBOSE],
  examples: [
    ['paster check etc/config.ini', 'a line for each error; exit status 2 if there is one'],
    ['paster check etc/config.ini --as-user www-data', 'also reports what keeps nginx from connecting'],
  ],
  run: check,
};

/** A module that waits too long is reported within this time, before a process that loops is ended. */
const MARGIN_MS = 2000;

async function check(
  args: readonly string[],
  options: Readonly<Record<string, unknown>>,
  console: Console,
): Promise<number> {
  const [argument = '', ...assignments] = args;
  const file = iniPath(argument);
  const role = takeRole();
  if (role?.name !== 'isolated') {
    const status = await runIsolated(IMPORT_TIMEOUT_MS + MARGIN_MS);
    if (status !== EXIT_OK || !flagOption(options, 'verbose')) return status;
    const { preloadReport } = await import('./preload-report.ts');
    const lines = await preloadReport(file, parseAssignments(assignments), readEnvFiles(options));
    for (const line of lines) console.out(printableLine(line));
    return status;
  }
  // Loaded late: the parent needs none of it.
  const { checkHere } = await import('./check-here.ts');
  return checkHere(file, assignments, options, new IsolatedRun(role), console);
}
