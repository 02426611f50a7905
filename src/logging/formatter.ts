/** From a record to its line: a format with Python's fields, or JSON. */
import { nearest } from '../config/nearest.ts';
import { printableJson } from '../printable.ts';
import { levelName } from './levels.ts';
import { likeLast } from './like-last.ts';
import {
  compileFormat,
  type FieldReader,
  FormatError,
  type LineFormat,
  MESSAGE_ALONE,
  type Style,
} from './line-format.ts';
import { CALLER_FIELDS, errorText, FIELDS, isPlain, type LogRecord } from './record.ts';
import { strftime } from './strftime.ts';

export interface Formatter {
  /** Whether it shows who logged. */
  readonly needsCaller: boolean;
  /** Without a line end; of a record with an error, several lines. */
  format(record: LogRecord): string;
}

/** Every name that a format may use. */
const FIELD_NAMES: readonly string[] = ['asctime', ...Object.keys(FIELDS)];

/** The fields that are what was logged. */
const MESSAGE: ReadonlySet<string> = new Set(['msg', 'message']);

/** As `compileFormat`, for records. */
function compileLine(format: string, style: Style, clock: Clock): LineFormat<LogRecord> {
  return compileFormat(format, style, (name, at) => fieldReader(name, at, clock), isOwn);
}

/** Whether a field is of one record; the others are the same for those of a millisecond, a level and a logger. */
function isOwn(name: string): boolean {
  return MESSAGE.has(name) || CALLER_FIELDS.has(name);
}

/** @throws FormatError for a field that no record has. */
function fieldReader(name: string, at: number, clock: Clock): FieldReader<LogRecord> {
  if (name === 'asctime') return ({ created }) => clock(created);
  const read = Object.hasOwn(FIELDS, name) ? FIELDS[name] : undefined;
  if (read) return read;
  const meant = nearest(name, FIELD_NAMES);
  const hint = meant === undefined ? `there are: ${FIELD_NAMES.join(', ')}` : `did you mean "${meant}"?`;
  throw new FormatError(`there is no field "${name}"`, at, hint);
}

/** A time, in milliseconds since 1970, as a text. */
type Clock = (time: number) => string;

/** `2003-07-08 16:49:45,896`, and with a `datefmt` what that says: no milliseconds then. */
function clockOf(dateFormat: string | undefined): Clock {
  const ofSecond = likeLast((second: number) => strftime(dateFormat ?? '%Y-%m-%d %H:%M:%S', new Date(second * 1000)));
  // Under load many records share a millisecond.
  return likeLast((time: number) => {
    const second = Math.floor(time / 1000);
    if (dateFormat !== undefined) return ofSecond(second);
    const milliseconds = time - second * 1000;
    return `${ofSecond(second)},${milliseconds < 100 ? '0' : ''}${milliseconds < 10 ? '0' : ''}${milliseconds}`;
  });
}

/** Python's `logging.Formatter`. */
export class TextFormatter implements Formatter {
  readonly needsCaller: boolean;
  readonly #line: LineFormat<LogRecord>;
  #last: LogRecord | undefined;
  /** Of the last record. */
  #head = '';

  /**
   * @param format default: the message alone
   * @param dateFormat for `strftime`; none or empty: `2003-07-08 16:49:45,896`
   * @throws FormatError
   */
  constructor(format: string | undefined, dateFormat: string | undefined, style: Style = '%') {
    this.#line = compileLine(format || MESSAGE_ALONE[style], style, clockOf(dateFormat || undefined));
    this.needsCaller = this.#line.fields.some((name) => CALLER_FIELDS.has(name));
  }

  format(record: LogRecord): string {
    if (!this.#last || !isOfSameMoment(record, this.#last)) this.#head = this.#line.head(record);
    this.#last = record;
    const line = this.#head + this.#line.tail(record);
    return record.error ? `${line}\n${errorText(record.error)}` : line;
  }
}

function isOfSameMoment(one: LogRecord, other: LogRecord): boolean {
  return one.created === other.created && one.level === other.level && one.logger === other.logger;
}

/** `paster.JSONFormatter`: an object on a line, for programs that collect logs. */
export class JsonFormatter implements Formatter {
  readonly needsCaller: boolean;
  readonly #fields: readonly (readonly [name: string, read: FieldReader<LogRecord>])[];

  /**
   * @param format names the fields that the object is to have, in any style; default: time, level, logger, process, message
   * @param dateFormat of `asctime`, if that is among them
   * @throws FormatError
   */
  constructor(format: string | undefined, dateFormat: string | undefined, style: Style = '%') {
    const clock = clockOf(dateFormat || undefined);
    const fields = format ? compileLine(format, style, clock).fields : [];
    // JSON has escapes of its own: who reads it gets what was logged.
    this.#fields = fields.map((name) => [name, MESSAGE.has(name) ? ({ text }) => text : fieldReader(name, 0, clock)]);
    this.needsCaller = fields.some((name) => CALLER_FIELDS.has(name));
  }

  format(record: LogRecord): string {
    const { created, level, logger, text, error } = record;
    const shown =
      this.#fields.length > 0
        ? Object.fromEntries(this.#fields.map(([name, read]) => [name, read(record)]))
        : {
            time: new Date(created).toISOString(),
            level: levelName(level),
            logger,
            process: process.pid,
            message: text,
          };
    const json = JSON.stringify(
      error ? { ...shown, error: { type: error.name, message: error.message, stack: errorText(error) } } : shown,
    );
    return isPlain(json) ? json : printableJson(json);
  }
}
