/** The tables of the status page. */
import { type Counts, requestsOf } from '../../../metrics/counts.ts';
import { quantile } from '../../../metrics/quantiles.ts';
import type {
  ProcessReport,
  ProcessStatus,
  Sample,
  ServerEvent,
  TaskStatus,
  WorkerSample,
  WorkerStatus,
} from '../../../metrics/server-status.ts';
import { countsText, duration, mebibytes, milliseconds } from '../../../metrics/status-lines.ts';
import { bar, type ChartPoint, sparkline } from './charts.ts';
import { type Cell, latency, numberCell, table, textCell } from './format.ts';

/** Seconds of event-loop lag that fill the bar. */
const FULL_LAG_S = 0.1;

export function workersTable(workers: readonly WorkerStatus[], history: readonly Sample[], now: number): string {
  const largest = Math.max(...workers.map(({ report }) => report?.memory.resident ?? 0), 1);
  const rows = workers.map((worker): Cell[] => {
    const { pid, report } = worker;
    const name = [numberCell(pid ?? '?'), stateCell(worker)];
    if (!report)
      return [
        ...name,
        textCell('–', 'none'),
        numberCell('–', 'none'),
        numberCell('–', 'none'),
        textCell('–', 'none'),
        textCell('–', 'none'),
      ];
    const points = (of: (sample: WorkerSample) => number): ChartPoint[] =>
      history.flatMap(({ at, workers: sampled }) =>
        sampled.filter((each) => each.pid === pid).map((each) => ({ at, value: of(each) })),
      );
    return [
      ...name,
      textCell(duration(report.uptime)),
      numberCell(requestsOf(report.counts)),
      numberCell(report.inFlightCount),
      lagCell(
        report,
        points((each) => each.lag),
        now,
      ),
      memoryCell(
        report,
        largest,
        points((each) => each.resident),
        now,
      ),
    ];
  });
  const headings = ['PID', 'State', 'Age', 'Requests', 'In flight', 'Event-loop lag', 'Memory'];
  return table(headings, rows, 'No worker runs.');
}

function stateCell({ state, silent }: WorkerStatus): Cell {
  if (silent !== undefined) return textCell(`does not respond; as it was ${silent.toFixed(1)} s ago`, 'bad');
  if (state === 'standby') return textCell('spare');
  return textCell(state, state === 'ready' ? 'good' : 'warn');
}

function lagCell({ lag }: ProcessReport, points: readonly ChartPoint[], now: number): Cell {
  const shown = `${milliseconds(lag.recent)} <small>at most ${milliseconds(lag.most)} in a minute</small>`;
  const label = `Event-loop lag in the last ten minutes, now ${milliseconds(lag.recent)}`;
  return { html: shown + bar(lag.recent / FULL_LAG_S) + sparkline(points, now, label) };
}

function memoryCell({ memory }: ProcessReport, largest: number, points: readonly ChartPoint[], now: number): Cell {
  const heap = `heap ${mebibytes(memory.heapUsed)} of ${mebibytes(memory.heapTotal)}`;
  const label = `Memory in the last ten minutes, now ${mebibytes(memory.resident)}`;
  const shown = `${mebibytes(memory.resident)} <small>${heap}</small>`;
  return { html: shown + bar(memory.resident / largest) + sparkline(points, now, label) };
}

/** Background processes. */
export function processesTable(processes: readonly ProcessStatus[]): string {
  const rows = processes.flatMap(({ name, isStopped, workers, restarts }): Cell[][] => {
    const restarted = numberCell(countsText(restarts) || '0');
    if (workers.length === 0)
      return [[textCell(name), numberCell('–'), textCell(isStopped ? 'stopped' : 'does not run', 'warn')]];
    return workers.map(({ pid, state, report }) => [
      textCell(name),
      numberCell(pid ?? '?'),
      textCell(state),
      numberCell(report ? duration(report.uptime) : '–'),
      numberCell(report ? mebibytes(report.memory.resident) : '–'),
      restarted,
    ]);
  });
  return table(['Process', 'PID', 'State', 'Up', 'Memory', 'Restarted'], rows, 'None.');
}

/** Tasks with their last and next runs. */
export function tasksTable(tasks: readonly TaskStatus[], now: number): string {
  const rows = tasks.map(({ name, schedule, next, running, last, runs }): Cell[] => [
    textCell(name),
    textCell(schedule),
    textCell(
      last ? `${last.result}${last.text === undefined ? '' : `: ${last.text}`}` : '–',
      last?.result === 'failed' ? 'bad' : '',
    ),
    numberCell(last ? `${last.seconds.toFixed(1)} s` : '–'),
    running === undefined
      ? numberCell(next === undefined ? '–' : `in ${duration(Math.max(0, next - now) / 1000)}`)
      : textCell(`runs in process ${running}`),
    numberCell(countsText(runs) || '0'),
  ]);
  return table(['Task', 'Schedule', 'Last run', 'Took', 'Next run', 'Runs'], rows, 'None.');
}

/** The requests in flight of all workers, the oldest first. */
export function inFlightTable(workers: readonly WorkerStatus[]): string {
  const named = workers.flatMap(({ pid, report }) => (report?.inFlight ?? []).map((request) => ({ ...request, pid })));
  const all = workers.reduce((sum, { report }) => sum + (report?.inFlightCount ?? 0), 0);
  const rows = named
    .sort((one, other) => other.seconds - one.seconds)
    .map(({ seconds, method, url, client, section, pid }) => [
      numberCell(`${seconds.toFixed(1)} s`, seconds >= 10 ? 'warn' : ''),
      textCell(method),
      textCell(url, 'url'),
      textCell(client ?? 'unknown'),
      textCell(section ?? ''),
      numberCell(pid ?? '?'),
    ]);
  const more = all > named.length ? `<p class="soft">and ${all - named.length} more</p>` : '';
  return table(['Age', 'Method', 'URL', 'Client', 'Section', 'PID'], rows, 'None.') + more;
}

const KINDS: Readonly<Record<ServerEvent['kind'], string>> = {
  max_requests: 'replaced: max_requests',
  max_memory: 'replaced: max_memory',
  log: 'replaced: log file',
  reload: 'reloaded',
  reload_failed: 'reload failed',
  control: 'replaced: paster control',
  stuck: 'killed: event loop blocked',
  crash: 'crashed',
  signal: 'stopped by a signal',
  finished: 'server ended',
};

const BAD: ReadonlySet<ServerEvent['kind']> = new Set(['reload_failed', 'stuck', 'crash']);

export function eventsTable(events: readonly ServerEvent[], now: number): string {
  const rows = events.map(({ at, kind, text: reason }) => [
    {
      html: `<time datetime="${new Date(at).toISOString()}">${duration(Math.max(0, now - at) / 1000)} ago</time>`,
      className: 'num',
    },
    textCell(KINDS[kind], BAD.has(kind) ? 'bad' : ''),
    textCell(reason),
  ]);
  return table(['When', 'What', 'Why'], rows, 'None since the start.');
}

/** Requests by the section of the INI file. */
export function sectionsTable({ sections }: Counts): string {
  const rows = sections.map(({ section, answers, aborted, durations, seconds }) => {
    const count = durations.reduce((sum, each) => sum + each, 0);
    const statuses = new Map<number, number>();
    for (const each of answers) statuses.set(each.status, (statuses.get(each.status) ?? 0) + each.count);
    const shown = [...statuses]
      .sort(([one], [other]) => one - other)
      .map(([status, times]) => `<span class="k${Math.floor(status / 100)}">${status}</span> × ${times}`);
    return [
      textCell(section === '' ? 'none: a filter in front responded' : section),
      numberCell(count),
      numberCell(latency(count === 0 ? undefined : seconds / count)),
      numberCell(latency(quantile(durations, 0.95))),
      { html: shown.map((each) => `<span class="soft">${each}</span>`).join(', ') },
      numberCell(aborted),
    ];
  });
  return table(['Section', 'Requests', 'Mean', '95 %', 'By status', 'Not finished'], rows, 'No requests yet.');
}
