/** Where records go: streams, files and syslog, each with a level and a formatter of its own. */
import type { Formatter } from './formatter.ts';
import type { Level } from './levels.ts';
import type { LineFile } from './line-file.ts';
import type { Handler } from './logger.ts';
import type { LogRecord } from './record.ts';
import { priority, type SyslogClient } from './syslog.ts';

/** What every handler has. */
abstract class FormattingHandler implements Handler {
  readonly level: Level;
  readonly formatter: Formatter;

  constructor(level: Level, formatter: Formatter) {
    this.level = level;
    this.formatter = formatter;
  }

  get needsCaller(): boolean {
    return this.formatter.needsCaller;
  }

  abstract handle(record: LogRecord): void;
  flush(): void {}
  reopen(): void {}
  close(): void {}
}

/** `StreamHandler`: standard output or error, whatever these are when a line comes. */
export class StreamHandler extends FormattingHandler {
  readonly #stream: 'stdout' | 'stderr';

  constructor(level: Level, formatter: Formatter, stream: 'stdout' | 'stderr') {
    super(level, formatter);
    this.#stream = stream;
  }

  handle(record: LogRecord): void {
    process[this.#stream].write(`${this.formatter.format(record)}\n`);
  }
}

/** `FileHandler` and those that go over to another file now and then. */
export class FileHandler extends FormattingHandler {
  readonly #file: LineFile;

  constructor(level: Level, formatter: Formatter, file: LineFile) {
    super(level, formatter);
    this.#file = file;
  }

  handle(record: LogRecord): void {
    this.#file.add(this.formatter.format(record), record.created);
  }

  override flush(): void {
    this.#file.flush();
  }

  override reopen(): void {
    this.#file.flush();
    this.#file.reopen();
  }

  override close(): void {
    this.#file.close();
  }
}

/** `handlers.SysLogHandler`. */
export class SyslogHandler extends FormattingHandler {
  readonly #client: SyslogClient;
  readonly #facility: number;

  constructor(level: Level, formatter: Formatter, client: SyslogClient, facility: number) {
    super(level, formatter);
    this.#client = client;
    this.#facility = facility;
  }

  handle(record: LogRecord): void {
    this.#client.send(priority(this.#facility, record.level), this.formatter.format(record));
  }

  override close(): void {
    this.#client.close();
  }
}

/** `NullHandler`: swallows what would otherwise go to standard error. */
export class NullHandler extends FormattingHandler {
  handle(): void {}
}
