/** Turns a record into a line: by a format with Python's fields, or as JSON. */
import { didYouMean } from '../../config/nearest.ts';
import { printableJson } from '../../printable.ts';
import { memoizeLast } from '../memoize-last.ts';
import {
  compileFormat,
  type FieldReader,
  FormatError,
  type LineFormat,
  MESSAGE_ALONE,
  type Style,
} from './line-format.ts';
import { CALLER_FIELDS, errorText, FIELDS, isPlain, type LogRecord, levelName } from './record.ts';
import { strftime } from './strftime.ts';

export interface Formatter {
  /** Whether the line shows the caller. */
  readonly needsCaller: boolean;
  /** The line without its end; several lines if the record has an error. */
  format(record: LogRecord): string;
}

/** The names that a format may use. */
const FIELD_NAMES: readonly string[] = ['asctime', ...Object.keys(FIELDS)];

/** The fields that hold the logged message. */
const MESSAGE: ReadonlySet<string> = new Set(['msg', 'message']);

function compileRecordFormat(format: string, style: Style, formatTime: TimeFormat): LineFormat<LogRecord> {
  return compileFormat(format, style, (name, at) => fieldReader(name, at, formatTime), isPerRecord);
}

/** Whether a field differs between records of the same millisecond, level and logger. */
function isPerRecord(name: string): boolean {
  return MESSAGE.has(name) || CALLER_FIELDS.has(name);
}

/** @throws FormatError for a field that no record has. */
function fieldReader(name: string, at: number, formatTime: TimeFormat): FieldReader<LogRecord> {
  if (name === 'asctime') return ({ created }) => formatTime(created);
  const read = Object.hasOwn(FIELDS, name) ? FIELDS[name] : undefined;
  if (read) return read;
  throw new FormatError(`there is no field "${name}"`, at, didYouMean(name, FIELD_NAMES));
}

/** Formats a time, which is in milliseconds since 1970. */
type TimeFormat = (time: number) => string;

/** `2003-07-08 16:49:45,896` by default; a `datefmt` has no milliseconds. */
function timeFormat(dateFormat: string | undefined): TimeFormat {
  const ofSecond = memoizeLast((second: number) =>
    strftime(dateFormat ?? '%Y-%m-%d %H:%M:%S', new Date(second * 1000)),
  );
  // Under load many records share a millisecond.
  return memoizeLast((time: number) => {
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
  /** The head of the last record's line. */
  #head = '';

  /**
   * @param format default: the message alone
   * @param dateFormat for `strftime`; none or empty: `2003-07-08 16:49:45,896`
   * @throws FormatError
   */
  constructor(format: string | undefined, dateFormat: string | undefined, style: Style = '%') {
    this.#line = compileRecordFormat(format || MESSAGE_ALONE[style], style, timeFormat(dateFormat || undefined));
    this.needsCaller = this.#line.fields.some((name) => CALLER_FIELDS.has(name));
  }

  format(record: LogRecord): string {
    if (!this.#last || !hasSameHead(record, this.#last)) this.#head = this.#line.head(record);
    this.#last = record;
    const line = this.#head + this.#line.tail(record);
    return record.error ? `${line}\n${errorText(record.error)}` : line;
  }
}

function hasSameHead(one: LogRecord, other: LogRecord): boolean {
  return one.created === other.created && one.level === other.level && one.logger === other.logger;
}

/** `paster.JSONFormatter`: a JSON object on each line, for programs that collect logs. */
export class JsonFormatter implements Formatter {
  readonly needsCaller: boolean;
  readonly #fields: readonly (readonly [name: string, read: FieldReader<LogRecord>])[];

  /**
   * @param format names the fields of the object, in any style; default: time, level, logger, process, message
   * @param dateFormat of the field `asctime`
   * @throws FormatError
   */
  constructor(format: string | undefined, dateFormat: string | undefined, style: Style = '%') {
    const formatTime = timeFormat(dateFormat || undefined);
    const fields = format ? compileRecordFormat(format, style, formatTime).fields : [];
    // The message is not escaped here, since JSON escapes it in its own way.
    this.#fields = fields.map((name) => [
      name,
      MESSAGE.has(name) ? ({ text }) => text : fieldReader(name, 0, formatTime),
    ]);
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
