/** `paster serve`: the server of an INI file with its application. */
import { seconds } from '../config/settings/setting-types.ts';
import { errorMessage, UsageError } from '../errors.ts';
import type { LogLevel } from '../log.ts';
import { takeRole } from '../process/program/self-spawn.ts';
import { planOf } from '../serve/plan.ts';
import { runForeground } from '../serve/serve.ts';
import { type ServedSpec, servedSpec } from '../serve/served-program.ts';
import type { ServeRequest } from '../serve/service.ts';
import { timerMs } from '../timer.ts';
import { DOTENV, parseAssignments, readEnvFiles } from './command-line/arguments.ts';
import { type Command, type Console, flagOption, listOption, textOption } from './command-line/command.ts';

type Options = Readonly<Record<string, unknown>>;

export const serveCommand: Command = {
  name: 'serve',
  summary: 'serve the application that an INI file describes',
  args: [
    ['[app_spec]', 'an INI file, a program such as server.js, a directory, or a URI (default: the directory .)'],
    ['[start|stop|restart|status]', 'control a server in the background by its pid file'],
    ['[name=value...]', 'a global value; overrides [DEFAULT]'],
  ],
  options: [
    { flags: '-n, --app-name <name>', help: 'the application section (default: main)', completes: ['app'] },
    {
      flags: '--server-name <name>',
      help: 'the server section (default: serve of [paster], or main); several are served together',
      repeatable: true,
      completes: ['server'],
    },
    { flags: '-s, --server <type>', help: 'a built-in server, such as http, instead of the one in the INI file' },
    { flags: '--host <host>', help: 'listen on this address' },
    { flags: '-p, --port <port>', help: 'listen on this TCP port' },
    { flags: '--socket <path>', help: 'listen on this Unix socket' },
    {
      flags: '--only <names>',
      help: 'start only these: web (the server), or names of [process:...] sections, such as web,mailer',
      completes: ['web', 'process', 'task'],
    },
    {
      flags: '--without <names>',
      help: 'start everything but these',
      completes: ['web', 'process', 'task'],
    },
    {
      flags: '-w, --workers <n>',
      help: 'number of workers, or a range such as 1-8 (auto: as many as CPU and memory allow)',
    },
    { flags: '--graceful-timeout <seconds>', help: 'how long requests in flight may take at the end (default: 30)' },
    { flags: '--reload', help: 'restart when code or configuration changes' },
    {
      flags: '--reload-interval <seconds>',
      help: 'how long to wait for further changes (default: 0.01, for a single file 0.004), or between two polls where files are polled (default: 1)',
    },
    { flags: '--https', help: 'HTTPS and HTTP/2 with a local certificate, for development' },
    { flags: '--open', help: 'open the browser when the server is ready' },
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
    { flags: '--status', help: 'report whether the server of the pid file runs' },
    { flags: '--stop-daemon', help: 'stop the server of the pid file' },
    { flags: '--user <user>', help: 'become this user after opening the sockets, before loading the application' },
    { flags: '--group <group>', help: 'become this group' },
    {
      flags: '--inspect [address]',
      help: 'let a debugger attach to one process: --inspect=[HOST:]PORT (default: 127.0.0.1:9229)',
    },
    { flags: '--monitor-restart', help: 'start the server again when it dies' },
    { flags: '-q, --quiet', help: 'log only warnings and errors' },
    { flags: '-v, --verbose', help: 'log more, and show stack traces and error codes' },
  ],
  examples: [
    ['paster serve etc/develop.ini --reload', 'development: reload after every edit'],
    ['paster serve server.js', 'a program that listens by itself'],
    ['paster serve etc/develop.ini http_port=8081', 'with another value for %(http_port)s'],
    ['paster serve etc/config.ini', 'production'],
    ['paster serve etc/config.ini restart', 'start it in the background, after stopping the old one'],
    ['paster serve module:./server.js -p 8000 -w 4', 'an application without an INI file, with four workers'],
  ],
  run: serve,
};

const ACTIONS = ['start', 'stop', 'restart', 'status'] as const;
type Action = (typeof ACTIONS)[number];

async function serve(args: readonly string[], options: Options, console: Console): Promise<number> {
  const role = takeRole();
  const [first = '', ...others] = args;
  const hasSpec = first !== '' && !/^\w[\w.-]*=/.test(first);
  const [given, rest] = hasSpec ? [first, others] : [undefined, args];
  const word = ACTIONS.find((action) => action === rest[0]);
  const action = actionOf(word, options);
  const pidFile = textOption(options, 'pidFile');
  if (action === 'stop' || action === 'status') {
    const background = await import('../serve/background.ts');
    return background[action](pidFile, given, console);
  }
  const served = await servedSpec(given);
  if (served.note !== undefined && !role && !flagOption(options, 'quiet')) console.err(served.note);
  const request = { ...(await requestOf(served, word ? rest.slice(1) : rest, options, console)), ...role?.files };
  if (action !== undefined && request.reload) {
    throw usage('--daemon and --reload are mutually exclusive', 'to reload a server in the background, send it HUP');
  }
  // A process with a role was started by one of those in the background.
  if (action === undefined || role) return runForeground(request, role ?? {}, console);
  const background = await import('../serve/background.ts');
  return action === 'restart' ? background.restart(request, given, console) : background.start(request, console);
}

/** What to do in the background; undefined: serve in the foreground. */
function actionOf(word: Action | undefined, options: Options): Action | undefined {
  const actions = new Set<Action>();
  if (word) actions.add(word);
  if (flagOption(options, 'status')) actions.add('status');
  if (flagOption(options, 'stopDaemon')) actions.add('stop');
  const [first, second] = actions;
  if (second) throw usage(`${first} and ${second} are mutually exclusive`);
  return first ?? (flagOption(options, 'daemon') ? 'start' : undefined);
}

async function requestOf(
  served: ServedSpec,
  assignments: readonly string[],
  options: Options,
  console: Console,
): Promise<ServeRequest> {
  const envFiles = readEnvFiles(options);
  const { spec, directory } = served;
  return {
    plan: await planOf(spec, parseAssignments(assignments), directory, {
      appName: textOption(options, 'appName'),
      serverNames: listOption(options, 'serverName'),
      serverType: textOption(options, 'server'),
      overrides: {
        host: textOption(options, 'host') ?? served.overrides.host,
        port: textOption(options, 'port') ?? served.overrides.port,
        socket: textOption(options, 'socket'),
        workers: textOption(options, 'workers'),
        graceful_timeout: textOption(options, 'gracefulTimeout'),
        ssl_pem: await localCertificateOption(options, console),
      },
      selection: { only: namesOption(options, 'only'), without: namesOption(options, 'without') },
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

/** `web,mailer` */
function namesOption(options: Options, name: string): readonly string[] | undefined {
  const text = textOption(options, name);
  const names = text?.split(',').map((each) => each.trim());
  if (names?.includes('')) throw usage(`--${name}: it names no section`, 'for instance web,mailer');
  return names;
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

/** `--https`: a file with a certificate. The key is the caller's own: another user could not read it. */
async function localCertificateOption(options: Options, console: Console): Promise<string | undefined> {
  if (!flagOption(options, 'https')) return undefined;
  const other = ['user', 'group', 'socket'].find((name) => textOption(options, name) !== undefined);
  if (other !== undefined) {
    throw usage(
      `--https and --${other} are mutually exclusive`,
      '--https is for development: in production, set ssl_cert and ssl_key',
    );
  }
  const { localCertificate } = await import('../serve/local-https/local-certificate.ts');
  const { pem, authority, isNew } = localCertificate();
  if (isNew) {
    const { trustLines } = await import('../serve/local-https/trust.ts');
    for (const line of trustLines(authority)) console.err(line);
  }
  return pem;
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
