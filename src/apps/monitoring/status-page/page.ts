/** The status page: parts that are sent again when they have changed, and the page around them. */
import { createHash } from 'node:crypto';
import { htmlPage, PAGE_STYLE } from '../../../http/html.ts';
import { certificatesOf, expiryText } from '../../../metrics/certificates.ts';
import { refusedOf, requestsOf } from '../../../metrics/counts.ts';
import { addDurations, quantile } from '../../../metrics/quantiles.ts';
import type { Sample, ServerIdentity, ServerStatus } from '../../../metrics/server-status.ts';
import { duration, scalingText } from '../../../metrics/status-lines.ts';
import { ownVersion } from '../../../own-files.ts';
import { answersChart, latencyChart } from './charts.ts';
import { byteCount, facts, latency, rate } from './format.ts';
import { SCRIPT, STYLE } from './page-assets.ts';
import { eventsTable, inFlightTable, processesTable, sectionsTable, tasksTable, workersTable } from './tables.ts';

/** The parts of the page by their ids, as HTML. */
export type StatusParts = Readonly<Record<string, string>>;

/** A page of another version than the server's reloads itself. */
export const BUILD = ownVersion();

/** The part `id` is in the element with that id, below the heading. */
const HEADINGS: readonly (readonly [id: string, heading: string])[] = [
  ['workers', 'Workers'],
  ['processes', 'Background processes'],
  ['tasks', 'Tasks'],
  ['requests', 'Requests in flight'],
  ['events', 'Restarts and reloads'],
  ['sections', 'Sections'],
  ['server', 'Server'],
];

/** Samples that the numbers at the top are taken from: the last minute. */
const RECENT = 12;

export function pageParts(status: ServerStatus, identity: ServerIdentity | undefined, now = Date.now()): StatusParts {
  const { workers, totals, events, history = [] } = status;
  return {
    summary: summary(status, history, now),
    traffic: traffic(history, now),
    workers: workersTable(workers, history, now),
    ...(status.processes ? { processes: processesTable(status.processes) } : {}),
    ...(status.tasks ? { tasks: tasksTable(status.tasks, now) } : {}),
    requests: inFlightTable(workers),
    events: eventsTable(events, now),
    sections: sectionsTable(totals),
    server: serverFacts(status, identity),
  };
}

/** @param refresh seconds between two updates; 0: never */
export function statusPage(parts: StatusParts, refresh: number): string {
  const isLive = refresh > 0;
  const sections = HEADINGS.filter(([id]) => parts[id] !== undefined).map(
    ([id, heading]) => `<section aria-labelledby="h-${id}"><h2 id="h-${id}">${heading}</h2>
<div id="${id}">${parts[id] ?? ''}</div></section>`,
  );
  const controls = isLive
    ? `<p id="live" role="status"><noscript>reloads every ${refresh} s</noscript></p> <button id="pause" type="button" hidden>Pause</button>`
    : '';
  return htmlPage(
    'Server status',
    `<header id="dashboard" data-build="${BUILD}"><h1>Server status</h1> ${controls} <p><a href="?format=json">JSON</a></p></header>
<div id="summary">${parts['summary'] ?? ''}</div>
<section aria-labelledby="h-traffic"><h2 id="h-traffic">The last ten minutes</h2>
<div id="traffic">${parts['traffic'] ?? ''}</div></section>
${sections.join('\n')}`,
    {
      style: STYLE,
      ...(isLive ? { script: SCRIPT } : {}),
      head: isLive ? `<noscript><meta http-equiv="refresh" content="${refresh}"></noscript>\n` : '',
    },
  );
}

/**
 * The Content-Security-Policy of the page. Only its own styles and script have an effect: should text ever be taken for markup,
 * it can neither run nor load anything. The script may read from its own server.
 */
export const POLICY = [
  "default-src 'none'",
  `style-src ${hashSource(PAGE_STYLE + STYLE)}`,
  `script-src ${hashSource(SCRIPT)}`,
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
].join('; ');

function hashSource(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

function summary(status: ServerStatus, history: readonly Sample[], now: number): string {
  const { workers, totals, restarts, reloads } = status;
  const recent = history.slice(-RECENT);
  const seconds = recent.reduce((sum, each) => sum + each.seconds, 0);
  const answered = recent.reduce((sum, { answers }) => sum + answers.reduce((all, count) => all + count, 0), 0);
  const durations = addDurations(recent.map((each) => each.durations));
  const inFlight = workers.reduce((sum, { report }) => sum + (report?.inFlightCount ?? 0), 0);
  const ready = workers.filter(({ state, silent }) => state === 'ready' && silent === undefined).length;
  const spare = workers.filter(({ state, silent }) => state === 'standby' && silent === undefined).length;
  const restarted = Object.values(restarts).reduce((sum, count) => sum + count, 0);
  const tiles: readonly (readonly [string, string, string])[] = [
    ['Requests per second', seconds === 0 ? '–' : rate(answered / seconds), `${requestsOf(totals)} in all`],
    ['Latency, median', latency(quantile(durations, 0.5)), 'the last minute'],
    ['95th percentile', latency(quantile(durations, 0.95)), 'the last minute'],
    ['99th percentile', latency(quantile(durations, 0.99)), 'the last minute'],
    ['In flight', String(inFlight), connections(status)],
    ['Workers', String(ready), workersNote(status, ready, spare)],
    ...(refusedOf(totals) > 0 ? ([['Refused', String(refusedOf(totals)), 'because of overload']] as const) : []),
    ['Up', duration((now - status.started) / 1000), restarted === 1 ? '1 restart' : `${restarted} restarts`],
    ['Reloads', String(reloads.done), reloads.failed > 0 ? `${reloads.failed} failed` : 'none failed'],
  ];
  const list = tiles.map(
    ([term, value, note]) => `<div class="tile"><dt>${term}</dt><dd>${value} <small>${note}</small></dd></div>`,
  );
  return `<dl class="tiles">${list.join('\n')}</dl>`;
}

function workersNote({ workers, scaling }: ServerStatus, ready: number, spare: number): string {
  const state = readiness(ready, spare, workers.length - ready - spare);
  return scaling ? `${state}; ${scalingText(scaling)}` : state;
}

function readiness(ready: number, spare: number, others: number): string {
  const rest = [...(others > 0 ? [`${others} not`] : []), ...(spare > 0 ? [`${spare} spare`] : [])];
  return rest.length === 0 && ready > 0 ? 'all ready' : ['ready', ...rest].join(', ');
}

function connections({ workers }: ServerStatus): string {
  const open = workers.reduce((sum, { report }) => sum + (report?.connections ?? 0), 0);
  return open === 1 ? '1 connection' : `${open} connections`;
}

const CLASSES = ['1xx', '2xx', '3xx', '4xx', '5xx'] as const;

function traffic(history: readonly Sample[], now: number): string {
  const answers = answersChart(history, now);
  const latencies = latencyChart(history, now);
  const last = history.at(-1);
  const current = (index: number) => (last ? rate((last.answers[index] ?? 0) / last.seconds) : '0');
  const keys = CLASSES.map((name, index) =>
    index === 0 ? '' : `<span class="key k${index + 1}">${name} ${current(index)}</span>`,
  );
  return `<div class="charts">
${figure('Responses per second', keys.join(''), answers.svg, rate(answers.most))}
${figure('Latency', '<span class="key k2">median</span><span class="key k3">95 %</span><span class="key k4">99 %</span>', latencies.svg, latency(latencies.most))}
</div>`;
}

function figure(title: string, keys: string, chart: string, most: string): string {
  return `<figure><figcaption><strong>${title}</strong>${keys}</figcaption>${chart}
<div class="axis"><span>10 minutes ago</span><span>at most ${most}</span><span>now</span></div></figure>`;
}

function serverFacts(status: ServerStatus, identity: ServerIdentity | undefined): string {
  const { pid, totals } = status;
  const { connections: accepted, upgrades, received, sent } = totals;
  const known: (readonly [string, string])[] = identity
    ? [
        ['Listens on', identity.listeners.join(', ')],
        ['Directory', identity.directory],
        ...(identity.release === identity.directory ? [] : ([['Release', identity.release]] as const)),
        ...(identity.file === undefined ? [] : ([['INI file', identity.file]] as const)),
      ]
    : [];
  return facts([
    ...known,
    ['Versions', `paster ${BUILD}, Node ${process.version}`],
    ...certificatesOf(status).map(({ name, expires }) => ['Certificate', `${name} ${expiryText(expires)}`] as const),
    ['Process', `${pid}, which signals are sent to`],
    ['Connections', `${accepted} so far, ${upgrades} upgraded`],
    ['Traffic', `${byteCount(received)} received, ${byteCount(sent)} sent`],
  ]);
}
