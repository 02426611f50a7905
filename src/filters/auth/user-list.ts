/** Users from a setting or a file of lines, `name:...`, as htpasswd and htdigest write them; read again when it changes. */
import { readFileSync, statSync } from 'node:fs';
import { existingFile } from '../../config/existing-path.ts';
import type { SettingType } from '../../config/setting.ts';
import { ConfigError, errorMessage } from '../../errors.ts';

/** Reads what stands behind the first colon. @throws Error that says what is wrong, and quotes nothing of it. */
export type ReadEntry<T> = (rest: string) => T;

/** The type of a setting `users`: lines of a file, in the section. */
export const userLines: SettingType<readonly string[]> = {
  secret: true,
  allowed: 'a line for each user, as in a users_file',
  parse: (text) =>
    text
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== ''),
};

/** The users of the setting `users` and of the file `users_file`; those of the file count where both have one. */
export class UserList<T> {
  readonly #fixed: ReadonlyMap<string, T>;
  readonly #file: string | undefined;
  readonly #read: ReadEntry<T>;
  readonly #kindOf: (entry: T) => string;
  #fromFile: ReadonlyMap<string, T> = new Map();
  #kinds: ReadonlyMap<string, T> = new Map();
  #state = '';

  /**
   * @param kindOf what entries have in common that take the same work to check
   * @throws ConfigError for a line or a file that makes no sense, and where there are no users at all.
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

  /** What is known of a user, as of now. */
  get(name: string): T | undefined {
    this.#refresh();
    return this.#fromFile.get(name) ?? this.#fixed.get(name);
  }

  /** An entry of each kind, to be checked for a user that there is not, so that the time does not tell. */
  get kinds(): ReadonlyMap<string, T> {
    return this.#kinds;
  }

  /** A file that is gone for a moment, or half written, leaves the users as they were. */
  #refresh(): void {
    if (this.#file === undefined) return;
    try {
      if (stateOf(this.#file) !== this.#state) this.#load(this.#file);
    } catch {
      // As before.
    }
  }

  #load(file: string): void {
    const state = stateOf(file);
    this.#setFromFile(this.#parse(readFileSync(file, 'utf8'), 'users_file'));
    this.#state = state;
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
      if (users.has(name)) throw wrong(`the user "${name}" is there twice`);
      try {
        users.set(name, this.#read(line.slice(colon + 1).trim()));
      } catch (error) {
        throw wrong(`${name}: ${errorMessage(error)}`);
      }
    }
    return users;
  }
}

/** Changes whenever the file does. */
function stateOf(file: string): string {
  const { mtimeMs, size, ino } = statSync(file);
  return `${mtimeMs} ${size} ${ino}`;
}

/** The path of the setting `users_file`. @throws ConfigError where there is no such file. */
export function usersFile(file: string | undefined): string | undefined {
  return file && existingFile('users_file', file);
}
