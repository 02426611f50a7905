/** What is written down of a worker that has died, behind how it ended: of what, where in the user's own code, what it held. */
import { placeInStack } from '../deploy/error-place.ts';
import { formatLocation, PasterError } from '../errors.ts';
import type { ProcessReport } from '../metrics/server-status.ts';
import { requestLine } from '../metrics/status-lines.ts';
import { shownValue } from '../secrets.ts';
import { describe } from './error-line.ts';
import type { Exit } from './exit-codes.ts';

/** The worker, as far as its death is concerned. */
export interface Deceased {
  readonly failure: Error | undefined;
  readonly lastWords: ProcessReport | undefined;
  /** What it said before, and how many milliseconds ago. */
  readonly report: ProcessReport | undefined;
  readonly reportAge: number;
  readonly killedFor: string | undefined;
}

const FRAMES = 20;

/** The end of one line, and more lines. */
export function deathDetails(worker: Deceased, exit: Exit): string {
  const { failure, killedFor } = worker;
  const lines = failure ? causeOf(failure) : [suspicion(exit, killedFor)];
  return [...lines.map((line) => shownValue('error', line)), ...heldLines(worker)].join('\n');
}

function heldLines({ lastWords, report, reportAge }: Deceased): string[] {
  const { inFlight = [], inFlightCount = 0 } = lastWords ?? report ?? {};
  if (inFlightCount === 0) return [];
  const when = lastWords ? '' : `, ${(reportAge / 1000).toFixed(1)} s before`;
  const more = inFlightCount - inFlight.length;
  return [
    `it had these requests in hand${when}:`,
    ...inFlight.map((request) => `  ${requestLine(request)}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ];
}

function causeOf(failure: Error): string[] {
  if (failure instanceof PasterError) return [`: ${describe(failure)}`];
  const place = placeInStack(failure);
  const where = place ? `${formatLocation(place)}: ` : '';
  const frames = (failure.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
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
