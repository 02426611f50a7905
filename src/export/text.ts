/** The text of a configuration. */

/** What stands in a file; its name is for targets that have several. */
export interface ExportedFile {
  readonly name: string;
  readonly text: string;
  /** Written beside the others with `-o`, unless a file of that name is there; never printed. */
  readonly isCompanion?: boolean;
}

/** Those that there are, as one text. */
export function lines(...all: readonly (string | undefined)[]): string {
  return all.filter((line) => line !== undefined).join('\n');
}

/** Each line two spaces further right. */
export function indented(text: string): string {
  return text.replace(/^(?=.)/gm, '  ');
}

/** A path of plain characters as it stands in a regular expression. */
export function escapeRegex(path: string): string {
  return path.replaceAll('.', '\\.');
}
