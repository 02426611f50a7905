import { EXIT_FAILURE, EXIT_OK, printableLine, UsageError } from '../errors.ts';
import { daemonStatus, startDaemon, stopDaemon } from '../process/daemon.ts';
import { LogFile } from '../process/logfile.ts';
import { readPidFile } from '../process/pidfile.ts';
import { fileUser } from '../process/user.ts';
import { fromWorkingDirectory } from '../working-directory.ts';
import { prepare, type ServeRequest, type Terminal } from './foreground.ts';

/** A request whose pid file and log file are known. */
export type BackgroundRequest = ServeRequest & { readonly pidFile: string; readonly logFile: string };

/** Returns when the server accepts connections. @throws The reason if it fails. */
export async function start(request: BackgroundRequest, terminal: Terminal): Promise<number> {
  // What is wrong with the configuration is found before there is a log file.
  refuseReload(await prepare(request, 'daemon'));
  const logFile = new LogFile(fromWorkingDirectory(request.logFile), fileUser(request.ownership));
  const lines = await startDaemon(logFile);
  if (request.logLevel !== 'warn') for (const line of lines) terminal.out(line);
  return EXIT_OK;
}

/** @throws RunError when none is running or it does not end. */
export async function stop(pidFile: string, terminal: Terminal): Promise<number> {
  await stopDaemon(fromWorkingDirectory(pidFile), (line) => terminal.out(printableLine(line)));
  return EXIT_OK;
}

/** Stops the server if it runs, and starts it. A configuration with a mistake in it leaves it running. */
export async function restart(request: BackgroundRequest, terminal: Terminal): Promise<number> {
  refuseReload(await prepare({ ...request, pidFile: undefined }, 'daemon'));
  if (readPidFile(fromWorkingDirectory(request.pidFile)).state === 'running') await stop(request.pidFile, terminal);
  return start(request, terminal);
}

export function status(pidFile: string, terminal: Terminal): number {
  const { running, sentence } = daemonStatus(fromWorkingDirectory(pidFile));
  terminal.out(printableLine(sentence));
  return running ? EXIT_OK : EXIT_FAILURE;
}

function refuseReload({ reload }: { readonly reload: boolean }): void {
  if (!reload) return;
  throw new UsageError('PASTER_USAGE', 'serve: a server in the background does not reload: [DEFAULT] has autoreload', {
    hint: 'autoreload=false at the end of the command line; to reload a server in the background, send it HUP',
  });
}
