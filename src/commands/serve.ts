/** `paster serve`: the server of an INI file with its application. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { seconds } from '../config/setting.ts';
import { errorMessage, UsageError } from '../errors.ts';
import type { LogLevel } from '../log.ts';
import { takeRole } from '../process/rerun.ts';
import { runForeground, type ServeRequest } from '../serve/foreground.ts';
import { planOf } from '../serve/plan.ts';
import { timerMs } from '../timer.ts';
import { workingDirectory } from '../working-directory.ts';
import { parseAssignments } from './assignments.ts';
import { type Command, type Console, flagOption, textOption } from './command.ts';
import { DOTENV, readEnvFiles } from './env-file.ts';

type Options = Readonly<Record<string, unknown>>;

export const serveCommand: Command = {
  name: 'serve',
  summary: 'serve the application that an INI file describes',
  args: [
    ['[app_spec]', 'an INI file, or a URI such as module:./server.js'],
    ['[start|stop|restart|status]', 'a server in the background, by its pid file'],
    ['[name=value...]', 'global configuration; wins over [DEFAULT]'],
  ],
  options: [
    { flags: '-n, --app-name <name>', help: 'the application section (default: main)' },
    { flags: '--server-name <name>', help: 'the server section (default: main)' },
    { flags: '-s, --server <type>', help: 'a built-in server, such as http, in place of the INI file’s' },
    { flags: '--host <host>', help: 'listen on this address' },
    { flags: '-p, --port <port>', help: 'listen on this TCP port' },
    { flags: '--socket <path>', help: 'listen on this Unix socket' },
    { flags: '-w, --workers <n>', help: 'so many processes, or auto for one per core' },
    { flags: '--graceful-timeout <seconds>', help: 'how long it may take to finish its requests (default: 30)' },
    { flags: '--reload', help: 'restart when code or configuration changes' },
    {
      flags: '--reload-interval <seconds>',
      help: 'how long a burst is waited out (default: 0.01); where files are polled, how often (default: 1)',
    },
    { flags: '--open', help: 'open the browser when it is ready' },
    { flags: '--daemon', help: 'run in the background; returns when the server accepts connections' },
    DOTENV,
    {
      flags: '--pid-file <file>',
      help: 'write the process ID there (with --daemon: paster.pid, in var/ if there is one)',
    },
    {
      flags: '--log-file <file>',
      help: 'write there instead of to the terminal (with --daemon: paster.log, in var/ if there is one)',
    },
    { flags: '--status', help: 'say whether the server of the pid file runs' },
    { flags: '--stop-daemon', help: 'stop the server of the pid file' },
    { flags: '--user <user>', help: 'become this user when the sockets are open, before the application is loaded' },
    { flags: '--group <group>', help: 'become this group likewise' },
    { flags: '--inspect [address]', help: 'let a debugger into one process: --inspect=[HOST:]PORT (127.0.0.1:9229)' },
    { flags: '--monitor-restart', help: 'start the server again when it dies' },
    { flags: '-q, --quiet', help: 'only warnings and errors' },
    { flags: '-v, --verbose', help: 'say more, and show stack traces' },
  ],
  examples: [
    ['paster serve etc/develop.ini --reload', 'development'],
    ['paster serve etc/develop.ini http_port=8081', 'with another value for %(http_port)s'],
    ['paster serve etc/config.ini', 'production, as the INI file says'],
    ['paster serve etc/config.ini restart', 'the same in the background, once more'],
    ['paster serve module:./server.js -p 8000 -w 4', 'no INI file: a ready application in four processes'],
  ],
  run: serve,
};

const ACTIONS = ['start', 'stop', 'restart', 'status'] as const;
type Action = (typeof ACTIONS)[number];

/** Where a server in the background has the files that no option names: in `var/` of a project that has one. */
function defaultFile(name: 'paster.pid' | 'paster.log'): string {
  const isInVar = existsSync('var/paster.pid') || (existsSync('var') && !existsSync(STARTED_BEFORE_VAR));
  return isInVar ? join('var', name) : name;
}

const STARTED_BEFORE_VAR = 'paster.pid';

async function serve(args: readonly string[], options: Options, console: Console): Promise<number> {
  const role = takeRole();
  const [spec, ...rest] = args;
  const word = ACTIONS.find((action) => action === rest[0]);
  const action = actionOf(word, options);
  const pidFile = textOption(options, 'pidFile');
  if (action === 'stop' || action === 'status') {
    const background = await import('../serve/background.ts');
    return background[action](pidFile ?? defaultFile('paster.pid'), console);
  }
  if (spec === undefined) throw usage("missing required argument 'app_spec'");
  const request = await requestOf(spec, word ? rest.slice(1) : rest, options);
  if (action === undefined) return runForeground(request, role, console);
  if (request.reload) {
    throw usage('--daemon and --reload exclude each other', 'to reload a server in the background, send it HUP');
  }
  const logFile = request.logFile ?? defaultFile('paster.log');
  const inBackground = { ...request, pidFile: pidFile ?? defaultFile('paster.pid'), logFile };
  // This is the process that one of the two below has started.
  if (role) return runForeground(inBackground, role, console);
  const background = await import('../serve/background.ts');
  return background[action](inBackground, console);
}

/** What is asked for but to serve here and now. */
function actionOf(word: Action | undefined, options: Options): Action | undefined {
  const asked = new Set<Action>();
  if (word) asked.add(word);
  if (flagOption(options, 'status')) asked.add('status');
  if (flagOption(options, 'stopDaemon')) asked.add('stop');
  const [first, second] = asked;
  if (second) throw usage(`${first} and ${second} exclude each other`);
  return first ?? (flagOption(options, 'daemon') ? 'start' : undefined);
}

async function requestOf(spec: string, assignments: readonly string[], options: Options): Promise<ServeRequest> {
  const envFiles = readEnvFiles(options);
  return {
    plan: await planOf(spec, parseAssignments(assignments), workingDirectory(), {
      appName: textOption(options, 'appName'),
      serverName: textOption(options, 'serverName'),
      serverType: textOption(options, 'server'),
      overrides: {
        host: textOption(options, 'host'),
        port: textOption(options, 'port'),
        socket: textOption(options, 'socket'),
        workers: textOption(options, 'workers'),
        graceful_timeout: textOption(options, 'gracefulTimeout'),
      },
      envFiles,
    }),
    reload: flagOption(options, 'reload'),
    reloadInterval: reloadInterval(textOption(options, 'reloadInterval')),
    logLevel: logLevel(options),
    pidFile: textOption(options, 'pidFile'),
    logFile: textOption(options, 'logFile'),
    ownership: { user: textOption(options, 'user'), group: textOption(options, 'group') },
    monitorRestart: flagOption(options, 'monitorRestart'),
    open: flagOption(options, 'open'),
    inspect: await inspectOption(textOption(options, 'inspect')),
  };
}

function reloadInterval(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  try {
    return timerMs(seconds.parse(text));
  } catch (error) {
    throw new UsageError('PASTER_USAGE', `--reload-interval: ${errorMessage(error)}`, {
      hint: `allowed: ${seconds.allowed}`,
    });
  }
}

async function inspectOption(text: string | undefined): Promise<ServeRequest['inspect']> {
  return text === undefined ? undefined : (await import('../serve/inspector.ts')).inspectorAddress(text);
}

function logLevel(options: Options): LogLevel {
  return flagOption(options, 'quiet') ? 'warn' : flagOption(options, 'verbose') ? 'debug' : 'info';
}

function usage(message: string, hint?: string): UsageError {
  return new UsageError('PASTER_USAGE', `serve: ${message}`, { hint });
}
