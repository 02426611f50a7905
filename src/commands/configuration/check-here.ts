/** What `paster check` does in its child process: finds the errors of an INI file and prints them. */
import { relative } from 'node:path';
import { type CheckOptions, checkFile, type Finding } from '../../deploy/check/check.ts';
import { currentStep } from '../../deploy/loading-step.ts';
import { placeInStack } from '../../deploy/modules/error-place.ts';
import { codeFrame, documentationLines } from '../../diagnostics/error-report.ts';
import { plain } from '../../diagnostics/paint.ts';
import { ErrorList, EXIT_INVALID, EXIT_OK, errorMessage, formatError, formatLocation } from '../../errors.ts';
import { printableLine, printableMessage } from '../../printable.ts';
import type { IsolatedRun } from '../../process/program/isolated-run.ts';
import { workingDirectory } from '../../working-directory.ts';
import { parseAssignments, readEnvFiles } from '../command-line/arguments.ts';
import { type Console, flagOption, textOption } from '../command-line/command.ts';

/**
 * Checks an INI file and prints what is wrong with it.
 *
 * @param file an absolute path
 * @param assignments `name=value` of the command line
 * @param isolated names the modules to skip, whose import never returned in an earlier child
 * @returns the exit status
 */
export async function checkHere(
  file: string,
  assignments: readonly string[],
  options: Readonly<Record<string, unknown>>,
  isolated: Pick<IsolatedRun, 'skipped' | 'enter'>,
  console: Console,
): Promise<number> {
  const envFiles = readEnvFiles(options);
  const access = await accessCheck(textOption(options, 'asUser'));
  const { warnOfUnmatchedFiles } = await import('./unmatched-files.ts');
  const release = guardProcess(console);
  try {
    const found = await checkFile(file, parseAssignments(assignments), {
      envFiles,
      passOver: isolated.skipped,
      onImport: (module) => isolated.enter(module),
      onServer: access?.onServer,
      onForeignServer: access?.onForeignServer,
      onPart: warnOfUnmatchedFiles,
    });
    for (const finding of found) await showFinding(finding, console);
    const paint = console.screen?.paint ?? plain;
    if (found.length > 0 && (flagOption(options, 'verbose') || console.screen?.isTerminal)) {
      const errors = new ErrorList(found.map(({ error }) => error));
      for (const line of documentationLines(errors)) console.out(paint('dim', `  ${line}`));
    }
    for (const line of access?.sentences ?? []) console.out(printableLine(line));
    if (found.length === 0) console.out(paint('green', printableLine(`${relative(workingDirectory(), file)}: ok`)));
    if (found.some(({ severity }) => severity === 'error')) return EXIT_INVALID;
    return EXIT_OK;
  } finally {
    release();
  }
}

/** For `--as-user`: checks each server section, and collects the sentences to print. */
async function accessCheck(user: string | undefined): Promise<AccessCheck | undefined> {
  if (user === undefined) return undefined;
  const { accessTo, identityOf, notChecked } = await import('./web-server-access.ts');
  const who = identityOf(user);
  const sentences = new Set<string>();
  return {
    sentences,
    onServer(server, settings) {
      const access = accessTo(server, settings, who);
      for (const sentence of access.sentences) sentences.add(sentence);
      return access.obstacles;
    },
    onForeignServer: (context) => void sentences.add(notChecked(context)),
  };
}

interface AccessCheck {
  readonly sentences: ReadonlySet<string>;
  readonly onServer: CheckOptions['onServer'];
  readonly onForeignServer: CheckOptions['onForeignServer'];
}

/** At a terminal, with the lines of the file around it. */
async function showFinding(finding: Finding, { out, screen }: Console): Promise<void> {
  const line = findingLine(finding);
  const { location } = finding.error;
  if (!screen) return out(line);
  const place = location ? formatLocation(location) : '';
  const colour = finding.severity === 'error' ? 'red' : 'yellow';
  out(`${place && screen.paint('cyan', place)}${screen.paint(colour, line.slice(place.length))}`);
  if (!screen.isTerminal || !location) return;
  for (const code of await codeFrame({ ...location, isConfiguration: true }, screen.paint)) out(code);
}

/** `file:line:col: what is wrong (hint)`: on one line, even if the message has several. */
function findingLine({ severity, error }: Finding): string {
  const line = formatError(error)
    .split('\n')
    .map((each) => each.trim())
    .join(' ');
  if (severity === 'error') return line;
  const place = error.location ? `${formatLocation(error.location)}: ` : '';
  return `${place}warning: ${line.slice(place.length)}`;
}

/**
 * Keeps imported modules from ending the check: an uncaught exception is only reported, and if a module calls process.exit,
 * at least the exit status is not 0.
 */
function guardProcess(console: Console): () => void {
  const report = (error: unknown): void => {
    const place = placeInStack(error);
    console.err(printableMessage(`paster: ${place ? `${formatLocation(place)}: ` : ''}${errorMessage(error)}`));
  };
  const exit = (): void => {
    const { what = 'a module', location } = currentStep() ?? {};
    const place = location ? `${formatLocation(location)}: ` : '';
    console.err(printableLine(`paster: ${place}${what} ended the process while it was imported`));
    process.exitCode = EXIT_INVALID;
  };
  process.on('uncaughtException', report);
  process.on('exit', exit);
  return () => {
    process.off('uncaughtException', report);
    process.off('exit', exit);
  };
}
