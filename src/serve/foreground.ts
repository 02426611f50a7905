/** The process that answers for a server: prepares what surrounds it, and serves alone, with workers, or monitored. */
import { relative } from 'node:path';
import { debugFlags } from '../config/debug.ts';
import { LoadSession } from '../deploy/session.ts';
import { EXIT_FAILURE, formatError, PasterError, UsageError } from '../errors.ts';
import { type Logger, type LogLevel, lineLogger, programLogger } from '../log.ts';
import type { Address, TcpAddress } from '../net/address.ts';
import { systemdSockets } from '../net/systemd.ts';
import { LogFile } from '../process/logfile.ts';
import { endWithScript } from '../process/package-script.ts';
import { checkPidFile } from '../process/pidfile.ts';
import { letGo, type Role, report, reportFailure } from '../process/rerun.ts';
import { checkUser, fileUser } from '../process/user.ts';
import { fromWorkingDirectory, workingDirectory } from '../working-directory.ts';
import { Lifecycle } from './lifecycle.ts';
import type { Ownership } from './listeners.ts';
import { guardLoading } from './loading.ts';
import { setUpLogging } from './logging.ts';
import { loadPlannedServer, type Prepared, type ServePlan } from './plan.ts';
import { serveSingle } from './single.ts';

/** What the command line asks for. */
export interface ServeRequest {
  readonly plan: ServePlan;
  /** Reload on changes, whatever the configuration says. */
  readonly reload: boolean;
  /** Milliseconds of `--reload-interval`. */
  readonly reloadInterval: number | undefined;
  readonly logLevel: LogLevel;
  readonly pidFile: string | undefined;
  readonly logFile: string | undefined;
  readonly ownership: Ownership;
  readonly monitorRestart: boolean;
  readonly open: boolean;
  /** Where a debugger finds one of the processes. */
  readonly inspect: TcpAddress | undefined;
}

/** Where it writes. */
export interface Terminal {
  out(line: string): void;
  err(line: string): void;
}

/** Serves until the end. @returns The exit status. */
export async function runForeground(
  request: ServeRequest,
  role: Role | undefined,
  terminal: Terminal,
): Promise<number> {
  // Before anything is spawned: the descriptors and the variables are for this process.
  const passed = systemdSockets().map(({ address }) => address);
  if (role === undefined) endWithScript();
  let logFile: LogFile | undefined;
  const work = async (): Promise<number> => {
    const prepared = await prepare(request, role);
    prepared.server.oneShot?.prepare();
    if (request.logFile !== undefined) {
      logFile = new LogFile(fromWorkingDirectory(request.logFile), fileUser(request.ownership));
      logFile.capture();
    }
    const log = programLogger(request.logLevel, terminal.err);
    return request.monitorRestart && role !== 'monitored'
      ? await runMonitor(request, prepared.server.settings.graceful_timeout, passed, logFile, log, terminal)
      : await attend({ ...request, reload: prepared.reload }, prepared, passed, logFile, role, log, terminal);
  };
  try {
    return await guardLoading(work, terminal.err);
  } catch (error) {
    if (role) await reportFailure(error);
    // The monitor says it.
    if (role === 'monitored') return error instanceof PasterError ? error.exitStatus : EXIT_FAILURE;
    if (role === undefined && logFile) {
      // Whoever started it looks at the terminal, and whoever comes later at the log.
      logFile.write(`paster: ${error instanceof PasterError ? formatError(error) : String(error)}\n`);
      logFile.release();
    }
    throw error;
  }
}

/**
 * Everything that can be known to be wrong before anything is opened. `reload` is what the command line or `autoreload`
 * in [DEFAULT] asks for.
 */
export async function prepare(
  request: ServeRequest,
  role: Role | undefined,
): Promise<Prepared & { readonly reload: boolean }> {
  const { plan, pidFile, ownership } = request;
  checkUser(ownership.user, ownership.group);
  const session = new LoadSession(plan.globalConf);
  const server = await loadPlannedServer(plan, session);
  // For a monitored server it is the monitor's.
  if (pidFile !== undefined && role !== 'monitored') checkPidFile(fromWorkingDirectory(pidFile));
  const { workers, oneShot } = server;
  if (oneShot) refuseToKeep(request, workers, role);
  const reload = request.reload || (oneShot === undefined && debugFlags(server.context.globalConf).autoreload);
  return { server, session, reload };
}

/** @throws UsageError for what makes no sense with a process that serves one request. */
function refuseToKeep(
  { reload, monitorRestart, open, inspect }: ServeRequest,
  workers: number | undefined,
  role?: Role,
): void {
  const asked = [
    ['workers', workers !== undefined],
    ['--reload', reload],
    ['--monitor-restart', monitorRestart],
    ['--open', open],
    ['--inspect', inspect !== undefined],
    ['--daemon', role === 'daemon'],
  ].find(([, isAsked]) => isAsked);
  if (!asked) return;
  throw new UsageError('PASTER_USAGE', `serve: CGI serves one request and ends: ${asked[0]} has no meaning`, {
    hint: 'leave it out',
  });
}

async function attend(
  request: ServeRequest,
  prepared: Prepared,
  passed: readonly Address[],
  logFile: LogFile | undefined,
  role: Role | undefined,
  terminalLog: Logger,
  terminal: Terminal,
): Promise<number> {
  const { plan, reload, reloadInterval, logLevel, pidFile, ownership, inspect } = request;
  const logging = await setUpLogging(plan, prepared.session, ownership, true);
  const log = logging?.log ?? terminalLog;
  // What is not needed is not loaded: watching files alone costs as much as the rest of a start.
  const { openBrowser } = request.open ? await import('./browser.ts') : {};
  const { SystemdNotify } = process.env['NOTIFY_SOCKET'] === undefined ? {} : await import('../process/notify.ts');
  const { workers, oneShot } = prepared.server;
  // What a CGI program says, it says with every request, into the web server's log.
  const quiet = logLevel === 'warn' || oneShot !== undefined;
  const supervised = reload || workers !== undefined;
  const lifecycle = new Lifecycle({
    out: quiet ? () => {} : terminal.out,
    log,
    logging,
    logFile,
    pidFile: pidFile === undefined || role === 'monitored' ? undefined : fromWorkingDirectory(pidFile),
    notify: SystemdNotify && new SystemdNotify(log),
    title: process.stdout.isTTY && !oneShot ? titleOf(request, workers) : undefined,
    onListening: (scheme, addresses) => {
      if (role === 'daemon') letGo();
      openBrowser?.(scheme, addresses, log);
    },
  });
  if (role === 'monitored') stopWithMonitor();
  const common = { ownership, passed, inspect };
  if (supervised) {
    const { serveSupervised } = await import('./supervised.ts');
    return serveSupervised(
      plan,
      prepared,
      { reload: reload ? { interval: reloadInterval } : undefined, logLevel, ...common },
      lifecycle,
    );
  }
  return serveSingle(plan, prepared, common, lifecycle);
}

async function runMonitor(
  request: ServeRequest,
  graceful: number,
  passed: readonly Address[],
  logFile: LogFile | undefined,
  log: Logger,
  terminal: Terminal,
): Promise<number> {
  if (passed.length > 0) {
    throw new UsageError('PASTER_USAGE', 'serve: --monitor-restart cannot hand on the sockets of systemd', {
      hint: 'leave it out: Restart=on-failure in the unit does the same',
    });
  }
  const { monitor } = await import('../process/monitor.ts');
  const quiet = lineLogger('error', terminal.err);
  const { pidFile } = request;
  const lifecycle = new Lifecycle({
    out: () => {},
    log: quiet,
    logFile,
    pidFile: pidFile === undefined ? undefined : fromWorkingDirectory(pidFile),
    notify: undefined,
    title: undefined,
  });
  let isFirst = true;
  return monitor({
    logFile,
    log,
    onListening(lines) {
      if (!isFirst) return;
      isFirst = false;
      lifecycle.claim(graceful);
      void report({ paster: 'listening', pid: process.pid, lines }).then(letGo);
    },
  });
}

/** A server whose monitor was killed would be found by nobody. */
function stopWithMonitor(): void {
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
}

function titleOf({ plan, reload }: ServeRequest, workers: number | undefined): string[] {
  const processes = workers === undefined ? [] : [workers === 1 ? '1 worker' : `${workers} workers`];
  const mode = reload ? [...processes, 'reload'] : processes.length > 0 ? processes : ['one process'];
  const file = plan.file && relative(workingDirectory(), plan.file);
  return [mode.join(', '), file === undefined || file.startsWith('..') ? (plan.file ?? plan.appUri) : file];
}
