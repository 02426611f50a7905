/** How a server is, as a page for people: the whole, then each process with the requests that it has in hand. */
import { escapeHtml, htmlPage } from '../../http/html.ts';
import { type Counts, requestsOf } from '../../metrics/counts.ts';
import type { RequestInFlight, ServerStatus, WorkerStatus } from '../../metrics/server-status.ts';
import { duration, mebibytes, milliseconds } from '../../metrics/status-lines.ts';

type Row = readonly [term: string, value: string];

/** @param refresh seconds after which it loads itself again; 0: never */
export function statusPage(status: ServerStatus, refresh: number): string {
  const { workers, totals, restarts, reloads } = status;
  const exchanged = Object.entries(restarts).filter(([, count]) => count > 0);
  const { lastSeconds, lastAt } = reloads;
  const last =
    lastSeconds === undefined || lastAt === undefined
      ? ''
      : `; the last one ${duration((Date.now() - lastAt) / 1000)} ago, in ${lastSeconds.toFixed(2)} s`;
  const rows: Row[] = [
    ['up', duration((Date.now() - status.started) / 1000)],
    ['requests', String(requestsOf(totals))],
    ['connections', String(totals.connections)],
    ['upgrades', String(totals.upgrades)],
    ['received', bytes(totals.received)],
    ['sent', bytes(totals.sent)],
    ['restarts', exchanged.map(([reason, count]) => `${count} ${reason}`).join(', ') || 'none'],
    ['reloads', `${reloads.done} done, ${reloads.failed} failed${last}`],
  ];
  const note = refresh > 0 ? `Loads itself again every ${refresh} s. ` : '';
  return htmlPage(
    'Server status',
    `<h1>Server ${status.pid}</h1>
<p class="soft">${note}<a href="?format=json">As JSON</a>.</p>
${card('server', String(status.pid), rows)}
${workers.map(workerCard).join('\n')}
${sectionCards(totals)}`,
  );
}

function workerCard({ pid, state, report, silent }: WorkerStatus): string {
  const name = String(pid ?? '?');
  if (!report) return card('process', name, [['state', state]]);
  const { uptime, counts, connections, upgraded, memory, lag, inFlight, inFlightCount } = report;
  const rows: Row[] = [
    ['state', silent === undefined ? state : `does not answer; this is what it said ${silent.toFixed(1)} s ago`],
    ['up', duration(uptime)],
    ['requests', String(requestsOf(counts))],
    ['connections', upgraded > 0 ? `${connections}, ${upgraded} of them upgraded` : String(connections)],
    ['memory', `${mebibytes(memory.resident)}, heap ${mebibytes(memory.heapUsed)} of ${mebibytes(memory.heapTotal)}`],
    ['loop lag', `${milliseconds(lag.mean)}, at most ${milliseconds(lag.most)}`],
    ['in flight', String(inFlightCount)],
  ];
  const more =
    inFlightCount > inFlight.length ? [`<p class="soft">and ${inFlightCount - inFlight.length} more</p>`] : [];
  return card('process', name, rows, [...inFlight.map(requestCard), ...more].join('\n'));
}

function requestCard({ method, url, client, section, seconds }: RequestInFlight): string {
  return card('request', `${method} ${url}`, [
    ['since', `${seconds.toFixed(1)} s`],
    ['client', client ?? 'unknown'],
    ...(section === undefined ? [] : ([['section', section]] satisfies Row[])),
  ]);
}

function sectionCards({ sections }: Counts): string {
  const cards = sections.map(({ section, answers, aborted, durations, seconds }) => {
    const count = durations.reduce((sum, each) => sum + each, 0);
    const sorted = [...answers].sort((one, other) => other.count - one.count);
    return card('section', section === '' ? 'none: answered in front of all' : section, [
      ['requests', String(count)],
      ['mean time', milliseconds(count === 0 ? 0 : seconds / count)],
      ['not finished', String(aborted)],
      ...sorted.map((each): Row => [`${each.method} ${each.status}`, String(each.count)]),
    ]);
  });
  return cards.join('\n');
}

function card(role: string, name: string, rows: readonly Row[], inner = ''): string {
  const list = rows.map(([term, value]) => `<dt>${escapeHtml(term)}</dt><dd>${escapeHtml(value)}</dd>`).join('');
  return `<div class="part"><span class="role">${escapeHtml(role)}</span> <strong class="at">${escapeHtml(name)}</strong>
<dl>${list}</dl>
${inner}</div>`;
}

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

function bytes(count: number): string {
  let [value, unit] = [count, 0];
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`;
}
