/** `serve` in this process: checks the request, and serves alone, with workers, or as the monitor of another process. */
import { debugFlags } from '../config/debug.ts';
import { protectRoot } from '../config/env-file.ts';
import type { LoadedServer } from '../deploy/load.ts';
import { guardLoading } from '../deploy/loading-step.ts';
import { WEB } from '../deploy/part-kinds.ts';
import { applyEnvironment } from '../deploy/server/environment.ts';
import type { NamedServers } from '../deploy/server/server-group.ts';
import { LoadSession } from '../deploy/session.ts';
import { paintFor } from '../diagnostics/paint.ts';
import { EXIT_FAILURE, formatError, PasterError, UsageError } from '../errors.ts';
import { programLogger } from '../log.ts';
import type { Address, Endpoint } from '../net/address.ts';
import { NOTIFY_DESCRIPTOR, systemdSockets } from '../net/inherited-sockets.ts';
import { checkUser, fileUser } from '../process/daemon/drop-privileges.ts';
import { LogFile } from '../process/daemon/logfile.ts';
import { checkPidFile } from '../process/daemon/pidfile.ts';
import { endWithMonitor, endWithScript } from '../process/program/end-with-parent.ts';
import { type Role, releaseParent, reportFailureToParent, reportToParent } from '../process/program/self-spawn.ts';
import { setTitle, titleOf } from '../process/program/title.ts';
import type { Inheritance } from '../process/upgrade/inheritance.ts';
import { LauncherPipe } from '../process/upgrade/launcher.ts';
import { Predecessor } from '../process/upgrade/predecessor.ts';
import { fromWorkingDirectory } from '../working-directory.ts';
import { openBrowser, servedName } from './announce.ts';
import { redirectedLogger, setUpLogging, terminalLogger } from './logging.ts';
import { loadPlannedServers } from './plan.ts';
import { loadServerWithoutSocket, servedParts } from './processes/served-parts.ts';
import { serveSingle } from './serve-single.ts';
import { type PreparedServer, pidFileContent, type ServeRequest, Service } from './service.ts';
import { isDevelopment, takesKeys } from './terminal/developer-output.ts';
import { fromHere } from './terminal/shown-text.ts';
import { OwnPidFile } from './upgrade/own-pid-file.ts';

export interface Terminal {
  out(line: string): void;
  err(line: string): void;
}

/** Serves until the end. @returns The exit status. */
export async function runForeground(
  request: ServeRequest,
  { name: role, inheritance }: Partial<Role>,
  terminal: Terminal,
): Promise<number> {
  // Before anything is spawned: systemd's descriptors and variables are for this process.
  const inherited = inheritance ? inheritedFrom(inheritance) : inheritedFromSystemd();
  if (role === undefined) endWithScript();
  let logFile: LogFile | undefined;
  const work = async (): Promise<number> => {
    const predecessor = inheritance && new Predecessor(inheritance);
    const prepared = await prepare(request, inheritance?.isMonitored ? 'monitored' : role);
    prepared.servers[0].server.oneShot?.prepare();
    if (request.logFile !== undefined) {
      logFile = new LogFile(fromWorkingDirectory(request.logFile), fileUser(request.ownership));
      logFile.capture();
    }
    return request.monitorRestart && role !== 'monitored' && !inheritance
      ? runMonitor(prepared, inherited.passed, logFile, terminal)
      : serve(prepared, { ...inherited, predecessor }, logFile, role, terminal);
  };
  try {
    return await guardLoading(work, terminal.err);
  } catch (error) {
    if (role) await reportFailureToParent(error);
    // The monitor reports the error.
    if (role === 'monitored') return error instanceof PasterError ? error.exitStatus : EXIT_FAILURE;
    if (role === undefined && logFile) {
      // The error is for the terminal, and for those who read the log later.
      logFile.write(`paster: ${error instanceof PasterError ? formatError(error) : String(error)}\n`);
      logFile.release();
    }
    throw error;
  }
}

/** What this process was started with. */
interface Inherited {
  /** The sockets of systemd. */
  readonly passed: readonly Address[];
  readonly notifyFd: number | undefined;
}

function inheritedFromSystemd(): Inherited {
  const inherited = systemdSockets();
  return {
    passed: inherited.flatMap(({ name, address }) => (name === NOTIFY_DESCRIPTOR ? [] : address)),
    notifyFd: inherited.find(({ name }) => name === NOTIFY_DESCRIPTOR)?.address.fd,
  };
}

function inheritedFrom({ passed, notifyFd }: Inheritance): Inherited {
  return { passed: passed.map((fd) => ({ kind: 'fd', fd })), notifyFd };
}

/** Checks everything that can be checked before anything is opened. */
export async function prepare(request: ServeRequest, role: Role['name'] | undefined): Promise<PreparedServer> {
  const { plan, pidFile, ownership } = request;
  checkUser(ownership.user, ownership.group);
  protectRoot();
  const session = new LoadSession(plan.globalConf);
  const asked = await servedParts(plan, session);
  if (!asked.web) refuseWithoutWeb(request);
  session.hasSupervisor = request.reload || asked.processes.length + asked.tasks.length > 0;
  const environment = asked.web
    ? await applyEnvironment({ ...plan, reload: request.reload }, session)
    : { files: [], variables: {}, preload: [] };
  const servers = await (asked.web ? loadPlannedServers(plan, session) : loadServerWithoutSocket(plan, session));
  const [{ server }] = servers;
  // The pid file of a monitored server is the monitor's.
  if (pidFile !== undefined && role !== 'monitored') {
    checkPidFile(fromWorkingDirectory(pidFile), role === 'successor' ? process.ppid : undefined);
  }
  const { workers, oneShot } = server;
  if (oneShot) refuseForOneRequest(request, workers, role);
  const reload = request.reload || (oneShot === undefined && debugFlags(server.context.globalConf).autoreload);
  // A web server that starts a CGI program waits for its end.
  const parts = oneShot ? { web: true, processes: [], tasks: [] } : asked;
  return { request: { ...request, reload }, servers, parts, session, environment };
}

/** @throws UsageError for options that concern a web server. */
function refuseWithoutWeb({ plan, open, inspect }: ServeRequest): void {
  const { appName, serverNames, serverUri, overrides, selection: { only, without } = {} } = plan;
  const { ssl_pem: isHttps, ...addresses } = overrides;
  const [asked] = Object.entries({
    'app-name': appName,
    'server-name': serverNames[0],
    server: serverUri.startsWith('config:') ? undefined : serverUri,
    ...addresses,
    https: isHttps,
    open: open || undefined,
    inspect,
  }).flatMap(([name, value]) => (value === undefined ? [] : `--${name.replace('_', '-')}`));
  if (asked === undefined) return;
  const option = without?.includes(WEB) ? '--without' : only && '--only';
  const reason = option === undefined ? 'the INI file has no [server:main]' : `${option} leaves the web server out`;
  throw new UsageError('PASTER_USAGE', `serve: ${asked} does not apply: ${reason}`, { hint: 'leave it out' });
}

/** @throws UsageError for options that make no sense for a process that serves one request. */
function refuseForOneRequest(
  { reload, monitorRestart, open, inspect }: ServeRequest,
  workers: number | undefined,
  role?: Role['name'],
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
  throw new UsageError('PASTER_USAGE', `serve: CGI serves one request and ends: ${asked[0]} does not apply`, {
    hint: 'leave it out',
  });
}

async function serve(
  prepared: PreparedServer,
  { passed, notifyFd, predecessor }: Inherited & { readonly predecessor: Predecessor | undefined },
  logFile: LogFile | undefined,
  role: Role['name'] | undefined,
  terminal: Terminal,
): Promise<number> {
  const { servers, parts, session, environment } = prepared;
  const [{ server }] = servers;
  const { inheritance } = predecessor ?? {};
  const isMonitored = role === 'monitored' || inheritance?.isMonitored === true;
  const request = isMonitored ? { ...prepared.request, pidFile: undefined } : prepared.request;
  const { plan, reload, logLevel, ownership, open } = request;
  const { workers, oneShot } = server;
  const logging = await setUpLogging(plan, session, ownership, predecessor === undefined);
  const terminalLog = terminalLogger(logLevel, terminal.err, paintFor(process.stderr));
  const log = redirectedLogger(logging?.log ?? terminalLog);
  const { SystemdNotify } =
    process.env['NOTIFY_SOCKET'] === undefined ? {} : await import('../process/daemon/notify.ts');
  // A CGI program would write these lines into the web server's log for every request.
  const isQuiet = logLevel === 'warn' || oneShot !== undefined;
  const service = new Service(
    { request, servers, parts, session, environment },
    {
      passed,
      out: isQuiet ? () => {} : terminal.out,
      log,
      terminalLog,
      logging,
      logFile,
      notify: SystemdNotify && new SystemdNotify(log, notifyFd),
      banner: process.stdout.isTTY && !oneShot ? await bannerFor(request, servers) : undefined,
      onListening: (endpoints) => {
        if (role === 'daemon') releaseParent();
        if (open && !predecessor) openBrowser(endpoints, log);
      },
      predecessor,
      place: {
        isDaemon: role === 'daemon' || inheritance?.isDaemon === true,
        isMonitored,
        launcher: inheritance?.launcherFd === undefined ? undefined : new LauncherPipe(inheritance.launcherFd),
      },
    },
  );
  if (role === 'monitored') endWithMonitor();
  const isAlone = !reload && workers === undefined && parts.processes.length + parts.tasks.length === 0;
  // A CGI program ends before anyone looks.
  if (!oneShot) setTitle(titleOf(isAlone ? 'server' : 'supervisor', servedName(plan)));
  if (isAlone) return serveSingle(service);
  // Loaded late: watching files alone takes as long as the rest of a start.
  if (!parts.web) return (await import('./processes/serve-processes.ts')).serveProcesses(service);
  const { serveWorkers } = await import('./serve-workers.ts');
  return serveWorkers(service);
}

async function bannerFor(
  request: ServeRequest,
  servers: NamedServers,
): Promise<(endpoints: readonly Endpoint[]) => readonly string[]> {
  // Loaded late: scripts do not need it.
  const { bannerLines, shownAddresses } = await import('./terminal/banner.ts');
  const { plan, reload } = request;
  const [{ server }, ...others] = servers;
  const isForDevelopment = isDevelopment(reload, server);
  const stop = takesKeys(request, server) ? 'press h + enter to show help' : 'press Ctrl-C to stop';
  const { file } = plan;
  const status = file && `paster status ${fromHere(file)} shows its processes`;
  const workers = workersText(server, reload);
  const facts = { plan, isDevelopment: isForDevelopment, reload, workers, hint: isForDevelopment ? stop : status };
  // --host is for a single server.
  const saysHow = isForDevelopment && others.length === 0;
  return (endpoints) => bannerLines(facts, shownAddresses(endpoints, saysHow), paintFor(process.stdout));
}

function workersText(server: LoadedServer, reload: boolean): string | undefined {
  const { scaling, workers, workersWithReload } = server;
  if (workers === undefined) return undefined;
  return reload ? String(workersWithReload) : scaling ? `${scaling.minimum}-${workers}` : String(workers);
}

async function runMonitor(
  { request, servers: [{ server }] }: PreparedServer,
  passed: readonly Address[],
  logFile: LogFile | undefined,
  terminal: Terminal,
): Promise<number> {
  if (passed.length > 0) {
    throw new UsageError('PASTER_USAGE', 'serve: --monitor-restart cannot hand on the sockets of systemd', {
      hint: 'leave it out: Restart=on-failure in the unit does the same',
    });
  }
  const { monitor } = await import('../process/daemon/monitor.ts');
  setTitle(titleOf('monitor', servedName(request.plan)));
  let isFirst = true;
  return monitor({
    files: { pidFile: request.pidFile, logFile: request.logFile },
    logFile,
    log: programLogger(request.logLevel, terminal.err),
    onListening(lines) {
      if (!isFirst) return;
      isFirst = false;
      new OwnPidFile(request.pidFile, pidFileContent(request.plan, server)).claim();
      void reportToParent({ paster: 'listening', pid: process.pid, lines }).then(releaseParent);
    },
  });
}
