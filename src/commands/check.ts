/** `paster check`: everything that is wrong with an INI file, without serving it. */
import { relative } from 'node:path';
import { type CheckOptions, checkFile, type Finding, IMPORT_TIMEOUT_MS } from '../deploy/check.ts';
import { placeInStack } from '../deploy/error-place.ts';
import { currentStep } from '../deploy/unsettled.ts';
import {
  EXIT_MISTAKE,
  EXIT_OK,
  errorMessage,
  formatError,
  formatLocation,
  printableLine,
  printableMessage,
} from '../errors.ts';
import { takeRole } from '../process/rerun.ts';
import { runWatched, WatchedRun } from '../process/watched-run.ts';
import { workingDirectory } from '../working-directory.ts';
import { parseAssignments } from './assignments.ts';
import { type Command, type CommandOption, type Console, textOption } from './command.ts';
import { DOTENV, readEnvFiles } from './env-file.ts';
import { iniPath } from './ini-argument.ts';

const AS_USER: CommandOption = {
  flags: '--as-user <user>',
  help: 'say whether a web server of this user, such as www-data, could reach the sockets',
};

export const checkCommand: Command = {
  name: 'check',
  summary: 'find every mistake in an INI file without serving it',
  args: [
    ['<config>', 'an INI file'],
    ['[name=value...]', 'global configuration; wins over [DEFAULT]'],
  ],
  options: [DOTENV, AS_USER],
  examples: [
    ['paster check etc/config.ini', 'a line for each mistake; exit status 2 if there is one'],
    ['paster check etc/config.ini --as-user www-data', 'and what keeps nginx from its sockets'],
  ],
  run: check,
};

/** What a module that only waits too long is noticed within, before the process that loops is ended. */
const MARGIN_MS = 2000;

async function check(
  args: readonly string[],
  options: Readonly<Record<string, unknown>>,
  console: Console,
): Promise<number> {
  const [argument = '', ...assignments] = args;
  const file = iniPath(argument);
  if (takeRole() !== 'watched') return runWatched(IMPORT_TIMEOUT_MS + MARGIN_MS);
  const envFiles = readEnvFiles(options);
  const watched = await WatchedRun.begin();
  const access = await accessCheck(textOption(options, 'asUser'));
  const release = outlastModules(console);
  try {
    const found = await checkFile(file, parseAssignments(assignments), {
      envFiles,
      passOver: watched.passOver,
      onImport: (module) => watched.enter(module),
      onServer: access?.onServer,
      onForeignServer: access?.onForeignServer,
    });
    for (const finding of found) console.out(findingLine(finding));
    for (const line of access?.sentences ?? []) console.out(printableLine(line));
    if (found.length === 0) console.out(printableLine(`${relative(workingDirectory(), file)}: ok`));
    if (found.some(({ severity }) => severity === 'mistake')) return EXIT_MISTAKE;
    return EXIT_OK;
  } finally {
    release();
  }
}

/** @returns what to ask of each server section, and what there is to say of it then. */
async function accessCheck(user: string | undefined): Promise<AccessCheck | undefined> {
  if (user === undefined) return undefined;
  const { accessTo, identityOf, notLookedAt } = await import('../serve/web-server-access.ts');
  const who = identityOf(user);
  const sentences = new Set<string>();
  return {
    sentences,
    onServer(server, settings) {
      const access = accessTo(server, settings, who);
      for (const sentence of access.sentences) sentences.add(sentence);
      return access.obstacles;
    },
    onForeignServer: (context) => void sentences.add(notLookedAt(context)),
  };
}

interface AccessCheck {
  readonly sentences: ReadonlySet<string>;
  readonly onServer: CheckOptions['onServer'];
  readonly onForeignServer: CheckOptions['onForeignServer'];
}

/** `file:line:col: what is wrong (hint)`: one line, even of a message that has several. */
function findingLine({ severity, error }: Finding): string {
  const line = formatError(error)
    .split('\n')
    .map((each) => each.trim())
    .join(' ');
  if (severity === 'mistake') return line;
  const place = error.location ? `${formatLocation(error.location)}: ` : '';
  return `${place}warning: ${line.slice(place.length)}`;
}

/**
 * What the modules do that are imported must not end the check in the middle: a background failure is only reported, and
 * for a call of process.exit the status at least is not 0.
 */
function outlastModules(console: Console): () => void {
  const report = (error: unknown): void => {
    const place = placeInStack(error);
    console.err(printableMessage(`paster: ${place ? `${formatLocation(place)}: ` : ''}${errorMessage(error)}`));
  };
  const exit = (): void => {
    const { what = 'a module', location } = currentStep() ?? {};
    const place = location ? `${formatLocation(location)}: ` : '';
    console.err(printableLine(`paster: ${place}${what} ended the process while it was imported`));
    process.exitCode = EXIT_MISTAKE;
  };
  process.on('uncaughtException', report);
  process.on('exit', exit);
  return () => {
    process.off('uncaughtException', report);
    process.off('exit', exit);
  };
}
