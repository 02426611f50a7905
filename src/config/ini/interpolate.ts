/**
 * Interpolation of `%(name)s`, as configparser's BasicInterpolation, plus `%(ENV_NAME)s` for environment variables. The
 * caller supplies the values of names as a scope.
 */
import { ConfigError, type Location } from '../../errors.ts';
import { nearest } from '../nearest.ts';

/** The value of a name: an entry of a file, or a text from elsewhere. */
export interface ScopeValue {
  readonly value: string;
  /** Whether the text is not interpolated: a `%` in it has no meaning. */
  readonly literal?: boolean;
  /** The place of the text's character at `offset`, for errors. */
  locate?(offset: number): Location;
}

/** Looks a name up. */
export type Scope = (name: string) => ScopeValue | undefined;

/** A value to interpolate. */
export interface Interpolated {
  readonly section: string;
  readonly key: string;
  readonly text: string;
  /** The place of the text's character at `offset`. */
  locate(offset: number): Location;
}

/** Levels of references, as configparser's MAX_INTERPOLATION_DEPTH; the value itself is the first. */
const MAX_DEPTH = 10;

// Ten levels of references can multiply into more than any machine's memory. Exceeding these limits is an error.
const MAX_LENGTH = 2 ** 28;
const MAX_NESTED_REFERENCES = 1_000_000;

const ENV_PREFIX = 'ENV_';

let environment = process.env;

/** From now on, `%(ENV_NAME)s` refers to these variables. Default: the environment of this process. */
export function setReferenceEnvironment(variables: NodeJS.ProcessEnv): void {
  environment = variables;
}

/** What `%(ENV_NAME)s` refers to. */
export function referenceEnvironment(): NodeJS.ProcessEnv {
  return environment;
}

/**
 * The text with its references replaced and each `%%` turned into `%`.
 *
 * @param entry the value; section and key are for messages
 * @param scope the values of names
 * @param env the environment, for names with the prefix ENV_ that are not in the scope
 * @param names the names of the scope, for suggestions
 * @throws ConfigError for an undefined name or a stray `%`, at the exact character, which may be in another entry
 */
export function interpolate(
  entry: Interpolated,
  scope: Scope,
  env: NodeJS.ProcessEnv = process.env,
  names?: () => Iterable<string>,
): string {
  if (!entry.text.includes('%')) return entry.text;
  return new Interpolation(entry, scope, env, names).run();
}

/** A text that is being expanded, and the text that refers to it. */
interface Level {
  readonly name: string;
  readonly text: string;
  readonly depth: number;
  readonly parent: Level | undefined;
  /** The offset of the reference in the parent's text. */
  readonly from: number;
  /** Locates the text in its file; without `locate`, the place of the reference is used. */
  readonly written: Pick<ScopeValue, 'locate'>;
}

class Interpolation {
  readonly #entry: Interpolated;
  readonly #scope: Scope;
  readonly #env: NodeJS.ProcessEnv;
  readonly #names: (() => Iterable<string>) | undefined;
  #result = '';
  #nestedReferences = 0;

  constructor(entry: Interpolated, scope: Scope, env: NodeJS.ProcessEnv, names: (() => Iterable<string>) | undefined) {
    this.#entry = entry;
    this.#scope = scope;
    this.#env = env;
    this.#names = names;
  }

  run(): string {
    const entry = this.#entry;
    this.#expand({ name: entry.key, text: entry.text, depth: 1, parent: undefined, from: 0, written: entry });
    return this.#result;
  }

  #expand(level: Level): void {
    if (level.depth > MAX_DEPTH) throw this.#tooDeep(level);
    const { text } = level;
    let done = 0;
    for (let percent = text.indexOf('%'); percent >= 0; percent = text.indexOf('%', done)) {
      this.#append(text.slice(done, percent), level, percent);
      const next = text[percent + 1];
      if (next === '%') {
        this.#append('%', level, percent);
        done = percent + 2;
      } else if (next === '(') {
        const close = text.indexOf(')', percent);
        if (close <= percent + 2 || text[close + 1] !== 's') throw this.#badReference(level, percent, close);
        this.#refer(text.slice(percent + 2, close), level, percent);
        done = close + 2;
      } else {
        throw this.#stray(level, percent);
      }
    }
    this.#append(text.slice(done), level, done);
  }

  /** Replaces the reference at `percent` by the value of a name. */
  #refer(name: string, level: Level, percent: number): void {
    if (level.depth > 1 && ++this.#nestedReferences > MAX_NESTED_REFERENCES) throw this.#tooLarge(level, percent);
    const value = this.#scope(name);
    if (value === undefined) {
      this.#append(this.#environment(name, level, percent), level, percent);
    } else if (value.literal || !value.value.includes('%')) {
      this.#append(value.value, level, percent);
    } else {
      const { depth } = level;
      this.#expand({ name, text: value.value, depth: depth + 1, parent: level, from: percent, written: value });
    }
  }

  #environment(name: string, level: Level, percent: number): string {
    if (!name.startsWith(ENV_PREFIX)) throw this.#undefined(name, level, percent);
    const variable = name.slice(ENV_PREFIX.length);
    const value = Object.hasOwn(this.#env, variable) ? this.#env[variable] : undefined;
    if (value === undefined) throw this.#unset(variable, level, percent);
    return value;
  }

  #append(text: string, level: Level, percent: number): void {
    if (text === '') return;
    if (this.#result.length + text.length > MAX_LENGTH) throw this.#tooLarge(level, percent);
    this.#result += text;
  }

  #undefined(name: string, level: Level, percent: number): ConfigError {
    const meant = nearest(name, this.#names?.() ?? []);
    let hint: string | undefined;
    if (meant !== undefined) hint = `did you mean "${meant}"?`;
    else if (Object.hasOwn(this.#env, name)) hint = `the environment variable is %(${ENV_PREFIX}${name})s`;
    return this.#error('UNDEFINED', `%(${shortName(name)})s is not defined`, level, percent, hint);
  }

  #unset(variable: string, level: Level, percent: number): ConfigError {
    const meant = nearest(variable, Object.keys(this.#env));
    const hint = meant === undefined ? 'export it, or pass -e FILE' : `did you mean "${ENV_PREFIX}${meant}"?`;
    return this.#error('ENV', `the environment variable ${shortName(variable)} is not set`, level, percent, hint);
  }

  #stray(level: Level, percent: number): ConfigError {
    const hint = 'write "%%" for a percent sign';
    return this.#error('SYNTAX', 'a "%" must be followed by "%" or "(name)s"', level, percent, hint);
  }

  /** @param close the offset of the next `)`, or -1 */
  #badReference(level: Level, percent: number, close: number): ConfigError {
    const hint = 'write %(name)s, or "%%" for a percent sign';
    if (close < 0) return this.#error('SYNTAX', '"%(" lacks its closing ")s"', level, percent, hint);
    const name = shortName(level.text.slice(percent + 2, close));
    if (name === '') return this.#error('SYNTAX', 'there is no name between "%(" and ")"', level, percent, hint);
    return this.#error('SYNTAX', `"%(${name})" lacks the "s" that ends a reference`, level, percent, hint);
  }

  /** The error for a cycle, at the reference that closes it, or for a chain that is too long. */
  #tooDeep(level: Level): ConfigError {
    const levels = lineage(level);
    for (const [index, { name, text, parent, from }] of levels.entries()) {
      const start = levels.findIndex((each) => each.name === name && each.text === text);
      if (start === index || parent === undefined) continue;
      const cycle = namesOf(levels.slice(start, index + 1));
      return this.#error('DEPTH', `the references form a cycle: ${cycle}`, parent, from);
    }
    const message = `the references are nested more than ${MAX_DEPTH} deep: ${namesOf(levels)}`;
    return this.#error('DEPTH', message, level.parent ?? level, level.from);
  }

  #tooLarge(level: Level, percent: number): ConfigError {
    return this.#error('SIZE', 'the value is too long with all its references expanded', level, percent);
  }

  #error(code: string, problem: string, level: Level, offset: number, hint?: string): ConfigError {
    const { section, key } = this.#entry;
    // A DEPTH error names the references already.
    const way = code === 'DEPTH' ? [] : lineage(level).slice(1);
    const by = way.length === 0 ? '' : ` (by way of ${namesOf(way)})`;
    return new ConfigError(`PASTER_INTERPOLATION_${code}`, `[${section}] ${key}: ${problem}${by}`, {
      location: placeIn(level, offset),
      hint,
    });
  }
}

/** The place of the character at `offset` of a level's text. */
function placeIn({ written, parent, from }: Level, offset: number): Location | undefined {
  return written.locate ? written.locate(offset) : parent && placeIn(parent, from);
}

/** The levels from the value itself to this one. */
function lineage(level: Level): Level[] {
  const levels: Level[] = [];
  for (let at: Level | undefined = level; at !== undefined; at = at.parent) levels.unshift(at);
  return levels;
}

function namesOf(levels: readonly Level[]): string {
  return levels.map(({ name }) => shortName(name)).join(' -> ');
}

/** A name for a message: on one line, and cut if it is long. (A name without its closing parenthesis may be half a file.) */
function shortName(name: string): string {
  const line = name.slice(0, 100).replaceAll('\n', '\\n');
  return line.length > 60 ? `${line.slice(0, 57)}...` : line;
}
