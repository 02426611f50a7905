/** Details for the log line that reports a dead process: the error, its place in the user's own code, and the requests in flight. */
import { placeInStack } from '../deploy/modules/error-place.ts';
import { asError, describeError, formatLocation, PasterError, stackFrames } from '../errors.ts';
import type { ProcessReport } from '../metrics/server-status.ts';
import { inFlightLines } from '../metrics/status-lines.ts';
import { type Exit, WORKER_CRASHED } from '../process/ipc/child-exit.ts';
import type { DeadWorker } from '../process/supervisor/worker-handle.ts';
import { shownValue } from '../secrets.ts';

const FRAMES = 20;
/** An older report does not say what was in flight at the end: without counting it may be hours old. */
const STALE_MS = 3000;

/**
 * @param isErrorShown whether its error is shown in another way, and left out here
 * @returns The end of the line, and further lines.
 */
export function deathDetails(worker: DeadWorker, exit: Exit, isErrorShown: boolean = false): string {
  const { failure, killedFor } = worker;
  const cause = failure ? (isErrorShown ? '' : `: ${failureDetails(failure)}`) : likelyCause(exit, killedFor);
  return [cause, ...inflightLines(worker)].join('\n');
}

/** The same for this process, while it dies of an uncaught error. */
export function ownDeathDetails(thrown: unknown, lastReport: ProcessReport, isErrorShown: boolean): string {
  const failure = asError(thrown);
  const itself = { failure, lastReport, report: undefined, reportAge: 0, killedFor: undefined };
  return deathDetails(itself, { code: WORKER_CRASHED, signal: null }, isErrorShown);
}

function inflightLines({ lastReport, report, reportAge }: DeadWorker): string[] {
  const known = lastReport ?? (reportAge < STALE_MS ? report : undefined);
  const lines = known ? inFlightLines(known) : [];
  if (lines.length === 0) return [];
  const when = lastReport ? '' : `, ${(reportAge / 1000).toFixed(1)} s before`;
  return [`  it had these requests in flight${when}:`, ...lines.map((line) => `  ${line}`)];
}

/** An error that nothing caught, for a log: its place in the user's own code, what it says, and in further lines its stack. */
export function failureDetails(failure: Error): string {
  return errorLines(failure)
    .map((line) => shownValue('error', line))
    .join('\n');
}

function errorLines(failure: Error): string[] {
  if (failure instanceof PasterError) return [describeError(failure)];
  const place = placeInStack(failure);
  const where = place ? `${formatLocation(place)}: ` : '';
  const frames = stackFrames(failure);
  const what = failure.name === 'Error' ? failure.message : `${failure.name}: ${failure.message}`;
  return [`${where}${what}`, ...frames.slice(0, FRAMES).map((frame) => `  ${frame.trim()}`)];
}

/** What a signal that the supervisor has not sent usually means. */
function likelyCause({ signal }: Exit, killedFor: string | undefined): string {
  if (killedFor !== undefined) return '';
  if (signal === 'SIGKILL') return ': it was killed, perhaps by the system when memory ran out';
  if (signal === 'SIGABRT') return ': Node aborted, usually because the heap was full; its output is above';
  if (signal === 'SIGSEGV' || signal === 'SIGBUS') return ': native code of an add-on, or of Node';
  return '';
}
