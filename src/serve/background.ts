/** `serve` in the background: `start`, `stop`, `restart` and `status`. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { EXIT_FAILURE, EXIT_OK, UsageError } from '../errors.ts';
import { isExistingDirectory, realPath } from '../files/existing-path.ts';
import { printableLine } from '../printable.ts';
import { daemonStatus, type IsMeant, startDaemon, stopDaemon } from '../process/daemon/daemon.ts';
import { fileUser } from '../process/daemon/drop-privileges.ts';
import { LogFile } from '../process/daemon/logfile.ts';
import { fromWorkingDirectory, workingDirectory } from '../working-directory.ts';
import { specifiedFile } from './plan.ts';
import { prepare, type Terminal } from './serve.ts';
import type { PreparedServer, ServeRequest } from './service.ts';

/** Returns when the server accepts connections. @throws The reason if it fails. */
export async function start(request: ServeRequest, terminal: Terminal): Promise<number> {
  const pidFile = request.pidFile ?? defaultFile('paster.pid');
  const logFile = request.logFile ?? defaultFile('paster.log');
  // Errors in the configuration are found before there is a log file.
  refuseReload(await prepare({ ...request, pidFile, logFile }, 'daemon'));
  const log = new LogFile(fromWorkingDirectory(logFile), fileUser(request.ownership));
  const lines = await startDaemon(log, { pidFile, logFile });
  if (request.logLevel !== 'warn') for (const line of lines) terminal.out(line);
  return EXIT_OK;
}

/**
 * Stops the server of a pid file.
 * @param spec the INI file or URI that the command line names: a server of another file has the same pid file by default
 * @throws RunError when it is not running or does not end
 */
export async function stop(pidFile: string | undefined, spec: string | undefined, terminal: Terminal): Promise<number> {
  await stopDaemon(pidFilePath(pidFile), meantBy(pidFile, spec), (line) => terminal.out(printableLine(line)));
  return EXIT_OK;
}

/** Stops the server if it runs, and starts it. It keeps running if there is an error in the configuration. */
export async function restart(request: ServeRequest, spec: string | undefined, terminal: Terminal): Promise<number> {
  refuseReload(await prepare({ ...request, pidFile: undefined }, 'daemon'));
  const { pidFile } = request;
  // Beside a server of another file, the start fails.
  if (daemonStatus(pidFilePath(pidFile), meantBy(pidFile, spec)).running) await stop(pidFile, spec, terminal);
  return start(request, terminal);
}

/** Reports whether the server runs. `spec`: as for `stop`. */
export function status(pidFile: string | undefined, spec: string | undefined, terminal: Terminal): number {
  const { running, sentence } = daemonStatus(pidFilePath(pidFile), meantBy(pidFile, spec));
  terminal.out(printableLine(sentence));
  return running ? EXIT_OK : EXIT_FAILURE;
}

/** Which server a command means. A pid file that the command line names is that of the server, whatever that serves. */
function meantBy(pidFile: string | undefined, spec: string | undefined): IsMeant {
  const file = pidFile === undefined && spec !== undefined ? specifiedFile(spec, workingDirectory()) : undefined;
  if (file === undefined || isExistingDirectory(file)) return () => true;
  const meant = realPath(file);
  return (serves) => realPath(resolve(workingDirectory(), serves)) === meant;
}

function pidFilePath(pidFile: string | undefined): string {
  return fromWorkingDirectory(pidFile ?? defaultFile('paster.pid'));
}

/** A file that no option names: in `var/` of a project that has one, unless the server was started before it had. */
function defaultFile(name: 'paster.pid' | 'paster.log'): string {
  const isInVar = existsSync('var/paster.pid') || (existsSync('var') && !existsSync('paster.pid'));
  return isInVar ? join('var', name) : name;
}

function refuseReload({ request }: PreparedServer): void {
  if (!request.reload) return;
  throw new UsageError('PASTER_USAGE', 'serve: a server in the background does not reload: [DEFAULT] has autoreload', {
    hint: 'autoreload=false at the end of the command line; to reload a server in the background, send it HUP',
  });
}
