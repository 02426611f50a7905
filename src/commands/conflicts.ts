/** What the commands that write files have in common: who decides about conflicts, and the exit status. */
import { EXIT_FAILURE, EXIT_OK } from '../errors.ts';
import { askAboutConflicts, type Questions } from '../scaffold/questions.ts';
import type { PlannedFile, planFiles } from '../scaffold/write.ts';
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

/** Reports files that were kept. @returns the exit status */
export function statusOf(planned: readonly PlannedFile[], console: Console): number {
  const kept = planned.filter(({ outcome }) => outcome === 'kept').length;
  if (kept === 0) return EXIT_OK;
  const which = kept === 1 ? 'file differs and was' : 'files differ and were';
  console.err(`paster: ${kept} ${which} kept (--overwrite replaces)`);
  return EXIT_FAILURE;
}
