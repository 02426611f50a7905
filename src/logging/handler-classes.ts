/** The classes that `class = ` of a `[handler_*]` section may name, and what their arguments mean. */
import { statSync } from 'node:fs';
import { nearest } from '../config/nearest.ts';
import type { FileUser } from '../user-files.ts';
import { fromWorkingDirectory } from '../working-directory.ts';
import { ArgumentMistake, type CallArguments, kindOf } from './call-arguments.ts';
import type { Formatter } from './formatter.ts';
import { FileHandler, NullHandler, StreamHandler, SyslogHandler } from './handlers.ts';
import type { Level } from './levels.ts';
import { LineFile } from './line-file.ts';
import type { Handler } from './logger.ts';
import type { PythonNode } from './python-literal.ts';
import { type Rotation, rotate, SizeRotation, TimedRotation, WHENS } from './rotation.ts';
import { FACILITIES, SyslogClient } from './syslog.ts';

/** What a process may want otherwise than its neighbours. */
export interface OpenOptions {
  /** Whether `"w"` empties a file: of several processes, only the first may. */
  readonly truncate: boolean;
  /** The user that root serves as, and opens files for. */
  readonly user: FileUser | undefined;
}

/** A handler whose arguments are understood, and that is not open yet. */
export interface HandlerPlan {
  /** The file that it writes to, an absolute path, and where its name stands. */
  readonly file?: { readonly path: string; readonly node: PythonNode };
  /** @throws Error (a system error) where its file cannot be opened. */
  open(level: Level, formatter: Formatter, options: OpenOptions): Handler;
}

interface HandlerClass {
  readonly parameters: readonly string[];
  /** @throws ArgumentMistake */
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
      plan: (args) => planFile(args, () => FOLLOWING),
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

/** The class of a name as Python resolves it, `logging.` before it or not; or what to say of there being none. */
export function findHandlerClass(name: string): HandlerClass | { readonly hint: string } {
  const plain = name.replace(/^logging\./, '');
  const found = CLASSES.get(plain);
  if (found) return found;
  const names = [...CLASSES.keys()];
  const meant = names.find((each) => each.endsWith(`.${plain}`)) ?? nearest(plain, names);
  return { hint: meant === undefined ? `there are: ${names.join(', ')}` : `did you mean "${meant}"?` };
}

function planStream(args: CallArguments): HandlerPlan {
  const node = args.node('stream');
  const stream = node ? streamNamed(node) : 'stderr';
  return { open: (level, formatter) => new StreamHandler(level, formatter, stream) };
}

function streamNamed(node: PythonNode): 'stdout' | 'stderr' {
  const { value } = node;
  if (value.type === 'constant' && value.constant === null) return 'stderr';
  const name = value.type === 'name' ? value.name.name : undefined;
  if (name === 'sys.stdout' || name === 'sys.__stdout__') return 'stdout';
  if (name === 'sys.stderr' || name === 'sys.__stderr__') return 'stderr';
  throw new ArgumentMistake(`${kindOf(value)} is no stream`, node, 'there are: sys.stdout, sys.stderr');
}

/** Of a file that nobody puts aside but others: `handlers.WatchedFileHandler`. */
const FOLLOWING: Rotation = { isDue: () => false, room: () => Number.POSITIVE_INFINITY, putAside() {}, begun() {} };

/** @param rotation makes what puts the file aside; none: it stays open, whatever becomes of its name */
function planFile(args: CallArguments, rotation?: (path: string) => Rotation): HandlerPlan {
  checkEncoding(args);
  const path = fromWorkingDirectory(args.text('filename'));
  const mode = args.node('mode') === undefined ? 'a' : args.text('mode');
  const modeNode = args.node('mode');
  if (modeNode && !/^[awx]\+?t?$/.test(mode)) {
    throw new ArgumentMistake(
      `"${mode}" is no mode for a log file`,
      modeNode,
      'there are: "a" to append, "w" to begin anew',
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
        ...(follow ? { room: () => follow.room(file), beforeWrite: (length) => rotate(file, follow, length) } : {}),
      });
      return new FileHandler(level, formatter, file);
    },
  };
}

/** As Python: a file that is to be put aside when it is long is never emptied at the start. */
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
    throw new ArgumentMistake(`when is "${when}"`, node, `there are: ${WHENS.join(', ')}`);
  }
  const atTime = args.node('atTime');
  if (atTime && !(atTime.value.type === 'constant' && atTime.value.constant === null)) {
    throw new ArgumentMistake('atTime is not supported', atTime, 'leave it out, or write None');
  }
  const interval = args.whole('interval', 1);
  if (interval === 0) throw new ArgumentMistake('interval is 0', args.node('interval') as PythonNode);
  const keep = args.whole('backupCount', 0);
  const isUtc = args.flag('utc');
  return planFile(args, (path) => {
    const written = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    return new TimedRotation(when, interval, keep, isUtc, Math.floor(written / 1000));
  });
}

/** There is one encoding; the other names are said to be none of them. */
function checkEncoding(args: CallArguments): void {
  const node = args.node('encoding');
  const encoding = args.optionalText('encoding');
  if (node && encoding !== undefined && !/^utf[-_]?8$/i.test(encoding)) {
    throw new ArgumentMistake(`encoding is "${encoding}"`, node, 'log files are written in "utf-8"');
  }
}

const SYSLOG_PORT = 514;
/** Python's names within `logging.handlers`, as far as they are numbers. */
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
  throw new ArgumentMistake('socktype is no type of socket', node, 'socket.SOCK_DGRAM or socket.SOCK_STREAM');
}

function syslogAddress(node: PythonNode | undefined, isStream: boolean): ConstructorParameters<typeof SyslogClient>[0] {
  if (!node) return { host: 'localhost', port: SYSLOG_PORT, isStream };
  const { value } = node;
  if (value.type === 'text') return value.text;
  const [host, port, ...rest] = value.type === 'tuple' || value.type === 'list' ? value.items : [];
  const number = port && numberOf(port, PORTS);
  if (host?.value.type !== 'text' || number === undefined || rest.length > 0) {
    throw new ArgumentMistake('address is no address', node, 'write "/dev/log" or ("localhost", 514)');
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
  const meant = nearest(name ?? '', FACILITIES.keys());
  const hint = meant === undefined ? `there are: ${[...FACILITIES.keys()].join(', ')}` : `did you mean "${meant}"?`;
  throw new ArgumentMistake(`${name === undefined ? kindOf(value) : `"${name}"`} is no facility`, node, hint);
}
