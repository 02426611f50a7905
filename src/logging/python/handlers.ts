/**
 * Handlers write records to streams, files and syslog. `class = ` of a section `[handler_*]` names one of their classes,
 * `args` and `kwargs` its arguments.
 */

import { statSync } from 'node:fs';
import { didYouMean } from '../../config/nearest.ts';
import type { FileUser } from '../../files/user-files.ts';
import { fromWorkingDirectory } from '../../working-directory.ts';
import { type ConsoleStream, writeRecord } from '../output/console-output.ts';
import { LineFile } from '../output/line-file.ts';
import { type Rotation, rotateIfDue, SizeRotation, TimedRotation, WHENS } from '../output/rotation.ts';
import { FACILITIES, priority, SyslogClient } from '../output/syslog.ts';
import { ArgumentError, type CallArguments, kindOf } from './call-arguments.ts';
import type { Formatter } from './formatter.ts';
import type { Handler } from './logger.ts';
import type { PythonNode } from './python-literal.ts';
import type { Level, LogRecord } from './record.ts';

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

/** `StreamHandler`: writes to standard output or standard error, as they are when a line comes. */
class StreamHandler extends FormattingHandler {
  readonly isConsole = true;
  readonly #stream: ConsoleStream;

  constructor(level: Level, formatter: Formatter, stream: ConsoleStream) {
    super(level, formatter);
    this.#stream = stream;
  }

  handle(record: LogRecord): void {
    writeRecord(this.#stream, `${this.formatter.format(record)}\n`);
  }
}

/** `FileHandler`, and the classes that rotate the file. */
class FileHandler extends FormattingHandler {
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
class SyslogHandler extends FormattingHandler {
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

/** `NullHandler`: discards records that would otherwise go to standard error. */
class NullHandler extends FormattingHandler {
  handle(): void {}
}

// --- classes by name, and their arguments ----------------------------------------------------------------------------

/** Options that may differ between the processes of a server. */
export interface OpenOptions {
  /** Whether `"w"` empties a file, which only the first of several processes may do. */
  readonly truncate: boolean;
  /** The user that root serves as, for whom it opens files. */
  readonly user: FileUser | undefined;
}

/** A handler whose arguments have been read, but which is not open yet. */
export interface HandlerPlan {
  /** The file that it writes to, an absolute path, and where its name is written. */
  readonly file?: { readonly path: string; readonly node: PythonNode };
  /** @throws Error (a system error) if its file cannot be opened. */
  open(level: Level, formatter: Formatter, options: OpenOptions): Handler;
}

interface HandlerClass {
  readonly parameters: readonly string[];
  /** @throws ArgumentError */
  plan(args: CallArguments): HandlerPlan;
}

const FILE = ['filename', 'mode'];
const ENCODING = ['encoding', 'delay', 'errors'];

const CLASSES: ReadonlyMap<string, HandlerClass> = new Map(
  Object.entries({
    StreamHandler: { parameters: ['stream'], plan: planStream },
    FileHandler: { parameters: [...FILE, ...ENCODING], plan: (args) => planFile(args) },
    NullHandler: { parameters: [], plan: () => ({ open: (level, formatter) => new NullHandler(level, formatter) }) },
    'handlers.WatchedFileHandler': {
      parameters: [...FILE, ...ENCODING],
      plan: (args) => planFile(args, () => NO_ROTATION),
    },
    'handlers.RotatingFileHandler': {
      parameters: [...FILE, 'maxBytes', 'backupCount', ...ENCODING],
      plan: planRotating,
    },
    'handlers.TimedRotatingFileHandler': {
      parameters: ['filename', 'when', 'interval', 'backupCount', 'encoding', 'delay', 'utc', 'atTime', 'errors'],
      plan: planTimed,
    },
    'handlers.SysLogHandler': { parameters: ['address', 'facility', 'socktype'], plan: planSyslog },
  } satisfies Record<string, HandlerClass>),
);

/** The class of a name, with or without `logging.` in front as in Python; or a hint if there is none. */
export function findHandlerClass(name: string): HandlerClass | { readonly hint: string } {
  const plain = name.replace(/^logging\./, '');
  const found = CLASSES.get(plain);
  if (found) return found;
  const names = [...CLASSES.keys()];
  const qualified = names.find((each) => each.endsWith(`.${plain}`));
  return { hint: didYouMean(qualified ?? plain, names) };
}

function planStream(args: CallArguments): HandlerPlan {
  const node = args.node('stream');
  const stream = node ? streamNamed(node) : 'stderr';
  return { open: (level, formatter) => new StreamHandler(level, formatter, stream) };
}

function streamNamed(node: PythonNode): ConsoleStream {
  const { value } = node;
  if (value.type === 'constant' && value.constant === null) return 'stderr';
  const name = value.type === 'name' ? value.name.name : undefined;
  if (name === 'sys.stdout' || name === 'sys.__stdout__') return 'stdout';
  if (name === 'sys.stderr' || name === 'sys.__stderr__') return 'stderr';
  throw new ArgumentError(`${kindOf(value)} is not a stream`, node, 'there are: sys.stdout, sys.stderr');
}

/** `handlers.WatchedFileHandler`: only other programs rotate the file. */
const NO_ROTATION: Rotation = { isDue: () => false, room: () => Number.POSITIVE_INFINITY, rotate() {}, onNewFile() {} };

/** @param rotation decides when to rotate the file; without it the file stays open even if it is renamed */
function planFile(args: CallArguments, rotation?: (path: string) => Rotation): HandlerPlan {
  checkEncoding(args);
  const path = fromWorkingDirectory(args.text('filename'));
  const mode = args.node('mode') === undefined ? 'a' : args.text('mode');
  const modeNode = args.node('mode');
  if (modeNode && !/^[awx]\+?t?$/.test(mode)) {
    throw new ArgumentError(
      `"${mode}" is not a mode for a log file`,
      modeNode,
      'there are: "a" to append, "w" to overwrite',
    );
  }
  const delay = args.flag('delay');
  const node = args.node('filename');
  return {
    ...(node ? { file: { path, node } } : {}),
    open(level, formatter, { truncate, user }) {
      const follow = rotation?.(path);
      const file: LineFile = new LineFile(path, {
        delay,
        truncate: truncate && mode.startsWith('w'),
        user,
        ...(follow
          ? { room: () => follow.room(file), beforeWrite: (length) => rotateIfDue(file, follow, length) }
          : {}),
      });
      return new FileHandler(level, formatter, file);
    },
  };
}

/** As in Python, a file with a size limit is never emptied at the start. */
function planRotating(args: CallArguments): HandlerPlan {
  const limit = args.whole('maxBytes', 0);
  const keep = args.whole('backupCount', 0);
  const plan = planFile(args, () => new SizeRotation(limit, keep));
  return limit === 0
    ? plan
    : { ...plan, open: (level, formatter, options) => plan.open(level, formatter, { ...options, truncate: false }) };
}

function planTimed(args: CallArguments): HandlerPlan {
  const node = args.node('when');
  const when = node ? args.text('when') : 'h';
  if (node && !WHENS.some((each) => each.toUpperCase() === when.toUpperCase())) {
    throw new ArgumentError(`when is "${when}"`, node, `there are: ${WHENS.join(', ')}`);
  }
  const atTime = args.node('atTime');
  if (atTime && !(atTime.value.type === 'constant' && atTime.value.constant === null)) {
    throw new ArgumentError('atTime is not supported', atTime, 'leave it out, or write None');
  }
  const interval = args.whole('interval', 1);
  if (interval === 0) throw new ArgumentError('interval is 0', args.node('interval') as PythonNode);
  const keep = args.whole('backupCount', 0);
  const isUtc = args.flag('utc');
  return planFile(args, (path) => {
    const written = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    return new TimedRotation(when, interval, keep, isUtc, Math.floor(written / 1000));
  });
}

/** UTF-8 is the only encoding. */
function checkEncoding(args: CallArguments): void {
  const node = args.node('encoding');
  const encoding = args.optionalText('encoding');
  if (node && encoding !== undefined && !/^utf[-_]?8$/i.test(encoding)) {
    throw new ArgumentError(`encoding is "${encoding}"`, node, 'log files are written in "utf-8"');
  }
}

const SYSLOG_PORT = 514;
/** The names in Python's `logging.handlers` that mean a port. */
const PORTS: Readonly<Record<string, number>> = {
  'handlers.SYSLOG_UDP_PORT': SYSLOG_PORT,
  'handlers.SYSLOG_TCP_PORT': SYSLOG_PORT,
};

function planSyslog(args: CallArguments): HandlerPlan {
  const isStream = socketType(args.node('socktype')) === 'SOCK_STREAM';
  const address = syslogAddress(args.node('address'), isStream);
  const facility = facilityOf(args.node('facility'));
  return { open: (level, formatter) => new SyslogHandler(level, formatter, new SyslogClient(address), facility) };
}

function socketType(node: PythonNode | undefined): string {
  if (!node) return 'SOCK_DGRAM';
  const { value } = node;
  if (value.type === 'constant' && value.constant === null) return 'SOCK_DGRAM';
  const name = value.type === 'name' ? /(?:^|\.)(SOCK_DGRAM|SOCK_STREAM)$/.exec(value.name.name)?.[1] : undefined;
  if (name !== undefined) return name;
  throw new ArgumentError('socktype is not a type of socket', node, 'socket.SOCK_DGRAM or socket.SOCK_STREAM');
}

function syslogAddress(node: PythonNode | undefined, isStream: boolean): ConstructorParameters<typeof SyslogClient>[0] {
  if (!node) return { host: 'localhost', port: SYSLOG_PORT, isStream };
  const { value } = node;
  if (value.type === 'text') return value.text;
  const [host, port, ...rest] = value.type === 'tuple' || value.type === 'list' ? value.items : [];
  const number = port && numberOf(port, PORTS);
  if (host?.value.type !== 'text' || number === undefined || rest.length > 0) {
    throw new ArgumentError('address is not an address', node, 'write "/dev/log" or ("localhost", 514)');
  }
  return { host: host.value.text, port: number, isStream };
}

function numberOf(node: PythonNode, names: Readonly<Record<string, number>>): number | undefined {
  const { value } = node;
  if (value.type === 'number' && value.isWhole) return value.number;
  if (value.type !== 'name') return undefined;
  const name = value.name.name.replace(/^logging\./, '');
  return Object.hasOwn(names, name) ? names[name] : undefined;
}

/** A number, `"local0"`, or `handlers.SysLogHandler.LOG_LOCAL0`. */
function facilityOf(node: PythonNode | undefined): number {
  const USER = 1;
  if (!node) return USER;
  const { value } = node;
  if (value.type === 'number' && value.isWhole) return value.number;
  const name =
    value.type === 'text'
      ? value.text
      : value.type === 'name'
        ? /^(?:logging\.)?handlers\.SysLogHandler\.LOG_(\w+)$/.exec(value.name.name)?.[1]?.toLowerCase()
        : undefined;
  const facility = name === undefined ? undefined : FACILITIES.get(name);
  if (facility !== undefined) return facility;
  const hint = didYouMean(name ?? '', FACILITIES.keys());
  throw new ArgumentError(`${name === undefined ? kindOf(value) : `"${name}"`} is not a facility`, node, hint);
}
