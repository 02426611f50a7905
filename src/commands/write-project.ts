/** What the commands that write files have in common: who decides about conflicts, what `--simulate` shows, and the exit status. */
import { EXIT_FAILURE, EXIT_OK } from '../errors.ts';
import { printableLine } from '../printable.ts';
import type { ProjectFile } from '../scaffold/project-files.ts';
import { askAboutConflicts, type Questions, terminalQuestions } from '../scaffold/questions.ts';
import { compareFiles, type PlannedFile, planFiles, writeFiles } from '../scaffold/write.ts';
import { type Console, flagOption } from './command-line/command.ts';

/** Decides about files that differ, by the options of the command or by asking. */
export function decisionMaker(
  options: Readonly<Record<string, unknown>>,
  questions: Questions | undefined,
  console: Console,
): Parameters<typeof planFiles>[1] {
  if (flagOption(options, 'overwrite')) return () => 'overwritten';
  if (questions === undefined || flagOption(options, 'simulate')) return () => 'kept';
  return askAboutConflicts(questions, (text) => console.out(text));
}

/** Undefined without a terminal, and with `--no-interactive`. */
export function questionsOf(options: Readonly<Record<string, unknown>>, signal: AbortSignal): Questions | undefined {
  const isAsking = process.stdin.isTTY && process.stdout.isTTY && !flagOption(options, 'noInteractive');
  return isAsking ? terminalQuestions(signal) : undefined;
}

export interface AddOptions {
  readonly options: Readonly<Record<string, unknown>>;
  readonly questions: Questions | undefined;
  readonly console: Console;
  readonly signal: AbortSignal;
  /** What to say of a file that was written, besides its path. */
  readonly note?: (planned: PlannedFile) => string;
}

/**
 * Adds files to a project that exists, or shows them with `--simulate`.
 * @returns the exit status, and whether all files are there now
 */
export async function addFiles(
  root: string,
  files: readonly ProjectFile[],
  { options, questions, console, signal, note = () => '' }: AddOptions,
): Promise<{ readonly status: number; readonly isComplete: boolean }> {
  const planned = await planFiles(await compareFiles(root, files), decisionMaker(options, questions, console));
  console.out('');
  if (flagOption(options, 'simulate')) {
    console.out(projectTree('.', planned));
    return { status: statusOf(planned, console), isComplete: false };
  }
  await writeFiles(root, planned, signal);
  for (const each of planned) console.out(printableLine(`${each.outcome}: ${each.file.path}${note(each)}`));
  const status = statusOf(planned, console);
  return { status, isComplete: status === EXIT_OK };
}

/** Reports files that were kept. @returns the exit status */
export function statusOf(planned: readonly PlannedFile[], console: Console): number {
  const kept = planned.filter(({ outcome }) => outcome === 'kept').length;
  if (kept === 0) return EXIT_OK;
  const which = kept === 1 ? 'file differs and was' : 'files differ and were';
  console.err(`paster: ${kept} ${which} kept (--overwrite replaces)`);
  return EXIT_FAILURE;
}

// --- what `--simulate` shows

/** A directory's entries: directories, and files with their outcomes. */
interface Directory extends Map<string, Directory | string> {}

/** A tree of the files below a directory called `name`, each with what would happen to it. */
export function projectTree(name: string, planned: readonly PlannedFile[]): string {
  const root: Directory = new Map();
  for (const { file, outcome } of planned) {
    const parts = file.path.split('/');
    let directory = root;
    for (const part of parts.slice(0, -1)) {
      const inner = directory.get(part);
      const next: Directory = inner instanceof Map ? inner : new Map();
      directory.set(part, next);
      directory = next;
    }
    directory.set(parts.at(-1) ?? '', outcome);
  }
  const rows = [{ text: `${name}/`, outcome: '' }, ...rowsOf(root, '')];
  const width = Math.max(...rows.map(({ text }) => text.length));
  return rows.map(({ text, outcome }) => `${text.padEnd(width)}  ${outcome}`.trimEnd()).join('\n');
}

function rowsOf(directory: Directory, indent: string): { readonly text: string; readonly outcome: string }[] {
  const entries = [...directory];
  return entries.flatMap(([name, entry], index) => {
    const isLast = index === entries.length - 1;
    const text = `${indent}${isLast ? '└─ ' : '├─ '}${printableLine(name)}`;
    if (!(entry instanceof Map)) return [{ text, outcome: `would be ${entry}` }];
    return [{ text: `${text}/`, outcome: '' }, ...rowsOf(entry, `${indent}${isLast ? '   ' : '│  '}`)];
  });
}
