/** A file that differs from the template's: its difference is shown, and somebody at a terminal decides. */
import { printable } from '../printable.ts';
import type { ProjectFile } from './project-files.ts';
import type { Questions } from './questions.ts';
import type { Decision } from './write.ts';

/** PasteScript's letters. */
const DECISIONS: Readonly<Record<'y' | 'n' | 'b', Decision>> = { y: 'overwritten', n: 'kept', b: 'backed up' };

/**
 * Asks about one file after the other, until the answer is for all that are left.
 *
 * @param show writes lines for whoever is asked
 */
export function askAboutConflicts(
  questions: Questions,
  show: (text: string) => void,
): (file: ProjectFile, present: Buffer) => Promise<Decision> {
  let forAll: Decision | undefined;
  return async (file, present) => {
    if (forAll) return forAll;
    for (;;) {
      show(await differenceOf(file, present));
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

/** What would become of the file, in the form of `diff -u`. */
export async function differenceOf({ path, content }: ProjectFile, present: Buffer): Promise<string> {
  if (present.includes(0) || content.includes(0)) return `${printable(path)}: a binary file that differs`;
  const { structuredPatch } = await import('diff');
  const { hunks } = structuredPatch(path, path, present.toString(), content.toString());
  const lines = hunks.flatMap(({ oldStart, oldLines, newStart, newLines, lines: changed }) => [
    `@@ -${oldStart},${oldLines} +${newStart},${newLines} @@`,
    ...changed,
  ]);
  return printable([`--- ${path} as it is`, `+++ ${path} of the template`, ...lines].join('\n'));
}
