/**
 * A server in the background, seen from the command that starts it, stops it or shows its status. Before each signal the
 * identity of the process in the pid file is checked again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { errorCode, RunError } from '../../errors.ts';
import { describeExit } from '../ipc/child-exit.ts';
import { unpackError } from '../ipc/error-transfer.ts';
import { onReport, type Report, type ServerFiles, spawnSelf } from '../program/self-spawn.ts';
import { arrivingSignals } from '../program/signals.ts';
import type { LogFile } from './logfile.ts';
import { describeServer, readPidFile, removeStalePidFile, stillRuns } from './pidfile.ts';

/**
 * Starts this command again in the background and waits until it accepts connections.
 * @returns The lines for the terminal.
 * @throws The daemon's own reason if it fails; RunError if it ends without one, or when this process is interrupted.
 */
export async function startDaemon(logFile: LogFile, files: ServerFiles): Promise<readonly string[]> {
  const logStart = logFile.size;
  const child = spawnSelf({ name: 'daemon', files }, { output: logFile.fd, detached: true });
  const reported = new Promise<Report>((resolve) => onReport(child, resolve));
  const exited = new Promise<RunError>((resolve) => {
    child.once('error', (cause) => resolve(died(`does not start: ${cause.message}`, '')));
    // The channel may still hold the reason when the process is gone.
    child.once('exit', (code, signal) => {
      const how = `ended ${describeExit({ code, signal })} before it listened`;
      setTimeout(() => resolve(died(how, lastLines(logFile.textSince(logStart)))), 100);
    });
  });
  const interrupted = arrivingSignals(['SIGINT', 'SIGTERM', 'SIGHUP']);
  const outcome = await Promise.race([reported, exited, interrupted.next().then(() => 'interrupted' as const)]);
  if (outcome === 'interrupted') {
    // Otherwise a server would start that the user does not know of.
    child.kill('SIGINT');
    await Promise.race([exited, sleep(MARGIN_MS)]);
    child.kill('SIGKILL');
    throw new RunError('PASTER_DAEMON', 'interrupted before the server listened; it is not started');
  }
  if (outcome instanceof Error) throw outcome;
  if (outcome.paster === 'failed') {
    await exited;
    throw unpackError(outcome.error);
  }
  child.disconnect();
  child.unref();
  return outcome.lines;
}

function died(how: string, log: string): RunError {
  return new RunError('PASTER_DAEMON', `the server in the background ${how}${log === '' ? '' : `; it wrote:\n${log}`}`);
}

const SHOWN_LINES = 10;

function lastLines(text: string): string {
  return text.trimEnd().split('\n').slice(-SHOWN_LINES).join('\n');
}

/** Whether a command is about the server with this `serves` of PidFileContent. */
export type IsMeant = (serves: string) => boolean;

/** What a pid file says about the server that a command means, as a sentence. */
export function daemonStatus(
  pidFile: string,
  isMeant: IsMeant,
): { readonly running: boolean; readonly sentence: string } {
  const found = readPidFile(pidFile);
  switch (found.state) {
    case 'running':
      if (found.serves !== undefined && !isMeant(found.serves)) {
        const sentence = `Server not running: ${pidFile} names ${describeServer(found)} (name another with --pid-file)`;
        return { running: false, sentence };
      }
      return { running: true, sentence: `Server running in PID ${found.pid}` };
    case 'absent':
      return {
        running: false,
        sentence: `Server not running: there is no pid file ${pidFile} (name another with --pid-file)`,
      };
    case 'stale':
      return { running: false, sentence: `Server not running: ${pidFile} names ${processName(found.pid)}` };
  }
}

function processName(pid: number | undefined): string {
  return pid === undefined ? 'no process' : `process ${pid}, which is no longer a paster server`;
}

/** How long to wait beyond the server's own limit. */
const MARGIN_MS = 3000;
const POLL_MS = 50;
const ORPHANS_MS = 2000;

/** The signals to try in order, and how long to wait after each. */
function stopSignals(graceful: number): readonly (readonly [NodeJS.Signals, number])[] {
  return [
    ['SIGTERM', graceful * 1000 + MARGIN_MS],
    ['SIGINT', MARGIN_MS],
    ['SIGKILL', MARGIN_MS],
  ];
}

/**
 * Stops the server of a pid file: gracefully, then at once, then by force. Resolves when the process is gone.
 * @throws RunError when it is not running, when there is no permission to signal it, or when it does not end.
 */
export async function stopDaemon(pidFile: string, isMeant: IsMeant, write: (line: string) => void): Promise<void> {
  const found = readPidFile(pidFile);
  const { running, sentence } = daemonStatus(pidFile, isMeant);
  if (found.state !== 'running' || !running) {
    removeStalePidFile(pidFile);
    throw new RunError('PASTER_NOT_RUNNING', sentence);
  }
  const { pid } = found;
  for (const [signal, limit] of stopSignals(found.graceful)) {
    if (!stillRuns(found)) break;
    if (signal !== 'SIGTERM') write(`process ${pid} has not ended: sending ${signal}`);
    try {
      process.kill(pid, signal);
    } catch (cause) {
      if (errorCode(cause) === 'ESRCH') break;
      throw new RunError('PASTER_STOP', `no permission to stop process ${pid}`, {
        hint: 'it belongs to another user',
        cause,
      });
    }
    const end = performance.now() + limit;
    while (stillRuns(found) && performance.now() < end) await sleep(POLL_MS);
    // The workers hold the sockets until they notice that their supervisor is gone.
    if (signal === 'SIGKILL') await sleep(ORPHANS_MS);
  }
  if (stillRuns(found)) throw new RunError('PASTER_STOP', `process ${pid} does not end`);
  // A killed server cannot remove its pid file.
  removeStalePidFile(pidFile);
  write(`Server in PID ${pid} stopped`);
}
