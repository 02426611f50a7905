/** What `--simulate` shows: a tree of the files, each with what would happen to it. */
import { printableLine } from '../printable.ts';
import type { PlannedFile } from '../scaffold/write.ts';

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
