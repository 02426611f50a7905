/**
 * The words of a command, quoted as in a shell, but without a shell: no variables, no patterns, no pipes. A user who needs these
 * writes `sh -c '...'`.
 */
import type { SettingType } from '../../config/settings/setting-types.ts';

/** A piece of a word: in single quotes, in double quotes, after a backslash, or plain. */
const PIECE = /'([^']*)'|"((?:[^"\\]|\\[\s\S])*)"|\\([\s\S])|([^\s'"\\]+)/y;
const SPACE = /\s*/y;
/** A word that a shell would act on. As a part of a word or in quotes these characters are themselves. */
const OPERATOR = /^(?:\|\|?|&&?|;|\d?>>?|<|2>&1)$/;

/** @throws Error for a quote that is not closed, or an operator of a shell */
export function commandWords(text: string): string[] {
  return quotedWords(text, (word) => {
    if (OPERATOR.test(word)) throw new Error(`"${word}" needs a shell: write sh -c '...' around the command`);
  });
}

/**
 * @param check gets each word as it is written
 * @throws Error for a quote that is not closed
 */
export function quotedWords(text: string, check: (written: string) => void = () => {}): string[] {
  const words: string[] = [];
  for (let at = skipSpace(text, 0); at < text.length; at = skipSpace(text, at)) {
    const start = at;
    let word = '';
    while (at < text.length && !/\s/.test(text[at] ?? '')) {
      PIECE.lastIndex = at;
      const [piece, single, double, escaped, plain] = PIECE.exec(text) ?? [];
      if (piece === undefined) {
        const quote = text[at] === '\\' ? 'a backslash at its end' : `a ${text[at]} that is not closed`;
        throw new Error(`there is ${quote}`);
      }
      word += single ?? double?.replace(/\\(["\\$`])/g, '$1') ?? escaped ?? plain ?? '';
      at = PIECE.lastIndex;
    }
    check(text.slice(start, at));
    words.push(word);
  }
  return words;
}

/** A word as a shell and `quotedWords` read it. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

function skipSpace(text: string, at: number): number {
  SPACE.lastIndex = at;
  SPACE.exec(text);
  return SPACE.lastIndex;
}

/** A program with its arguments. */
export const commandLine: SettingType<readonly string[]> = {
  allowed: 'a program and its arguments, quoted as in a shell',
  parse(value) {
    const words = commandWords(value);
    if (!words[0]) throw new Error('it names no program');
    return words;
  },
};

/** The arguments of a program of Node. */
export const argumentList: SettingType<readonly string[]> = {
  allowed: 'words separated by spaces or line ends, quoted as in a shell',
  parse: (value) => quotedWords(value),
};
