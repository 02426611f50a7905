/** How a server is, as Prometheus reads it. prom-client writes the text; it is loaded when somebody asks. */
import { DURATION_BOUNDS, type SectionCounts } from '../../metrics/counts.ts';
import type { ProcessReport, ServerStatus } from '../../metrics/server-status.ts';
import { ownVersion } from '../../version.ts';

type Labels = Readonly<Record<string, string | number>>;

interface Value {
  readonly labels: Labels;
  readonly value: number;
  /** Of a histogram and a summary: the name with what follows it. */
  readonly metricName?: string;
}

/** What prom-client's own `getMetricsAsJSON` gives for a metric. */
interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram' | 'summary';
  readonly values: readonly Value[];
  readonly aggregator: 'sum';
}

/** @returns The text and its media type. */
export async function prometheusText(status: ServerStatus): Promise<{ text: string; type: string }> {
  const { AggregatorRegistry } = (await import('prom-client')).default;
  const registry = AggregatorRegistry.aggregate([metricsOf(status)]);
  return { text: await registry.metrics(), type: registry.contentType };
}

function metricsOf(status: ServerStatus): Metric[] {
  const { totals, restarts, reloads, workers } = status;
  const { sections } = totals;
  const reports = workers.flatMap(({ report }) => report ?? []);
  const sum = (of: (report: ProcessReport) => number) => reports.reduce((all, report) => all + of(report), 0);
  const each = (of: (report: ProcessReport) => number): Value[] =>
    reports.map((report) => ({ labels: { pid: report.pid }, value: of(report) }));
  return [
    gauge('paster_info', 'Versions of paster and Node.', [
      { labels: { version: ownVersion(), node: process.version }, value: 1 },
    ]),
    gauge('paster_start_time_seconds', 'When the server started, since 1970.', one(status.started / 1000)),
    gauge(
      'paster_workers',
      'Processes of the server by what they do.',
      [...countStates(status)].map(([state, value]) => ({ labels: { state }, value })),
    ),
    counter(
      'paster_http_requests_total',
      'Requests answered, by the section of the INI file that got them; 499: the client left before.',
      sections.flatMap(({ section, answers }) =>
        answers.map(({ method, status: code, count }) => ({ labels: { section, method, status: code }, value: count })),
      ),
    ),
    counter(
      'paster_http_requests_aborted_total',
      'Answers that did not come to their end.',
      sections.map(({ section, aborted }) => ({ labels: { section }, value: aborted })),
    ),
    {
      name: 'paster_http_request_duration_seconds',
      help: 'From the head of a request to the end of its answer.',
      type: 'histogram',
      values: sections.flatMap(durationsOf),
      aggregator: 'sum',
    },
    gauge('paster_http_requests_in_flight', 'Requests that are being answered.', one(sum((of) => of.inFlightCount))),
    counter(
      'paster_http_upgrades_total',
      'Requests that took over their connection (WebSockets).',
      one(totals.upgrades),
    ),
    gauge('paster_http_upgraded_connections', 'Such connections that are open.', one(sum((of) => of.upgraded))),
    counter('paster_connections_total', 'Connections accepted or taken over.', one(totals.connections)),
    gauge('paster_connections_open', 'Connections that are open.', one(sum((of) => of.connections))),
    counter('paster_received_bytes_total', 'Bytes received on them.', one(totals.received)),
    counter('paster_sent_bytes_total', 'Bytes sent on them.', one(totals.sent)),
    counter(
      'paster_worker_restarts_total',
      'Workers that were exchanged or have died, by the reason.',
      Object.entries(restarts).map(([reason, value]) => ({ labels: { reason }, value })),
    ),
    counter('paster_reloads_total', 'Reloads by how they went.', [
      { labels: { result: 'done' }, value: reloads.done },
      { labels: { result: 'failed' }, value: reloads.failed },
    ]),
    {
      name: 'paster_reload_duration_seconds',
      help: 'What the reloads took that were done.',
      type: 'summary',
      values: [
        { metricName: 'paster_reload_duration_seconds_sum', labels: {}, value: reloads.seconds },
        { metricName: 'paster_reload_duration_seconds_count', labels: {}, value: reloads.done },
      ],
      aggregator: 'sum',
    },
    gauge(
      'paster_event_loop_lag_seconds',
      'How late timers are, the mean of a minute.',
      each((of) => of.lag.mean),
    ),
    gauge(
      'paster_event_loop_lag_max_seconds',
      'How late they are at most, in a minute.',
      each((of) => of.lag.most),
    ),
    gauge(
      'paster_resident_memory_bytes',
      'Resident memory of a process.',
      each((of) => of.memory.resident),
    ),
    gauge(
      'paster_heap_used_bytes',
      'What of its heap is in use.',
      each((of) => of.memory.heapUsed),
    ),
    gauge(
      'paster_heap_size_bytes',
      'Its heap.',
      each((of) => of.memory.heapTotal),
    ),
    gauge(
      'paster_external_memory_bytes',
      'What its objects hold outside of the heap.',
      each((of) => of.memory.external),
    ),
    gauge(
      'paster_worker_uptime_seconds',
      'How long a process has served.',
      each((of) => of.uptime),
    ),
  ];
}

function durationsOf({ section, durations, seconds }: SectionCounts): Value[] {
  const name = 'paster_http_request_duration_seconds';
  let count = 0;
  const buckets = durations.map((each, index) => {
    count += each;
    const labels = { le: DURATION_BOUNDS[index] ?? '+Inf', section };
    return { metricName: `${name}_bucket`, labels, value: count };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels: { section }, value: seconds },
    { metricName: `${name}_count`, labels: { section }, value: count },
  ];
}

function countStates({ workers }: ServerStatus): Map<string, number> {
  const states = new Map([
    ['ready', 0],
    ['starting', 0],
    ['standby', 0],
    ['draining', 0],
    ['silent', 0],
  ]);
  for (const { state, silent } of workers) {
    const shown = silent === undefined ? (state === 'booting' ? 'starting' : state) : 'silent';
    states.set(shown, (states.get(shown) ?? 0) + 1);
  }
  return states;
}

function one(value: number): Value[] {
  return [{ labels: {}, value }];
}

function counter(name: string, help: string, values: readonly Value[]): Metric {
  return { name, help, type: 'counter', values, aggregator: 'sum' };
}

function gauge(name: string, help: string, values: readonly Value[]): Metric {
  return { name, help, type: 'gauge', values, aggregator: 'sum' };
}
