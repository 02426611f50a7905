/** `serve` in the background: `start`, `stop`, `restart` and `status`. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { EXIT_FAILURE, EXIT_OK, printableLine, UsageError } from '../errors.ts';
import { daemonStatus, startDaemon, stopDaemon } from '../process/daemon/daemon.ts';
import { fileUser } from '../process/daemon/drop-privileges.ts';
import { LogFile } from '../process/daemon/logfile.ts';
import { readPidFile } from '../process/daemon/pidfile.ts';
import { fromWorkingDirectory } from '../working-directory.ts';
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

/** @throws RunError when none is running or it does not end. */
export async function stop(pidFile: string | undefined, terminal: Terminal): Promise<number> {
  await stopDaemon(pidFilePath(pidFile), (line) => terminal.out(printableLine(line)));
  return EXIT_OK;
}

/** Stops the server if it runs, and starts it. It keeps running if there is an error in the configuration. */
export async function restart(request: ServeRequest, terminal: Terminal): Promise<number> {
  refuseReload(await prepare({ ...request, pidFile: undefined }, 'daemon'));
  const { pidFile } = request;
  if (readPidFile(pidFilePath(pidFile)).state === 'running') await stop(pidFile, terminal);
  return start(request, terminal);
}

export function status(pidFile: string | undefined, terminal: Terminal): number {
  const { running, sentence } = daemonStatus(pidFilePath(pidFile));
  terminal.out(printableLine(sentence));
  return running ? EXIT_OK : EXIT_FAILURE;
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
