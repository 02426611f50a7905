/**
 * Declarations of settings. Each built-in part declares its settings once in this form; validation, `check`, `points` and
 * the reference page use the declaration. A set of declarations is a Standard Schema (https://standardschema.dev), which
 * factories of other packages can have as `factory.settings` too.
 */
import { errorMessage } from '../../errors.ts';
import { isSecretSetting } from '../../secrets.ts';
import { nearest } from '../nearest.ts';
import type { SettingType } from './setting-types.ts';

/** One setting: its type, its default (undefined if there is none), and its meaning. */
export interface Setting<T = unknown> {
  readonly type: SettingType<T>;
  readonly default?: NoInfer<T>;
  readonly required?: true;
  readonly help: string;
  readonly example?: string;
  /** Other names for it, such as the ones flup used. */
  readonly aliases?: readonly string[];
}

export type Declarations = Readonly<Record<string, Setting>>;

type ValueOf<S> = S extends { readonly type: SettingType<infer T> }
  ? S extends { readonly default: unknown } | { readonly required: true }
    ? T
    : T | undefined
  : never;

/** The values that a set of declarations yields. */
export type SettingValues<D extends Declarations> = { readonly [K in keyof D]: ValueOf<D[K]> };

/** An error in a section: the key that it is about (none: the whole section), and a hint. */
export interface SettingIssue {
  readonly message: string;
  readonly path?: readonly [string];
  readonly hint?: string;
}

export type SettingResult<T> = { readonly value: T } | { readonly issues: readonly SettingIssue[] };

export interface SettingsOptions {
  /** The purpose of the part, in a line without a full stop: `points` and the reference page show it next to the name. */
  readonly meaning?: string;
  /** Accepts undeclared keys, such as the paths of a URL map; their values stay texts. */
  readonly others?: {
    readonly accepts: (key: string) => boolean;
    readonly help: string;
    /** A hint what to write instead of a key that is not accepted, if there is one. */
    readonly meant?: (key: string) => string | undefined;
  };
  /** Settings of which at least one is required. The message and the hint are for a section without any of them. */
  readonly oneOfThese?: { readonly names: readonly string[]; readonly without: string; readonly hint: string };
  /** Names from older systems that have no effect, each with the reason: a warning, not an error. */
  readonly obsolete?: Readonly<Record<string, string>>;
}

/** A set of declarations that can validate a section. */
export interface SettingsSchema<D extends Declarations = Declarations> {
  readonly meaning: string | undefined;
  readonly declarations: D;
  readonly obsolete: Readonly<Record<string, string>>;
  readonly others: SettingsOptions['others'];
  readonly oneOfThese: SettingsOptions['oneOfThese'];
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: 'paster';
    validate(value: unknown): SettingResult<SettingValues<D>>;
    readonly types?: { readonly input: Record<string, string>; readonly output: SettingValues<D> };
  };
}

/** The values of a schema's settings: `SettingsOf<typeof settings>`. */
export type SettingsOf<S> = S extends SettingsSchema<infer D> ? SettingValues<D> : never;

/** A required setting. */
type Required = { readonly required: true };

/** The settings of a schema as options in code: those that are not required are optional. */
export type OptionsOf<S> =
  S extends SettingsSchema<infer D>
    ? { readonly [K in keyof D as D[K] extends Required ? K : never]: ValueOf<D[K]> } & {
        readonly [K in keyof D as D[K] extends Required ? never : K]?: ValueOf<D[K]> | undefined;
      }
    : never;

/** The settings from options in code, with the defaults. */
export function withDefaults<D extends Declarations>(
  { declarations }: SettingsSchema<D>,
  options: object,
): SettingValues<D> {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const defaults = Object.entries(declarations).map(([name, setting]) => [name, setting.default]);
  return { ...Object.fromEntries(defaults), ...Object.fromEntries(given) };
}

/** Declares the settings of a part. */
export function defineSettings<const D extends Declarations>(
  declarations: D,
  options: SettingsOptions = {},
): SettingsSchema<D> {
  const schema: SettingsSchema<D> = {
    meaning: options.meaning,
    declarations,
    obsolete: options.obsolete ?? {},
    others: options.others,
    oneOfThese: options.oneOfThese,
    '~standard': {
      version: 1,
      vendor: 'paster',
      validate: (value) => validate(schema, value as Readonly<Record<string, string>>),
    },
  };
  return schema;
}

/** The names of settings in a section, including aliases, each with the setting's own name. */
export function acceptedNames(declarations: Declarations): Map<string, string> {
  const names = new Map<string, string>();
  for (const [name, setting] of Object.entries(declarations)) {
    names.set(name, name);
    for (const alias of setting.aliases ?? []) names.set(alias, name);
  }
  return names;
}

/** The issue for an undeclared key, with the nearest declared name. */
function unknownSetting(key: string, known: Iterable<string>): SettingIssue {
  const meant = nearest(key, known);
  const names = [...known].sort();
  const hint =
    meant === undefined
      ? names.length === 0
        ? 'it has no settings'
        : `known settings: ${names.join(', ')}`
      : `did you mean "${meant}"?`;
  return { message: `unknown setting "${key}"`, path: [key], hint };
}

function unknownKey(key: string, declarations: Declarations, others: SettingsOptions['others']): SettingIssue {
  const issue = unknownSetting(key, Object.keys(declarations));
  if (others === undefined) return issue;
  const meant = others.meant?.(key) ?? (issue.hint?.startsWith('did you') ? issue.hint : undefined);
  const named = Object.keys(declarations).length === 0 ? 'known:' : `${issue.hint}; or`;
  return { ...issue, hint: meant ?? `${named} ${others.help}` };
}

function validate<D extends Declarations>(
  { declarations, obsolete, others, oneOfThese }: SettingsSchema<D>,
  section: Readonly<Record<string, string>>,
): SettingResult<SettingValues<D>> {
  const names = acceptedNames(declarations);
  const issues: SettingIssue[] = [];
  const values: Record<string, unknown> = Object.create(null);
  const writtenAs = new Map<string, string>();
  for (const [key, text] of Object.entries(section)) {
    const name = names.get(key);
    const setting = name === undefined ? undefined : declarations[name];
    if (name === undefined || setting === undefined) {
      if (others?.accepts(key)) values[key] = text;
      else if (!Object.hasOwn(obsolete, key)) issues.push(unknownKey(key, declarations, others));
      continue;
    }
    const twin = writtenAs.get(name);
    if (twin !== undefined) {
      issues.push({ message: `"${key}" and "${twin}" are two names of one setting`, path: [key] });
      continue;
    }
    writtenAs.set(name, key);
    try {
      values[name] = setting.type.parse(text);
    } catch (error) {
      issues.push({
        message: `${key}: ${isSecretSetting(key) && !setting.type.secret ? 'the value is not allowed' : errorMessage(error)}`,
        path: [key],
        hint: syntaxHint(text, setting.type) ?? `allowed: ${setting.type.allowed}`,
      });
    }
  }
  for (const [name, setting] of Object.entries(declarations)) {
    if (writtenAs.has(name)) continue;
    if (setting.required) issues.push({ message: `setting "${name}" is missing`, hint: setting.help });
    values[name] = setting.default;
  }
  if (oneOfThese && !oneOfThese.names.some((name) => writtenAs.has(name) && !isEmptyList(values[name]))) {
    issues.push({ message: oneOfThese.without, hint: oneOfThese.hint });
  }
  return issues.length > 0 ? { issues } : { value: values as SettingValues<D> };
}

/** A hint about quotes and trailing comments: unlike many other formats, this one takes them for part of the value. */
function syntaxHint(text: string, type: SettingType<unknown>): string | undefined {
  const quoted = /^(["'])(.*)\1$/.exec(text)?.[2];
  if (quoted !== undefined && parses(type, quoted)) return 'remove the quotes: they are part of the value';
  const comment = text.search(/\s[;#]/);
  if (comment > 0 && parses(type, text.slice(0, comment).trimEnd())) {
    return 'a comment needs its own line';
  }
  return undefined;
}

function parses(type: SettingType<unknown>, text: string): boolean {
  try {
    type.parse(text);
    return true;
  } catch {
    return false;
  }
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

/** The undeclared settings of a validated section, which `others` accepts. */
export function otherSettings(schema: SettingsSchema, values: object): [string, string][] {
  return Object.entries(values).filter(
    (pair): pair is [string, string] => !Object.hasOwn(schema.declarations, pair[0]) && typeof pair[1] === 'string',
  );
}
