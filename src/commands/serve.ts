/** `paster serve`: the server of an INI file with its application. */
import { LoadSession } from '../deploy/session.ts';
import { UsageError } from '../errors.ts';
import { type Logger, type LogLevel, lineLogger } from '../log.ts';
import { loadPlannedServer, planOf, type ServePlan } from '../serve/plan.ts';
import { serveSingle } from '../serve/single.ts';
import { serveSupervised } from '../serve/supervised.ts';
import { parseAssignments } from './assignments.ts';
import { type Command, type Console, flagOption, textOption } from './command.ts';

type Options = Readonly<Record<string, unknown>>;

export const serveCommand: Command = {
  name: 'serve',
  summary: 'serve the application that an INI file describes',
  args: [
    ['<app_spec>', 'an INI file, or a URI such as module:./server.js'],
    ['[name=value...]', 'global configuration; wins over [DEFAULT]'],
  ],
  options: [
    { flags: '-n, --app-name <name>', help: 'the application section (default: main)' },
    { flags: '--server-name <name>', help: 'the server section (default: main)' },
    { flags: '-s, --server <type>', help: 'a built-in server (http, fastcgi) in place of the INI file’s' },
    { flags: '--host <host>', help: 'listen on this address' },
    { flags: '-p, --port <port>', help: 'listen on this TCP port' },
    { flags: '--socket <path>', help: 'listen on this Unix socket' },
    { flags: '-w, --workers <n>', help: 'so many processes, or auto for one per core' },
    { flags: '--reload', help: 'restart when code or configuration changes' },
    { flags: '--reload-interval <seconds>', help: 'how long a burst of changes is waited out (default: 0.05)' },
    { flags: '-q, --quiet', help: 'only warnings and errors' },
    { flags: '-v, --verbose', help: 'say more, and show stack traces' },
  ],
  examples: [
    ['paster serve etc/develop.ini --reload', 'development'],
    ['paster serve etc/develop.ini http_port=8081', 'with another value for %(http_port)s'],
    ['paster serve etc/config.ini', 'production, as the INI file says'],
    ['paster serve module:./server.js -p 8000 -w 4', 'no INI file: a ready application in four processes'],
  ],
  run: serve,
};

async function serve(args: readonly string[], options: Options, console: Console): Promise<number> {
  const [spec = '', ...assignments] = args;
  const plan = planOf(spec, parseAssignments(assignments), process.cwd(), {
    appName: textOption(options, 'appName'),
    serverName: textOption(options, 'serverName'),
    serverType: textOption(options, 'server'),
    overrides: {
      host: textOption(options, 'host'),
      port: textOption(options, 'port'),
      socket: textOption(options, 'socket'),
      workers: textOption(options, 'workers'),
    },
  });
  const log = terminalLogger(options, console);
  const out = flagOption(options, 'quiet') ? () => {} : console.out;
  const reload = flagOption(options, 'reload');
  const debounce = reloadInterval(textOption(options, 'reloadInterval'));
  if (!reload && !(await wantsWorkers(plan))) return serveSingle(plan, out, log);
  return serveSupervised(plan, { reload: reload ? { debounce } : undefined, logLevel: logLevel(options) }, out, log);
}

/** Only the section knows; loading the server costs little, and the application is not touched. */
async function wantsWorkers(plan: ServePlan): Promise<boolean> {
  return (await loadPlannedServer(plan, new LoadSession(plan.globalConf))).workers !== undefined;
}

function reloadInterval(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const seconds = Number(text);
  if (Number.isFinite(seconds) && seconds >= 0) return seconds * 1000;
  throw new UsageError('PASTER_USAGE', `serve: --reload-interval: "${text}" is not a number of seconds`);
}

function logLevel(options: Options): LogLevel {
  return flagOption(options, 'quiet') ? 'warn' : flagOption(options, 'verbose') ? 'debug' : 'info';
}

function terminalLogger(options: Options, console: Console): Logger {
  return lineLogger(logLevel(options), (line, level) =>
    console.err(level === 'info' ? line : `paster: ${level}: ${line}`),
  );
}
