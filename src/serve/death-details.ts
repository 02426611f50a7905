/** What is written down of a process that has died, behind how it ended: of what, where in the user's own code, what it held. */
import { placeInStack } from '../deploy/error-place.ts';
import { asError, formatLocation, PasterError, stackFrames } from '../errors.ts';
import type { ProcessReport } from '../metrics/server-status.ts';
import { requestLines } from '../metrics/status-lines.ts';
import { describe } from '../process/error-line.ts';
import { type Exit, WORKER_CRASHED } from '../process/exit-codes.ts';
import type { Deceased } from '../process/worker-handle.ts';
import { shownValue } from '../secrets.ts';

const FRAMES = 20;
/** What a worker said before that is too long ago to be what it held: where nobody counts, it may be hours. */
const STALE_MS = 3000;

/** The end of one line, and more lines. */
export function deathDetails(worker: Deceased, exit: Exit): string {
  const { failure, killedFor } = worker;
  const lines = failure ? causeOf(failure) : [suspicion(exit, killedFor)];
  return [...lines.map((line) => shownValue('error', line)), ...heldLines(worker)].join('\n');
}

/** The same of this process, while it dies of an error that nobody has caught. */
export function ownDeathDetails(thrown: unknown, lastWords: ProcessReport): string {
  const failure = asError(thrown);
  const itself = { failure, lastWords, report: undefined, reportAge: 0, killedFor: undefined };
  return deathDetails(itself, { code: WORKER_CRASHED, signal: null });
}

function heldLines({ lastWords, report, reportAge }: Deceased): string[] {
  const said = lastWords ?? (reportAge < STALE_MS ? report : undefined);
  const lines = said ? requestLines(said) : [];
  if (lines.length === 0) return [];
  const when = lastWords ? '' : `, ${(reportAge / 1000).toFixed(1)} s before`;
  return [`  it had these requests in flight${when}:`, ...lines.map((line) => `  ${line}`)];
}

function causeOf(failure: Error): string[] {
  if (failure instanceof PasterError) return [`: ${describe(failure)}`];
  const place = placeInStack(failure);
  const where = place ? `${formatLocation(place)}: ` : '';
  const frames = stackFrames(failure);
  const what = failure.name === 'Error' ? failure.message : `${failure.name}: ${failure.message}`;
  return [`: ${where}${what}`, ...frames.slice(0, FRAMES).map((frame) => `  ${frame.trim()}`)];
}

/** What the signals that nobody here has sent usually mean. */
function suspicion({ signal }: Exit, killedFor: string | undefined): string {
  if (killedFor !== undefined) return '';
  if (signal === 'SIGKILL') return ': somebody has killed it, the system perhaps, for want of memory';
  if (signal === 'SIGABRT') return ': Node has given up, for want of heap most of the time; what it said stands above';
  if (signal === 'SIGSEGV' || signal === 'SIGBUS') return ': native code of an add-on, or of Node';
  return '';
}
