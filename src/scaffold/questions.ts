/** Questions at a terminal. The library for them is imported when the first one is asked. */

import { printable } from '../printable.ts';
import { Interruption } from './interruption.ts';
import type { ProjectFile } from './project-files.ts';
import type { Decision } from './write.ts';

export interface Choice {
  readonly value: string;
  readonly hint?: string | undefined;
}

export interface Questions {
  /** Asks for a line of text, again as long as `validate` says what is wrong with it. */
  line(
    question: string,
    defaultValue: string | undefined,
    validate: (answer: string) => string | undefined,
  ): Promise<string>;
  /** Asks for one of several choices, with the arrow keys. */
  choice(question: string, choices: readonly Choice[], defaultValue: string | undefined): Promise<string>;
  /** Asks for one of several keys, each with its meaning. */
  key<Key extends string>(question: string, keys: Readonly<Record<Key, string>>): Promise<Key>;
}

/** @param signal cancels a question that waits; like Ctrl-C, this rejects with an Interruption. */
export function terminalQuestions(signal: AbortSignal): Questions {
  const clack = () => import('@clack/prompts');
  return {
    async line(message, defaultValue, validateAnswer) {
      const { text } = await clack();
      const validate = (answer: string | undefined) => validateAnswer(answer || (defaultValue ?? ''));
      const shown = defaultValue === undefined ? {} : { placeholder: defaultValue, defaultValue: defaultValue };
      return unlessCancelled(await text({ message, validate, signal, ...shown }));
    },
    async choice(message, choices, defaultValue) {
      const { select } = await clack();
      const options = choices.map(({ value, hint }) => (hint ? { value, hint } : { value }));
      return unlessCancelled(
        await select<string>({
          message,
          options,
          signal,
          ...(defaultValue === undefined ? {} : { initialValue: defaultValue }),
        }),
      );
    },
    async key<Key extends string>(message: string, keys: Readonly<Record<Key, string>>) {
      const { selectKey } = await clack();
      const options = Object.entries<string>(keys).map(([value, label]) => ({ value, label }));
      return unlessCancelled(await selectKey<string>({ message, options, signal })) as Key;
    },
  };
}

/** The library resolves with a symbol if the question was cancelled. */
function unlessCancelled(answer: string | symbol): string {
  if (typeof answer === 'symbol') throw new Interruption();
  return answer;
}

// --- files that differ -----------------------------------------------------------------------------------------------

/** PasteScript's letters. */
const DECISIONS: Readonly<Record<'y' | 'n' | 'b', Decision>> = { y: 'overwritten', n: 'kept', b: 'backed up' };

/**
 * Asks what to do with each file that differs from the template's, after showing the difference, until the user gives one
 * answer for all others.
 *
 * @param show writes lines for the user
 */
export function askAboutConflicts(
  questions: Questions,
  show: (text: string) => void,
): (file: ProjectFile, existing: Buffer) => Promise<Decision> {
  let forAll: Decision | undefined;
  return async (file, existing) => {
    if (forAll) return forAll;
    for (;;) {
      show(await differenceOf(file, existing));
      const key = await questions.key(`${printable(file.path)} is there and differs: replace it?`, {
        y: 'yes, replace it',
        n: 'no, keep it',
        d: 'show the difference again',
        b: `replace it, and keep it as ${printable(file.path)}.bak`,
        a: 'the same for all files that differ',
      });
      if (key === 'd') continue;
      if (key !== 'a') return DECISIONS[key];
      const all = await questions.key('All files that differ:', {
        y: 'replace them',
        n: 'keep them',
        b: 'replace them, and keep each as .bak',
      });
      forAll = DECISIONS[all];
      return forAll;
    }
  };
}

/** How the template would change the file, in the format of `diff -u`. */
async function differenceOf({ path, content }: ProjectFile, existing: Buffer): Promise<string> {
  if (existing.includes(0) || content.includes(0)) return `${printable(path)}: a binary file that differs`;
  const { structuredPatch } = await import('diff');
  const { hunks } = structuredPatch(path, path, existing.toString(), content.toString());
  const lines = hunks.flatMap(({ oldStart, oldLines, newStart, newLines, lines: changed }) => [
    `@@ -${oldStart},${oldLines} +${newStart},${newLines} @@`,
    ...changed,
  ]);
  return printable([`--- ${path} as it is`, `+++ ${path} of the template`, ...lines].join('\n'));
}
