/**
 * Reads the sections of an INI file that configure logging, as Python's `logging.config.fileConfig` does: `[loggers]`,
 * `[handlers]` and `[formatters]` list in `keys` what `[logger_*]`, `[handler_*]` and `[formatter_*]` describe. All errors
 * are found at once, and no file is opened.
 */
import type { IniDocument, IniEntry, IniSection } from '../../config/ini/ini.ts';
import { didYouMean, nearest } from '../../config/nearest.ts';
import { defineSettings, type SettingsOf, type SettingsSchema } from '../../config/settings/setting.ts';
import { bool, oneOf, text } from '../../config/settings/setting-types.ts';
import { ConfigError, type Location } from '../../errors.ts';
import { ArgumentError, CallArguments } from './call-arguments.ts';
import { type Formatter, JsonFormatter, TextFormatter } from './formatter.ts';
import { findHandlerClass, type HandlerPlan } from './handlers.ts';
import { FormatError, STYLES, type Style } from './line-format.ts';
import { type PythonNode, PythonSyntaxError, parsePython } from './python-literal.ts';
import { LEVELS, type Level, NOTSET, WARNING } from './record.ts';

/** The values of the file's sections, interpolated, with what they inherit from [DEFAULT]. */
export interface SectionValues {
  get(section: IniSection, name: string): string;
  /** The value as it is written. */
  raw(section: IniSection, name: string): string;
  /** The entry that gives a name its value; undefined if there is none. */
  entry(section: IniSection, name: string): IniEntry | undefined;
}

export interface PlannedHandler {
  readonly section: IniSection;
  readonly level: Level;
  readonly formatter: Formatter;
  readonly plan: HandlerPlan;
  /** Where the name of its file is written. */
  readonly fileLocation: Location | undefined;
}

export interface PlannedLogger {
  readonly name: string;
  readonly level: Level;
  readonly propagate: boolean;
  /** Names of handlers. */
  readonly handlers: readonly string[];
}

export interface LoggingPlan {
  readonly handlers: ReadonlyMap<string, PlannedHandler>;
  readonly loggers: readonly PlannedLogger[];
  readonly captureConsole: boolean;
}

/** The configuration, and what is wrong with it. */
export interface LoggingResult {
  readonly plan: LoggingPlan;
  readonly errors: readonly ConfigError[];
  readonly warnings: readonly { readonly message: string; readonly location: Location }[];
}

const level = { type: oneOf(...LEVELS.keys()), help: 'The least level that passes.' };

const loggersSettings = defineSettings({
  keys: { type: text, required: true, help: 'The loggers, separated by commas; root is one of them.' },
  capture_console: {
    type: bool,
    default: false,
    help: 'Whether what the application writes to the console is logged, by the logger `console`.',
  },
});

const keysSettings = defineSettings({
  keys: { type: text, required: true, help: 'Their names, separated by commas; may be empty.' },
});

const rootSettings = defineSettings({
  level,
  handlers: { type: text, required: true, help: 'The names of its handlers, separated by commas; may be empty.' },
  qualname: { type: text, help: 'Ignored: the root has no name.' },
  propagate: { type: text, help: 'Ignored: nothing is above the root.' },
});

const loggerSettings = defineSettings({
  level,
  handlers: { type: text, required: true, help: 'The names of its handlers, separated by commas; may be empty.' },
  qualname: { type: text, required: true, help: 'Its name in the application, such as `shop.cart`.' },
  propagate: {
    type: { allowed: 'a whole number: 0 or 1', parse: wholeNumber },
    default: 1,
    help: 'Whether its messages go to the handlers of the loggers above it, too.',
  },
});

const handlerSettings = defineSettings({
  class: { type: text, required: true, help: 'Such as `StreamHandler` or `handlers.RotatingFileHandler`.' },
  level,
  formatter: { type: text, default: '', help: 'The name of a formatter; none: the message alone.' },
  args: { type: text, default: '()', help: 'The arguments of the class, as a Python tuple.' },
  kwargs: { type: text, default: '{}', help: 'Arguments by their names, as a Python dict.' },
});

const formatterSettings = defineSettings({
  format: { type: text, default: '', help: 'The line, such as `%(levelname)s %(message)s`; read raw.' },
  datefmt: { type: text, default: '', help: 'How %(asctime)s is written, for strftime; read raw.' },
  style: { type: oneOf(...STYLES), default: '%', help: 'How fields are written: %(name)s, {name} or $name.' },
  class: { type: text, default: '', help: '`paster.JSONFormatter` for a JSON object a line.' },
});

/** Not interpolated, since `%(message)s` is for the formatter. */
const RAW = new Set(['format', 'datefmt', 'style']);

function wholeNumber(value: string): number {
  if (!/^\s*[+-]?\d+\s*$/.test(value)) throw new Error(`"${value}" is not a whole number`);
  return Number(value);
}

/** Whether a file configures logging. */
export function configuresLogging(document: IniDocument): boolean {
  return document.sections.has('loggers');
}

/** Reads the sections of a file that configures logging. */
export function readLogging(document: IniDocument, values: SectionValues): LoggingResult {
  return new LoggingReader(document, values).read();
}

class LoggingReader {
  readonly #document: IniDocument;
  readonly #values: SectionValues;
  readonly #errors: ConfigError[] = [];
  readonly #warnings: { readonly message: string; readonly location: Location }[] = [];

  constructor(document: IniDocument, values: SectionValues) {
    this.#document = document;
    this.#values = values;
  }

  read(): LoggingResult {
    const loggersSection = this.#document.sections.get('loggers') ?? this.#document.defaults;
    const general = this.#settings(loggersSection, loggersSettings);
    const formatters = this.#readListed('formatter', (section) => this.#formatter(section));
    const handlers = this.#readListed('handler', (section) => this.#handler(section, formatters));
    const loggers = this.#readListed('logger', (section, name) => this.#logger(section, name, handlers));
    if (general && !loggers.has('root') && !this.#document.sections.has('logger_root')) {
      this.#addError(loggersSection, 'keys', 'the logger root is missing', 'write keys = root, ...');
    } else if (general && !namesIn(general.keys).includes('root')) {
      this.#addError(loggersSection, 'keys', 'root is missing among the keys', 'write keys = root, ...');
    }
    return {
      plan: {
        handlers: definedOnly(handlers),
        loggers: [...definedOnly(loggers).values()],
        captureConsole: general?.capture_console ?? false,
      },
      errors: this.#errors,
      warnings: this.#warnings,
    };
  }

  /** Reads the sections that `[formatters]`, `[handlers]` or `[loggers]` lists; undefined for one with an error. */
  #readListed<T>(kind: string, read: (section: IniSection, name: string) => T | undefined): Map<string, T | undefined> {
    const { sections } = this.#document;
    const found = new Map<string, T | undefined>();
    const list = sections.get(`${kind}s`);
    if (!list) {
      const place = sections.get('loggers') ?? this.#document.defaults;
      this.#addError(place, undefined, `there is no section [${kind}s]`, `write [${kind}s] with keys = ...`);
      return found;
    }
    // `keys` of [loggers] has been checked already.
    const written = this.#values.entry(list, 'keys') ? this.#values.get(list, 'keys') : undefined;
    if (written === undefined && kind !== 'logger') this.#settings(list, keysSettings);
    const names = namesIn(written ?? '');
    const prefix = `${kind}_`;
    const unlisted = [...sections.keys()].flatMap((each) => {
      const name = each.startsWith(prefix) ? each.slice(prefix.length) : undefined;
      return name === undefined || names.includes(name) ? [] : [name];
    });
    for (const name of names) {
      const section = sections.get(`${kind}_${name}`);
      if (section) found.set(name, read(section, name));
      else {
        const closest = nearest(name, unlisted);
        const hint = closest === undefined ? undefined : `did you mean "${closest}"?`;
        this.#addError(list, 'keys', `there is no section [${kind}_${name}]`, hint, this.#offsetOf(list, 'keys', name));
        // References to it are not errors of their own.
        found.set(name, undefined);
      }
    }
    for (const name of unlisted) {
      const section = sections.get(prefix + name);
      const message = `[${prefix}${name}] is not used: the keys of [${kind}s] do not list it`;
      if (section) this.#warn(section, undefined, message);
    }
    return found;
  }

  #formatter(section: IniSection): Formatter | undefined {
    const settings = this.#settings(section, formatterSettings);
    if (!settings) return undefined;
    const { format, datefmt, style, class: className } = settings;
    const make = FORMATTERS.get(className);
    if (!make) {
      const names = [...FORMATTERS.keys()].filter((name) => name !== '');
      this.#addError(section, 'class', `there is no formatter ${className}`, hintFor(className, names));
      return undefined;
    }
    try {
      return make(format, datefmt, style);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.#addError(section, 'format', error.message, error.hint, error.at);
      return undefined;
    }
  }

  #handler(section: IniSection, formatters: ReadonlyMap<string, Formatter | undefined>): PlannedHandler | undefined {
    const settings = this.#settings(section, handlerSettings);
    if (!settings) return undefined;
    const formatterName = settings.formatter;
    const formatter = formatterName === '' ? new TextFormatter(undefined, undefined) : formatters.get(formatterName);
    if (formatterName !== '' && !formatters.has(formatterName)) {
      const hint = hintFor(formatterName, formatters.keys());
      this.#addError(
        section,
        'formatter',
        `there is no formatter "${formatterName}" among the keys of [formatters]`,
        hint,
      );
    }
    const plan = this.#handlerPlan(section, settings);
    if (!formatter || !plan) return undefined;
    const fileLocation = plan.file && this.#locationOf(section, 'args', plan.file.node.at);
    return { section, level: LEVELS.get(settings.level ?? '') ?? NOTSET, formatter, plan, fileLocation };
  }

  #handlerPlan(
    section: IniSection,
    { class: name, args, kwargs }: { readonly class: string; readonly args: string; readonly kwargs: string },
  ): HandlerPlan | undefined {
    const found = findHandlerClass(name);
    if ('hint' in found) {
      this.#addError(section, 'class', `there is no handler ${name}`, found.hint);
      return undefined;
    }
    const argsNode = this.#python(section, 'args', args);
    const kwargsNode = this.#python(section, 'kwargs', kwargs);
    if (!argsNode || !kwargsNode) return undefined;
    try {
      return found.plan(new CallArguments(found.parameters, argsNode, kwargsNode));
    } catch (error) {
      if (!(error instanceof ArgumentError)) throw error;
      const key = isWithin(kwargsNode, error.node) ? 'kwargs' : 'args';
      this.#addError(section, key, `${name}: ${error.message}`, error.hint, error.node.at);
      return undefined;
    }
  }

  #python(section: IniSection, key: string, written: string): PythonNode | undefined {
    try {
      return parsePython(written);
    } catch (error) {
      if (!(error instanceof PythonSyntaxError)) throw error;
      this.#addError(section, key, error.message, undefined, error.at);
      return undefined;
    }
  }

  #logger(
    section: IniSection,
    key: string,
    handlers: ReadonlyMap<string, PlannedHandler | undefined>,
  ): PlannedLogger | undefined {
    const isRoot = key === 'root';
    const settings = isRoot ? this.#settings(section, rootSettings) : this.#settings(section, loggerSettings);
    if (!settings) return undefined;
    const names = namesIn(settings.handlers);
    for (const name of names) {
      if (handlers.has(name)) continue;
      const at = this.#offsetOf(section, 'handlers', name);
      const message = `there is no handler "${name}" among the keys of [handlers]`;
      this.#addError(section, 'handlers', message, hintFor(name, handlers.keys()), at);
    }
    return {
      name: isRoot ? 'root' : (settings.qualname ?? key),
      level: LEVELS.get(settings.level ?? '') ?? (isRoot ? WARNING : NOTSET),
      propagate: isRoot || settings.propagate !== 0,
      handlers: names,
    };
  }

  /** The declared settings of a section; undefined if one is wrong, which is added to the errors. */
  #settings<S extends SettingsSchema>(section: IniSection, schema: S): SettingsOf<S> | undefined {
    const texts: Record<string, string> = Object.create(null);
    for (const name of Object.keys(schema.declarations)) {
      if (!this.#values.entry(section, name)) continue;
      texts[name] = RAW.has(name) ? this.#values.raw(section, name) : this.#values.get(section, name);
    }
    for (const key of section.entries.keys()) {
      if (Object.hasOwn(schema.declarations, key)) continue;
      // Python ignores unknown keys; one that looks like a misspelling gets a warning.
      const closest = nearest(key, Object.keys(schema.declarations));
      if (closest !== undefined)
        this.#warn(section, key, `[${section.name}] unknown setting "${key}" (did you mean "${closest}"?)`);
    }
    const result = schema['~standard'].validate(texts);
    if ('value' in result) return result.value as SettingsOf<S>;
    for (const { message, path, hint } of result.issues) this.#addError(section, path?.[0], message, hint);
    return undefined;
  }

  #addError(section: IniSection, key: string | undefined, message: string, hint?: string, offset = 0): void {
    const named = key === undefined || message.startsWith(`${key}:`) ? message : `${key}: ${message}`;
    const error = new ConfigError('PASTER_LOGGING', `[${section.name}] ${named}`, {
      location: this.#locationOf(section, key, offset),
      hint,
    });
    this.#errors.push(error);
  }

  #warn(section: IniSection, key: string | undefined, message: string): void {
    const location = key === undefined ? section.location : this.#locationOf(section, key, undefined);
    this.#warnings.push({ message, location });
  }

  /** The location of a character of a value, or of its key without `offset`. An interpolated value is located at its start. */
  #locationOf(section: IniSection, key: string | undefined, offset: number | undefined): Location {
    const entry = key === undefined ? undefined : this.#values.entry(section, key);
    if (!entry) return section.location;
    if (offset === undefined) return entry.location;
    const isAsWritten = RAW.has(key ?? '') || !entry.value.includes('%');
    return entry.locate(isAsWritten ? offset : 0);
  }

  /** The offset of a name in a list. */
  #offsetOf(section: IniSection, key: string, name: string): number {
    return Math.max(this.#values.get(section, key).indexOf(name), 0);
  }
}

type MakeFormatter = (format: string, dateFormat: string, style: Style) => Formatter;

const makeText: MakeFormatter = (format, dateFormat, style) => new TextFormatter(format, dateFormat, style);
const makeJson: MakeFormatter = (format, dateFormat, style) => new JsonFormatter(format, dateFormat, style);

const FORMATTERS: ReadonlyMap<string, MakeFormatter> = new Map([
  ['', makeText],
  ['logging.Formatter', makeText],
  ['paster.JSONFormatter', makeJson],
  // The names in Python's files for the same thing.
  ['pythonjsonlogger.jsonlogger.JsonFormatter', makeJson],
  ['pythonjsonlogger.json.JsonFormatter', makeJson],
]);

/** The names of a list such as `root, shop`. */
function namesIn(list: string): string[] {
  return list.trim() === '' ? [] : list.split(',').map((name) => name.trim());
}

function hintFor(name: string, candidates: Iterable<string>): string | undefined {
  const all = [...candidates];
  if (all.length === 0) return undefined;
  return didYouMean(all.find((each) => each.endsWith(`.${name}`)) ?? name, all);
}

function definedOnly<T>(found: ReadonlyMap<string, T | undefined>): Map<string, T> {
  return new Map([...found].flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const])));
}

/** Whether `node` is `outer` or part of it. */
function isWithin(outer: PythonNode, node: PythonNode): boolean {
  if (outer === node) return true;
  const { value } = outer;
  if (value.type === 'tuple' || value.type === 'list') return value.items.some((each) => isWithin(each, node));
  return value.type === 'dict' && value.entries.flat().some((each) => isWithin(each, node));
}
