/** The types of settings: which texts each accepts, and what they are converted to. */
import { nearest } from '../nearest.ts';
import { asBool, asInt, asLines, asList, escapedWords, wordsWithSpaces } from './convert.ts';

/** Converts the text of a setting. `parse` throws an Error whose message completes `[section] key: ...`. */
export interface SettingType<T> {
  /** The allowed values, as a noun phrase: `a whole number from 0 to 65535`. */
  readonly allowed: string;
  /** Its values are never shown, whatever the setting's name; `parse` does not quote them. */
  readonly secret?: true;
  /** For numbers: the largest allowed value. */
  readonly max?: number;
  /** Its value is a list of functions in modules; `check` loads them to see that they exist. */
  readonly namesFunctions?: true;
  /** For paths: applies `absolute` to each path in the value. */
  mapPaths?(value: T, absolute: (path: string) => string): T;
  /** The path was relative to the working directory until 0.1; a path that exists only there is an error. */
  readonly isMoved?: true;
  parse(text: string): T;
}

/** Any text. */
export const text: SettingType<string> = { allowed: 'any text', parse: (value) => value };

/** A path, relative to the INI file. An empty path is refused: it would become the directory of that file. */
export const path: SettingType<string> = {
  allowed: 'the path of a file or a directory, relative to the INI file',
  mapPaths: (value, absolute) => absolute(value),
  parse(value) {
    if (value.trim() === '') throw new Error('it is empty');
    return value;
  },
};

/** A path that was relative to the working directory in 0.1. */
export const movedPath: SettingType<string> = { ...path, isMoved: true };

/** Paths separated by white space, relative to the INI file. */
export const pathList: SettingType<readonly string[]> = {
  allowed:
    'paths separated by spaces or line ends, relative to the INI file; a space within a name needs a backslash before it',
  mapPaths: (values, absolute) => values.map(absolute),
  parse: wordsWithSpaces,
};

/** Paths, one per line, relative to the INI file. They may contain spaces. */
const pathLines: SettingType<readonly string[]> = {
  allowed: 'paths, one per line, relative to the INI file',
  mapPaths: (values, absolute) => values.map(absolute),
  parse(value) {
    const paths = asLines(value);
    if (paths.length === 0) throw new Error('it is empty');
    return paths;
  },
};

/** Such paths that were relative to the working directory in 0.1. */
export const movedPathLines: SettingType<readonly string[]> = { ...pathLines, isMoved: true };

/** Words separated by white space. */
export const list: SettingType<readonly string[]> = {
  allowed: 'words separated by spaces or line ends',
  parse: (value) => asList(value),
};

/** Patterns of paths. The backslashes before spaces stay. */
export const patternList: SettingType<readonly string[]> = {
  allowed: 'paths and patterns separated by spaces or line ends; a space within a name needs a backslash before it',
  parse: escapedWords,
};

/** Functions of modules, each as `call:module:name`. */
export const functionList: SettingType<readonly string[]> = {
  allowed: 'functions of modules such as call:./health.js:check, separated by spaces or line ends',
  namesFunctions: true,
  parse(value) {
    const expressions = asList(value);
    const wrong = expressions.find((each) => !/^call:.+:[^:/\\]+$/s.test(each));
    if (wrong === undefined) return expressions;
    throw new Error(`"${wrong}" is not of the form call:module:name`);
  },
};

/** `true`, `yes`, `on`, `y`, `t`, `1`, or their opposites, as Paste's converter reads them. */
export const bool: SettingType<boolean> = { allowed: 'true or false', parse: (value) => asBool(value) };

/** A whole number within bounds. */
export function int({ min, max }: { readonly min: number; readonly max: number }): SettingType<number> {
  return {
    allowed: `a whole number from ${min} to ${max}`,
    max,
    parse(value) {
      const number = asInt(value);
      if (number < min || number > max) throw new Error(`${number} is out of range`);
      return number;
    },
  };
}

/** 24 days: Node's timers cannot wait 25. */
const MAX_SECONDS = 24 * 86_400;

/** A length of time in seconds, decimals allowed, also with its unit: `10s`. */
export const seconds: SettingType<number> = {
  allowed: `a number of seconds from 0 to ${MAX_SECONDS} (24 days)`,
  max: MAX_SECONDS,
  parse(value) {
    const [, digits] = /^(\d+(?:\.\d*)?|\.\d+)s?$/.exec(value.trim()) ?? [];
    const number = Number(digits ?? Number.NaN);
    if (Number.isNaN(number)) throw new Error(`"${value}" is not a number of seconds`);
    if (number > MAX_SECONDS) throw new Error(`${value.trim()} is out of range`);
    return number;
  },
};

const SIZE = /^(\d{1,15})\s*(?:([kmg])i?)?b?$/i;
const UNITS: Readonly<Record<string, number>> = { k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

const MAX_SIZE = 2 ** 40;

/** A number of bytes, such as `4096`, `64k`, `10M` or `1G`; the letters are powers of 1024. */
export const size: SettingType<number> = {
  allowed: 'a number of bytes such as 4096, 64k, 10M or 1G, at most 1024G',
  max: MAX_SIZE,
  parse(value) {
    const [, digits, unit = ''] = SIZE.exec(value.trim()) ?? [];
    const number = Number(digits) * (UNITS[unit.toLowerCase()] ?? 1);
    if (Number.isNaN(number)) throw new Error(`"${value}" is not a number of bytes`);
    if (number > MAX_SIZE) throw new Error(`${value.trim()} is out of range`);
    return number;
  },
};

/** A key that signs or encrypts. No message quotes it. */
export const secret: SettingType<string> = {
  secret: true,
  allowed: 'at least 32 random characters, as "openssl rand -hex 32" prints them',
  parse(value) {
    if (value.length < 32) throw new Error(`${value.length} characters are too few to be a secret`);
    return value;
  },
};

/** File permission bits, always octal: `660`, `0660`, `0o660`. */
export const octal: SettingType<number> = {
  allowed: 'an octal number from 000 to 777',
  parse(value) {
    const digits = /^(?:0o)?([0-7]{1,4})$/i.exec(value.trim());
    const number = digits?.[1] === undefined ? Number.NaN : Number.parseInt(digits[1], 8);
    if (!(number <= 0o777)) throw new Error(`"${value}" is not an octal number`);
    return number;
  },
};

/** One of a few words. */
export function oneOf<const T extends string>(...words: readonly T[]): SettingType<T> {
  return {
    allowed: words.join(', '),
    parse(value) {
      const word = words.find((each) => each === value.trim());
      if (word === undefined) {
        const meant = nearest(value, words);
        throw new Error(
          `"${value}" is not an allowed value${meant === undefined ? '' : ` (did you mean "${meant}"?)`}`,
        );
      }
      return word;
    },
  };
}
