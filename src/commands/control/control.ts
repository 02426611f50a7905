/** `paster control`: controls the running server of an INI file. */
import { didYouMean } from '../../config/nearest.ts';
import { EXIT_OK, UsageError } from '../../errors.ts';
import type { FollowedLine } from '../../logging/follow.ts';
import { DEBUG, ERROR, LEVELS, levelName, WARNING } from '../../logging/python/record.ts';
import { strftime } from '../../logging/python/strftime.ts';
import { inFlightLine } from '../../metrics/status-lines.ts';
import { printableLine } from '../../printable.ts';
import type { FoundServer } from '../../process/ipc/control-client.ts';
import type { BlockedWorker, ReloadOutcome, RequestsOutcome } from '../../process/supervisor/supervisor-control.ts';
import { iniPath } from '../command-line/arguments.ts';
import { type Command, type Console, flagOption, textOption } from '../command-line/command.ts';
import { heap, type InspectionOptions, profile, repl } from './inspections.ts';
import { oneServer, PID, pidOf, pidOption } from './servers.ts';
import { top } from './top.ts';

export const controlCommand: Command = {
  name: 'control',
  summary: 'control the running server of an INI file',
  args: [
    ['<config>', 'an INI file'],
    ['[reload|workers|replace|stop|start|logs|requests|top|profile|heap|repl]', 'the action'],
    [
      '[argument]',
      'for workers: +1, -1 or a number; for start and stop: the name of a process section; otherwise the PID of a worker or process',
    ],
  ],
  options: [
    PID,
    { flags: '-f, --follow', help: 'with logs: show new lines until you press Ctrl-C' },
    { flags: '--level <level>', help: 'the lowest level that logs shows (default: debug)' },
    { flags: '--seconds <seconds>', help: 'with profile: how long it takes (default: 10)' },
    {
      flags: '-o, --output <file>',
      help: 'with profile and heap: the file to write (default: a name with PID and time, here)',
    },
  ],
  completes: { after: ['stop', 'start'], names: ['process'] },
  examples: [
    [
      'paster control etc/config.ini reload',
      'like HUP, but returns when the new version serves, or says why it does not',
    ],
    ['paster control etc/config.ini workers +1', 'start one more worker; also -1, or a number'],
    ['paster control etc/config.ini replace 4711', 'start another worker, and then end this one'],
    ['paster control etc/config.ini stop', 'finish requests in flight, and end'],
    ['paster control etc/config.ini stop mailer', 'stop [process:mailer] until "start mailer"'],
    ['paster control etc/config.ini logs -f --level warning', 'what all its processes log and print, live'],
    [
      'paster control etc/config.ini requests',
      'the requests in flight, the oldest first, and where a blocked worker is',
    ],
    ['paster control etc/config.ini top', 'workers and requests at a terminal, live'],
    [
      'paster control etc/config.ini profile 4711',
      'a .cpuprofile of ten seconds, for the developer tools of a browser',
    ],
    ['paster control etc/config.ini heap 4711', 'a .heapsnapshot of all objects; the worker pauses meanwhile'],
    ['paster control etc/config.ini repl 4711', 'evaluate JavaScript in a worker'],
  ],
  run: control,
};

/** One of the actions of `control`: `reload`, `stop`. */
interface Action {
  /** The name of the argument, if it takes one. */
  readonly argument?: string;
  /** Whether the argument can be left out. */
  readonly isOptional?: true;
  /** The options that it takes, besides `--pid`. */
  readonly options?: readonly string[];
  run(server: FoundServer, argument: string, console: Console, options: InspectionOptions & LogOptions): Promise<void>;
}

const MAX_SECONDS = 600;
const A_PID = 'the PID of a worker';
const A_PROCESS = 'the name of a [process:...] section';

const ACTIONS: ReadonlyMap<string, Action> = new Map<string, Action>([
  ['reload', { run: reload }],
  ['workers', { argument: '+1, -1 or a number', run: workers }],
  ['replace', { argument: A_PID, run: replace }],
  ['stop', { argument: A_PROCESS, isOptional: true, run: stop }],
  ['start', { argument: A_PROCESS, run: start }],
  [
    'logs',
    { options: ['follow', 'level'], run: (server, _argument, console, options) => logs(server, console, options) },
  ],
  ['requests', { run: showRequests }],
  ['top', { run: (server, _argument, console) => top(server, console) }],
  [
    'profile',
    {
      argument: A_PID,
      options: ['seconds', 'output'],
      run: (server, argument, console, options) => profile(server, pidOf(argument), console, options),
    },
  ],
  [
    'heap',
    {
      argument: A_PID,
      options: ['output'],
      run: (server, argument, console, options) => heap(server, pidOf(argument), console, options),
    },
  ],
  ['repl', { argument: A_PID, run: (server, argument, console) => repl(server, pidOf(argument), console) }],
]);

async function control(
  args: readonly string[],
  options: Readonly<Record<string, unknown>>,
  console: Console,
): Promise<number> {
  const [config = '', name = '', argument] = args;
  const action = ACTIONS.get(name);
  if (!action) {
    throw new UsageError(
      'PASTER_USAGE',
      name === '' ? 'control: the action is missing' : `control: unknown action "${name}"`,
      { hint: didYouMean(name, ACTIONS.keys()) },
    );
  }
  if (action.argument === undefined && argument !== undefined) {
    throw new UsageError('PASTER_USAGE', `control: ${name} takes no argument, but got "${argument}"`);
  }
  if (action.argument !== undefined && !action.isOptional && argument === undefined) {
    throw new UsageError('PASTER_USAGE', `control: ${name} needs ${action.argument}`);
  }
  for (const option of ['seconds', 'output', 'follow', 'level']) {
    if (options[option] === undefined || action.options?.includes(option)) continue;
    throw new UsageError('PASTER_USAGE', `control: ${name} takes no --${option}`);
  }
  const given = {
    seconds: secondsOf(textOption(options, 'seconds')),
    output: textOption(options, 'output'),
    follow: flagOption(options, 'follow'),
    level: textOption(options, 'level'),
  };
  const server = await oneServer(iniPath(config), pidOption(options, 'control'));
  try {
    await action.run(server, argument ?? '', console, given);
  } finally {
    server.close();
  }
  return EXIT_OK;
}

async function reload(server: FoundServer, _argument: string, console: Console): Promise<void> {
  const outcome = await server.ask<ReloadOutcome>({ command: 'reload' });
  console.out(`reloaded: ${countOf(outcome.workers)} of the new version after ${outcome.seconds.toFixed(1)} s`);
}

async function workers(server: FoundServer, argument: string, console: Console): Promise<void> {
  if (!/^[+-]?\d{1,4}$/.test(argument)) {
    throw new UsageError('PASTER_USAGE', `control: workers: "${argument}" is not a number of workers`, {
      hint: 'allowed: +1, -1, 4',
    });
  }
  const isChange = /^[+-]/.test(argument);
  if (!isChange && Number(argument) === 0) {
    throw new UsageError('PASTER_USAGE', 'control: workers: a server has at least one', {
      hint: 'stop ends it; workers = 0-N in the INI file runs none while it is idle',
    });
  }
  const result = await server.ask<{ workers: number }>({ command: 'workers', count: Number(argument), isChange });
  console.out(countOf(result.workers));
}

async function replace(server: FoundServer, argument: string, console: Console): Promise<void> {
  const pid = pidOf(argument);
  const { pid: successor, isProcess } = await server.ask<{ pid?: number; isProcess?: boolean }>({
    command: 'replace',
    pid,
  });
  console.out(`${isProcess ? 'process' : 'worker'} ${pid} is replaced by ${successor}`);
}

async function start(server: FoundServer, process: string, console: Console): Promise<void> {
  await server.ask({ command: 'start', process });
  console.out(printableLine(`process ${process} runs`));
}

async function stop(server: FoundServer, process: string, console: Console): Promise<void> {
  if (process !== '') {
    await server.ask({ command: 'stop', process });
    return console.out(printableLine(`process ${process} is stopped`));
  }
  const { closed } = server;
  // The server does not respond to `stop`: it closes the connection when it ends.
  server.ask({ command: 'stop' }).catch(() => {});
  await closed;
  console.out(`Server in PID ${server.pid} stopped`);
}

async function showRequests(server: FoundServer, _argument: string, console: Console): Promise<void> {
  const lines = requestsText(await server.ask<RequestsOutcome>({ command: 'requests' }));
  console.out(lines.length === 0 ? 'no request in flight' : lines.join('\n'));
}

/** The duration of a profile. */
function secondsOf(text = '10'): number {
  const number = /^\d{1,4}(?:\.\d{1,3})?$/.test(text) ? Number(text) : 0;
  if (number > 0 && number <= MAX_SECONDS) return number;
  throw new UsageError('PASTER_USAGE', `control: --seconds: "${text}" is not a number of seconds`, {
    hint: `allowed: more than 0, up to ${MAX_SECONDS}`,
  });
}

function countOf(workers: number): string {
  return workers === 1 ? '1 worker' : `${workers} workers`;
}

// --- `paster control CONFIG logs -f`

interface LogOptions {
  readonly level: string | undefined;
  readonly follow: boolean;
}

/** Shows lines until the server ends, or this command is interrupted. */
async function logs(server: FoundServer, console: Console, { level, follow }: LogOptions): Promise<void> {
  if (!follow) {
    throw new UsageError('PASTER_USAGE', 'control: logs shows only what is logged from now on: write logs -f', {
      hint: 'earlier lines are where the handlers of the INI file, or --log-file, write them',
    });
  }
  const asked = server.ask({ command: 'logs', level: levelOf(level) }, (line: FollowedLine) => {
    for (const each of lineTexts(line, console)) console.out(each);
  });
  // A server that ends has sent all its lines.
  await Promise.race([asked, server.closed]).catch(() => {});
}

function levelOf(text = 'DEBUG'): number {
  const level = LEVELS.get(text.toUpperCase());
  if (level !== undefined) return Math.max(level, DEBUG);
  throw new UsageError('PASTER_USAGE', `control: --level: "${text}" is not a log level`, {
    hint: 'there are: debug, info, warning, error, critical',
  });
}

function lineTexts({ pid, time, level, from, text, lost = 0 }: FollowedLine, { screen }: Console): string[] {
  const milliseconds = String(Math.floor(time % 1000)).padStart(3, '0');
  const clock = `${strftime('%Y-%m-%d %H:%M:%S', new Date(time))},${milliseconds}`;
  const origin = 'logger' in from ? `${levelName(level)} ${from.logger}` : from.stream;
  const colour = level >= ERROR ? 'red' : level >= WARNING ? 'yellow' : undefined;
  const painted = screen && colour ? screen.paint(colour, origin) : origin;
  const [first = '', ...stack] = text.split('\n').map(printableLine);
  return [
    ...(lost > 0 ? [`${lost} lines are left out: they came faster than they could be shown`] : []),
    `${clock} ${pid} ${painted}: ${first}`,
    ...stack,
  ];
}

// --- `paster control CONFIG requests`

/** The requests of all workers, the oldest first, then the blocked workers. */
function requestsText({ status, blocked }: RequestsOutcome): string[] {
  const { workers, pid: server } = status;
  const known = new Map(blocked.map((each) => [each.pid, each]));
  const requests = workers.flatMap(({ pid = 0, report, silent = 0 }) => {
    // A worker that is blocked has not reported the request that blocks it.
    const current = known.get(pid)?.thread?.requests;
    const named = current ?? report?.inFlight.map((each) => ({ ...each, seconds: each.seconds + silent })) ?? [];
    return named.map((request) => ({ pid, request }));
  });
  const all = workers.reduce((sum, { report }) => sum + (report?.inFlightCount ?? 0), 0);
  const more = all - requests.length;
  return [
    ...requests
      .sort((one, other) => other.request.seconds - one.request.seconds)
      .map(({ pid, request }) => inFlightLine(request) + (pid === server ? '' : `, worker ${pid}`)),
    ...(more > 0 ? [`and ${more} more`] : []),
    ...blocked.flatMap(blockedLines),
  ].map(printableLine);
}

function blockedLines({ pid, thread, reason }: BlockedWorker): string[] {
  if (reason !== undefined) return [reason];
  if (!thread) return [`worker ${pid} waits for the system, in something like execSync: there is no stack to show`];
  return [`worker ${pid} is blocked here:`, ...thread.frames.map((frame) => `  ${frame}`)];
}
