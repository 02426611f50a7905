/** What Basic and Digest share: the realm, and users read from a setting or from a file as htpasswd and htdigest write it. */
import { statSync } from 'node:fs';
import { asLines } from '../../config/settings/convert.ts';
import type { SettingType } from '../../config/settings/setting-types.ts';
import { ConfigError, errorMessage } from '../../errors.ts';
import { existingFile } from '../../files/existing-path.ts';
import { readConfiguration } from '../../files/user-files.ts';

/** Parses what follows the first colon of a line. @throws Error whose message does not quote the text, which is secret. */
export type ReadEntry<T> = (rest: string) => T;

/** The type of the setting `realm` (RFC 9110 section 11.5): a text that needs no escapes in a quoted string. */
export const realm: SettingType<string> = {
  allowed: 'printable ASCII without " and \\',
  parse(value) {
    if (!/^[\x20-\x7e]+$/.test(value) || /["\\]/.test(value)) throw new Error(`"${value}" cannot be a realm`);
    return value;
  },
};

/** The type of the setting `users`: the lines of a `users_file`, written in the section. */
export const userLines: SettingType<readonly string[]> = {
  secret: true,
  allowed: 'a line for each user, as in a users_file',
  parse: asLines,
};

/**
 * The users of the settings `users` and `users_file`. If a name is in both, the file's entry counts. The file is read again
 * when it changes.
 */
export class UserList<T> {
  readonly #fixed: ReadonlyMap<string, T>;
  readonly #file: string | undefined;
  readonly #read: ReadEntry<T>;
  readonly #kindOf: (entry: T) => string;
  #fromFile: ReadonlyMap<string, T> = new Map();
  #kinds: ReadonlyMap<string, T> = new Map();
  #fileState = '';

  /**
   * @param kindOf returns the same text for entries that take the same work to verify
   * @throws ConfigError for a malformed line, a file that cannot be read, and an empty list.
   */
  constructor(lines: readonly string[], file: string | undefined, read: ReadEntry<T>, kindOf: (entry: T) => string) {
    if (lines.length === 0 && file === undefined) {
      throw new ConfigError('PASTER_USERS', 'there are no users', {
        hint: 'name them in users, or a file in users_file',
      });
    }
    this.#read = read;
    this.#kindOf = kindOf;
    this.#file = file;
    this.#fixed = this.#parse(lines.join('\n'), 'users');
    this.#setFromFile(new Map());
    if (file === undefined) return;
    try {
      this.#load(file);
    } catch (error) {
      if (error instanceof ConfigError) throw error;
      throw new ConfigError('PASTER_USERS', `users_file: ${errorMessage(error)}`, {
        setting: 'users_file',
        cause: error,
      });
    }
  }

  /** The user's current entry. */
  get(name: string): T | undefined {
    this.#refresh();
    return this.#fromFile.get(name) ?? this.#fixed.get(name);
  }

  /**
   * An entry of each kind. Verifying these for an unknown user, too, keeps the response time from telling which users exist.
   */
  get kinds(): ReadonlyMap<string, T> {
    return this.#kinds;
  }

  /** While the file is missing or half written, the users stay as they were. */
  #refresh(): void {
    if (this.#file === undefined) return;
    try {
      if (fileState(this.#file) !== this.#fileState) this.#load(this.#file);
    } catch {
      // Keeps the users of the last version that could be read.
    }
  }

  #load(file: string): void {
    const state = fileState(file);
    this.#setFromFile(this.#parse(readConfiguration(file).toString(), 'users_file'));
    this.#fileState = state;
  }

  #setFromFile(users: ReadonlyMap<string, T>): void {
    this.#fromFile = users;
    this.#kinds = new Map([...this.#fixed.values(), ...users.values()].map((entry) => [this.#kindOf(entry), entry]));
  }

  #parse(text: string, setting: string): Map<string, T> {
    const users = new Map<string, T>();
    for (const [index, line] of text.split(/\r?\n/).entries()) {
      if (line.trim() === '' || line.startsWith('#')) continue;
      const colon = line.indexOf(':');
      const name = line.slice(0, colon);
      const wrong = (message: string): ConfigError =>
        new ConfigError('PASTER_USERS', `${setting}, line ${index + 1}: ${message}`, { setting });
      if (colon < 1) throw wrong('it does not begin with "name:"');
      if (users.has(name)) throw wrong(`the user "${name}" is given twice`);
      try {
        users.set(name, this.#read(line.slice(colon + 1).trim()));
      } catch (error) {
        throw wrong(`${name}: ${errorMessage(error)}`);
      }
    }
    return users;
  }
}

/** A text that changes whenever the file does. */
function fileState(file: string): string {
  const { mtimeMs, size, ino } = statSync(file);
  return `${mtimeMs} ${size} ${ino}`;
}

/** The path of the setting `users_file`. @throws ConfigError if there is no such file. */
export function usersFile(file: string | undefined): string | undefined {
  return file && existingFile('users_file', file);
}
