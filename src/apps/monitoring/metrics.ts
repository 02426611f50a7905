/** `npm:paster#metrics`: the counts of the whole server, all its workers together, for Prometheus. */
import { defineSettings, type SettingsOf } from '../../config/settings/setting.ts';
import { certificatesOf } from '../../metrics/certificates.ts';
import {
  type Counts,
  DURATION_BOUNDS,
  type QueueTimes,
  REFUSAL_REASONS,
  type SectionCounts,
} from '../../metrics/counts.ts';
import type { ProcessReport, ScalingStatus, ServerStatus, TaskRun } from '../../metrics/server-status.ts';
import { networks } from '../../net/peers.ts';
import { ownVersion } from '../../own-files.ts';
import type { App, Settings } from '../../protocol/types.ts';
import { allowedClients, sendReport, statusApp } from './server-report.ts';

export const metricsSettings = defineSettings(
  {
    allow: {
      type: networks,
      default: [],
      help: 'Clients that may read the metrics, by address or CIDR block. Left out: all clients.',
      example: '127.0.0.1 10.1.0.0/16',
    },
  },
  { meaning: 'what the server has counted, for Prometheus' },
);

/** Makes the application of an `[app:*]` section. */
export function makeMetrics(_globalConf: Settings, { allow }: SettingsOf<typeof metricsSettings>): App {
  const isAllowed = allow.length === 0 ? () => true : allowedClients(allow);
  return statusApp(isAllowed, async (_req, res, status) => {
    const { text, type } = await prometheusText(status);
    sendReport(res, type, text);
  });
}
makeMetrics.settings = metricsSettings;

type Labels = Readonly<Record<string, string | number>>;

interface MetricValue {
  readonly labels: Labels;
  readonly value: number;
  /** For a histogram and a summary: the name with its suffix. */
  readonly metricName?: string;
}

/** A metric as prom-client's `getMetricsAsJSON` returns it. */
interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram' | 'summary';
  readonly values: readonly MetricValue[];
  readonly aggregator: 'sum';
}

/** The status in Prometheus's text format, and its media type. prom-client is loaded with the first request. */
async function prometheusText(status: ServerStatus): Promise<{ text: string; type: string }> {
  const { AggregatorRegistry } = (await import('prom-client')).default;
  const registry = AggregatorRegistry.aggregate([metricsOf(status)]);
  return { text: await registry.metrics(), type: registry.contentType };
}

function metricsOf(status: ServerStatus): Metric[] {
  const reports = status.workers.flatMap(({ report }) => report ?? []);
  return [
    gauge('paster_info', 'Versions of paster and Node.', [
      { labels: { version: ownVersion(), node: process.version }, value: 1 },
    ]),
    gauge('paster_start_time_seconds', 'When the server started, since 1970.', single(status.started / 1000)),
    gauge(
      'paster_workers',
      'Processes of the server by what they do.',
      [...countStates(status)].map(([state, value]) => ({ labels: { state }, value })),
    ),
    ...(status.scaling ? scalingGauges(status.scaling) : []),
    ...requestMetrics(status.totals, reports),
    ...connectionMetrics(status.totals, reports),
    counter(
      'paster_worker_restarts_total',
      'Workers that were replaced or have died, by the reason.',
      Object.entries(status.restarts).map(([reason, value]) => ({ labels: { reason }, value })),
    ),
    counter('paster_reloads_total', 'Reloads by how they went.', [
      { labels: { result: 'done' }, value: status.reloads.done },
      { labels: { result: 'failed' }, value: status.reloads.failed },
    ]),
    {
      name: 'paster_reload_duration_seconds',
      help: 'Seconds that successful reloads took.',
      type: 'summary',
      values: [
        { metricName: 'paster_reload_duration_seconds_sum', labels: {}, value: status.reloads.seconds },
        { metricName: 'paster_reload_duration_seconds_count', labels: {}, value: status.reloads.done },
      ],
      aggregator: 'sum',
    },
    gauge(
      'paster_certificate_expiry_time_seconds',
      'When a certificate of the server expires, since 1970.',
      certificatesOf(status).map(({ name, expires }) => ({ labels: { name }, value: expires / 1000 })),
    ),
    ...reportMetrics(reports),
    ...processMetrics(status),
    ...taskMetrics(status),
  ];
}

function requestMetrics(totals: Counts, reports: readonly ProcessReport[]): Metric[] {
  const { sections } = totals;
  return [
    counter(
      'paster_http_requests_total',
      'Responses, by the section of the INI file that got the request; 499: the client left before.',
      sections.flatMap(({ section, answers }) =>
        answers.map(({ method, status: code, count }) => ({ labels: { section, method, status: code }, value: count })),
      ),
    ),
    counter(
      'paster_http_requests_aborted_total',
      'Responses that were not completed.',
      sections.map(({ section, aborted }) => ({ labels: { section }, value: aborted })),
    ),
    {
      name: 'paster_http_request_duration_seconds',
      help: 'From the head of a request to the end of its response.',
      type: 'histogram',
      values: sections.flatMap(durationsOf),
      aggregator: 'sum',
    },
    gauge(
      'paster_http_requests_in_flight',
      'Requests in flight.',
      single(sum(reports, (report) => report.inFlightCount)),
    ),
    counter(
      'paster_http_requests_refused_total',
      'Requests refused with 503 because of overload, by the limit that was reached; not in the counts above.',
      REFUSAL_REASONS.map((reason) => ({ labels: { reason }, value: totals.refused[reason] })),
    ),
    {
      name: 'paster_http_request_queue_time_seconds',
      help: 'How long requests have waited in front of the server, by the header X-Request-Start.',
      type: 'histogram',
      values: histogramOf('paster_http_request_queue_time_seconds', {}, totals.queue),
      aggregator: 'sum',
    },
    counter(
      'paster_http_upgrades_total',
      'Requests that took over their connection (WebSockets).',
      single(totals.upgrades),
    ),
    gauge(
      'paster_http_upgraded_connections',
      'Open connections of upgraded requests.',
      single(sum(reports, (report) => report.upgraded)),
    ),
  ];
}

function connectionMetrics(totals: Counts, reports: readonly ProcessReport[]): Metric[] {
  return [
    counter('paster_connections_total', 'Connections accepted or taken over.', single(totals.connections)),
    gauge(
      'paster_connections_open',
      'Connections that are open.',
      single(sum(reports, (report) => report.connections)),
    ),
    counter('paster_received_bytes_total', 'Bytes received on connections.', single(totals.received)),
    counter('paster_sent_bytes_total', 'Bytes sent on connections.', single(totals.sent)),
  ];
}

/** What each process reports of itself. */
function reportMetrics(reports: readonly ProcessReport[]): Metric[] {
  const perProcess = (of: (report: ProcessReport) => number): MetricValue[] =>
    reports.map((report) => ({ labels: { pid: report.pid }, value: of(report) }));
  return [
    gauge(
      'paster_event_loop_lag_seconds',
      'How late timers are, the mean of a minute.',
      perProcess(({ lag }) => lag.mean),
    ),
    gauge(
      'paster_event_loop_lag_max_seconds',
      'The most that timers are late, in a minute.',
      perProcess(({ lag }) => lag.most),
    ),
    gauge(
      'paster_resident_memory_bytes',
      'Resident memory of a process.',
      perProcess(({ memory }) => memory.resident),
    ),
    gauge(
      'paster_heap_used_bytes',
      'Used heap of a process.',
      perProcess(({ memory }) => memory.heapUsed),
    ),
    gauge(
      'paster_heap_size_bytes',
      'Heap of a process.',
      perProcess(({ memory }) => memory.heapTotal),
    ),
    gauge(
      'paster_external_memory_bytes',
      'Memory of objects of a process outside of its heap.',
      perProcess(({ memory }) => memory.external),
    ),
    gauge(
      'paster_worker_uptime_seconds',
      'How long a process has served.',
      perProcess(({ uptime }) => uptime),
    ),
  ];
}

function sum(reports: readonly ProcessReport[], of: (report: ProcessReport) => number): number {
  return reports.reduce((all, report) => all + of(report), 0);
}

/** The metrics of tasks; none if the INI file has no tasks. */
function taskMetrics({ tasks = [] }: ServerStatus): Metric[] {
  if (tasks.length === 0) return [];
  const last = (of: (run: TaskRun) => number): MetricValue[] =>
    tasks.flatMap(({ name, last }) => (last ? { labels: { task: name }, value: of(last) } : []));
  return [
    counter(
      'paster_task_runs_total',
      'Runs of tasks by their result; skipped and missed ones have not taken place.',
      tasks.flatMap(({ name, runs }) =>
        Object.entries(runs).map(([result, value]) => ({ labels: { task: name, result }, value })),
      ),
    ),
    gauge(
      'paster_task_running',
      'Whether a run is in progress.',
      tasks.map(({ name, running }) => ({ labels: { task: name }, value: running === undefined ? 0 : 1 })),
    ),
    gauge(
      'paster_task_last_run_time_seconds',
      'When the last run began, since 1970.',
      last(({ at }) => at / 1000),
    ),
    gauge(
      'paster_task_last_duration_seconds',
      'How long the last run took.',
      last(({ seconds }) => seconds),
    ),
    gauge(
      'paster_task_last_success',
      'Whether the last run was successful.',
      last(({ result }) => (result === 'ok' ? 1 : 0)),
    ),
  ];
}

/** The metrics of background processes; none if the INI file has no background processes. */
function processMetrics({ processes = [] }: ServerStatus): Metric[] {
  if (processes.length === 0) return [];
  const perProcess = (of: (report: ProcessReport) => number): MetricValue[] =>
    processes.flatMap(({ name, workers }) =>
      workers.flatMap(({ report }) =>
        report ? { labels: { process: name, pid: report.pid }, value: of(report) } : [],
      ),
    );
  return [
    gauge(
      'paster_processes',
      'Background processes that run, by the section of the INI file.',
      processes.map(({ name, workers }) => ({
        labels: { process: name },
        value: workers.filter(({ state }) => state === 'ready').length,
      })),
    ),
    counter(
      'paster_process_restarts_total',
      'Background processes that were replaced or have ended, by the reason.',
      processes.flatMap(({ name, restarts }) =>
        Object.entries(restarts).map(([reason, value]) => ({ labels: { process: name, reason }, value })),
      ),
    ),
    gauge(
      'paster_process_resident_memory_bytes',
      'Resident memory of a background process and its children.',
      perProcess(({ memory }) => memory.resident),
    ),
    gauge(
      'paster_process_uptime_seconds',
      'How long a background process has run.',
      perProcess(({ uptime }) => uptime),
    ),
  ];
}

function durationsOf(counts: SectionCounts): MetricValue[] {
  return histogramOf('paster_http_request_duration_seconds', { section: counts.section }, counts);
}

function histogramOf(name: string, labels: Labels, { durations, seconds }: QueueTimes): MetricValue[] {
  let count = 0;
  const buckets = durations.map((inBucket, index) => {
    count += inBucket;
    return {
      metricName: `${name}_bucket`,
      labels: { le: DURATION_BOUNDS[index] ?? '+Inf', ...labels },
      value: count,
    };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: seconds },
    { metricName: `${name}_count`, labels, value: count },
  ];
}

function scalingGauges({ wanted, minimum, maximum }: ScalingStatus): Metric[] {
  return [
    gauge('paster_workers_wanted', 'How many workers the load needs now.', single(wanted)),
    gauge('paster_workers_min', 'The lower bound of workers.', single(minimum)),
    gauge('paster_workers_max', 'The upper bound of workers.', single(maximum)),
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

function single(value: number): MetricValue[] {
  return [{ labels: {}, value }];
}

function counter(name: string, help: string, values: readonly MetricValue[]): Metric {
  return { name, help, type: 'counter', values, aggregator: 'sum' };
}

function gauge(name: string, help: string, values: readonly MetricValue[]): Metric {
  return { name, help, type: 'gauge', values, aggregator: 'sum' };
}
