/** The status of a server as lines for a log or a terminal. */
import { printableLine } from '../printable.ts';
import { certificatesOf, expiryText } from './certificates.ts';
import { refusedOf, requestsOf } from './counts.ts';
import type {
  ProcessReport,
  ProcessStatus,
  RequestReport,
  ScalingStatus,
  ServerAddress,
  ServerStatus,
  TaskStatus,
  WorkerStatus,
} from './server-status.ts';

const MIB = 1024 * 1024;

/**
 * A line for the server if it has workers, one for each process with its requests below it, then one for each address and each certificate.
 */
export function statusLines(status: ServerStatus): string[] {
  const { pid, workers } = status;
  const isAlone = workers.length === 1 && workers[0]?.pid === pid;
  return [
    ...(isAlone ? [] : [serverLine(status)]),
    ...workers.flatMap((worker) => workerLines(worker, isAlone)),
    ...(status.addresses ?? []).map(addressLine),
    ...(status.processes ?? []).flatMap(processLines),
    ...(status.tasks ?? []).map(taskLine),
    ...certificatesOf(status).map(({ name, expires }) =>
      printableLine(`certificate of ${name} ${expiryText(expires)}`),
    ),
  ];
}

/** `listens on http://127.0.0.1:8080 (server web)` */
export function addressLine({ server, url }: ServerAddress): string {
  return printableLine(`listens on ${url} (server ${server})`);
}

/** Of a background process, and a line for each of its instances. */
function processLines({ name, isStopped, workers, restarts }: ProcessStatus): string[] {
  const running = workers.filter(({ state }) => state === 'ready').length;
  const state = isStopped ? 'stopped' : running === 0 ? 'does not run' : `${running} running`;
  const restarted = countsText(restarts);
  return [
    printableLine(`process ${name}: ${state}${restarted && `, restarted: ${restarted}`}`),
    ...workers.filter(({ state }) => state !== 'standby' && state !== 'starting').map(instanceLine),
  ];
}

function instanceLine({ pid, state, report, silent }: WorkerStatus): string {
  const shown = state === 'ready' ? '' : `, ${state}`;
  if (!report) return `  process ${pid ?? '?'}${shown || `, ${state}`}`;
  const { uptime, memory, lag } = report;
  const late = silent === undefined ? '' : `, no response for ${silent.toFixed(1)} s`;
  return `  process ${pid ?? '?'}${shown}, up ${duration(uptime)}, ${mebibytes(memory.resident)} resident, loop lag ${milliseconds(lag.mean)}${late}`;
}

function taskLine({ name, next, running, last, runs }: TaskStatus): string {
  const parts = [
    // The process before an upgrade has counted its runs itself.
    countsText(runs) || (last ? '' : 'no run yet'),
    last ? `last ${last.result} after ${last.seconds.toFixed(1)} s at ${new Date(last.at).toISOString()}` : '',
    last?.text ?? '',
    running === undefined
      ? `next at ${next === undefined ? 'no time' : new Date(next).toISOString()}`
      : `runs now in process ${running}`,
  ];
  return printableLine(`task ${name}: ${parts.filter(Boolean).join(', ')}`);
}

/** `1 reload, 2 crash`: those that are not 0. */
export function countsText(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([reason, count]) => `${count} ${reason}`)
    .join(', ');
}

function serverLine(status: ServerStatus): string {
  const { pid, started, workers, scaling, totals, restarts, reloads, processes, tasks } = status;
  const up = duration((Date.now() - started) / 1000);
  // Without a web server there are no requests to count.
  if (workers.length === 0 && !scaling && (processes ?? tasks)) return `server ${pid}, up ${up}: no web server`;
  const inFlight = workers.reduce((sum, { report }) => sum + (report?.inFlightCount ?? 0), 0);
  const restarted = countsText(restarts);
  return [
    `server ${pid}, up ${up}: ${counted(requestsOf(totals), 'request')}`,
    `${inFlight} in flight`,
    ...(refusedOf(totals) > 0 ? [`${refusedOf(totals)} refused`] : []),
    ...(scaling ? [scalingText(scaling)] : []),
    restarted === '' ? 'no worker restarted' : `workers restarted: ${restarted}`,
    `${counted(reloads.done, 'reload')}, ${reloads.failed} failed`,
  ].join(', ');
}

/** `3 workers of 1-8` */
export function scalingText({ wanted, minimum, maximum, isFixed }: ScalingStatus): string {
  const count = wanted === 1 ? '1 worker' : `${wanted === 0 ? 'no' : wanted} workers`;
  return `${count} of ${minimum}-${maximum}${isFixed ? ' until the next reload' : ''}`;
}

function workerLines({ pid, state, report, silent }: WorkerStatus, isAlone: boolean): string[] {
  const name = `${isAlone ? 'process' : 'worker'} ${pid ?? '?'}`;
  if (!report) return [`${name}, ${state}`];
  const { uptime, counts, inFlight, inFlightCount, connections, memory, lag } = report;
  const lines = [
    [
      `${name}${state === 'ready' ? '' : `, ${state}`}, up ${duration(uptime)}: ${counted(requestsOf(counts), 'request')}`,
      `${inFlightCount} in flight`,
      ...(refusedOf(counts) > 0 ? [`${refusedOf(counts)} refused`] : []),
      ...(connections > 0 ? [connections === 1 ? '1 connection' : `${connections} connections`] : []),
      `${mebibytes(memory.resident)} resident`,
      `heap ${mebibytes(memory.heapUsed)} of ${mebibytes(memory.heapTotal)}`,
      `loop lag ${milliseconds(lag.mean)}, at most ${milliseconds(lag.most)}`,
    ].join(', '),
  ];
  if (silent !== undefined) lines.push(`  it does not respond: this is what it reported ${silent.toFixed(1)} s ago`);
  lines.push(...inFlightLines({ inFlight, inFlightCount }));
  return lines;
}

/** The requests in flight: a line for each that the report names, and one for the others. */
export function inFlightLines({
  inFlight,
  inFlightCount,
}: Pick<ProcessReport, 'inFlight' | 'inFlightCount'>): string[] {
  const more = inFlightCount - inFlight.length;
  return [...inFlight.map((request) => `  ${inFlightLine(request)}`), ...(more > 0 ? [`  and ${more} more`] : [])];
}

/** `GET /report?year=1999, for 24.1 s, from 10.0.0.7, [app:reports]` */
export function inFlightLine({ method, url, seconds, client, section }: RequestReport): string {
  const from = client === undefined ? '' : `, from ${client}`;
  return printableLine(
    `${method} ${url}, for ${seconds.toFixed(1)} s${from}${section === undefined ? '' : `, [${section}]`}`,
  );
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

const UNITS = [
  ['d', 86_400],
  ['h', 3600],
  ['min', 60],
  ['s', 1],
] as const;

/** `3 h 12 min`: the two largest units. */
export function duration(seconds: number): string {
  let left = Math.floor(seconds);
  const parts: string[] = [];
  for (const [unit, length] of UNITS) {
    const count = Math.floor(left / length);
    left -= count * length;
    if (count > 0 && parts.length < 2) parts.push(`${count} ${unit}`);
    else if (parts.length > 0) break;
  }
  return parts.join(' ') || '0 s';
}

export function mebibytes(bytes: number): string {
  return `${Math.round(bytes / MIB)} MiB`;
}

export function milliseconds(seconds: number): string {
  return `${(seconds * 1000).toFixed(1)} ms`;
}
