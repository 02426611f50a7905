/**
 * Counts what this process serves: requests, requests in flight, and connections. It wraps the application. If counts are
 * shown, it sees the beginning and the end of each request, otherwise only the beginning; everything else is computed
 * when a report is asked for.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { clientAddress } from '../http/client-address.ts';
import { isComplete } from '../http/response/response-outcome.ts';
import type { OpenConnection } from '../net/direct/connection.ts';
import { bytesDispatched } from '../net/node-internals/handles.ts';
import type { App } from '../protocol/types.ts';
import { shownValue } from '../secrets.ts';
import { METER } from './count-by-section.ts';
import { bucketOf, type Counts, DURATION_BOUNDS, type RefusalReason } from './counts.ts';
import { History, SAMPLE_MS } from './history.ts';
import {
  INFLIGHT,
  InflightList,
  InflightRequest,
  type MeteredRequest,
  type MeteredResponse,
} from './inflight-requests.ts';
import { LoopLag } from './loop-lag.ts';
import { SectionCounter } from './section-counter.ts';
import {
  type AskStatus,
  type CertificateReport,
  NO_RELOADS,
  noRestarts,
  type ProcessReport,
  type RequestReport,
  type ServerIdentity,
  type ServerStatus,
} from './server-status.ts';

/** nginx's status for a client that left before the response began. */
const CLIENT_LEFT = 499;
/** The most requests that a report names. */
const MAX_NAMED = 100;
const LONGEST_URL = 300;

export class Meter {
  /** Set where a signal can ask for the requests in flight: requests are watched. */
  isWatching = false;
  /** Set by the parts that show counts: requests are observed and connections counted. */
  isCounting = false;
  /** Set by the part that shows the last ten minutes. */
  needsHistory = false;
  /** Each returns the certificates of one server of this process. */
  readonly certificates = new Set<() => readonly CertificateReport[]>();
  /** Each tells whether one server of this process refuses requests now. */
  readonly limits = new Set<() => boolean>();
  /** The status of the whole server, which may have other processes too. */
  ask: AskStatus = async ({ history }) => this.alone(history ? this.#history?.samples : undefined);
  /** Set by the program that serves. */
  identity: ServerIdentity | undefined;
  /** The last ten minutes, kept only if the server consists of this process. */
  #history: History | undefined;
  readonly #lag = new LoopLag();
  readonly #counters = new Map<string, SectionCounter>();
  /** For requests that reached no section, since a filter in front of all applications responded. */
  readonly #outside = this.counter('');
  readonly #sockets = new Set<OpenConnection>();
  /** The requests in flight of `observe`. */
  readonly #observed = new InflightList((res: MeteredResponse) => this.#finish(res));
  /** The requests in flight of `watch`. */
  readonly #watched = new InflightList();
  #hasBegun = false;
  #began = performance.now();
  #started = Date.now();
  readonly #refused: Record<RefusalReason, number> = { in_flight: 0, lag: 0 };
  readonly #queued: number[] = Array.from({ length: DURATION_BOUNDS.length + 1 }, () => 0);
  #queuedSeconds = 0;
  #upgrades = 0;
  #upgraded = 0;
  #connections = 0;
  #received = 0;
  #sent = 0;

  /** The counter of a section, always the same one for a name. */
  counter(section: string): SectionCounter {
    let counter = this.#counters.get(section);
    if (!counter) {
      counter = new SectionCounter(section);
      this.#counters.set(section, counter);
    }
    return counter;
  }

  /** Called when this process begins to serve. */
  begin(): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    this.#began = performance.now();
    this.#started = Date.now();
    this.#lag.begin();
  }

  /** Keeps the last ten minutes from now on if something shows them, in a server without a supervisor. */
  keepHistory(): void {
    if (this.#history || !this.needsHistory) return;
    const history = new History();
    this.#history = history;
    const take = () => history.note(() => ({ counts: this.counts(), reports: [this.report()] }));
    take();
    setInterval(take, SAMPLE_MS).unref();
  }

  // --- requests ------------------------------------------------------------------------------------------------------

  /** Wraps the application for a server: counts each request by section, method, status and duration. */
  observe(app: App): App {
    const finish = (res: MeteredResponse): void => this.#finish(res);
    // One function for all responses costs less than a function for each.
    function closed(this: MeteredResponse): void {
      finish(this);
    }
    return this.#wrapped(app, (req: MeteredRequest, res: MeteredResponse) => {
      const request = new InflightRequest(req, this.#outside);
      req[INFLIGHT] = request;
      res[INFLIGHT] = request;
      this.#observed.add(res, request.start);
      // The last of all events, however the response ends.
      res.on('close', closed);
      return app(req, res);
    });
  }

  /**
   * Wraps the application of a server that shows no counts: only the number of requests and those in flight are known.
   * `observe` would take 5 % more CPU for small responses over HTTP and 7 % over FastCGI: about 1 us a request, measured
   * side by side in one process.
   */
  watch(app: App): App {
    return this.#wrapped(app, (req, res) => {
      // The time is right to a tenth of a second: reading the clock would cost more than everything else here.
      this.#watched.add(res, this.#lag.now);
      return app(req, res);
    });
  }

  #wrapped(app: App, observed: App): App {
    const { upgrade } = app;
    // A server finds the application's other properties on the wrapper too.
    Object.setPrototypeOf(observed, app);
    if (upgrade) {
      observed.upgrade = (req, socket, head) => {
        this.#countUpgrade(socket);
        return upgrade.call(app, req, socket, head);
      };
    }
    return observed;
  }

  #finish(res: MeteredResponse): void {
    const request = res[INFLIGHT];
    if (!request || request.isOver) return;
    request.isOver = true;
    const seconds = (performance.now() - request.start) / 1000;
    request.counter.add(request.method, res.headersSent ? res.statusCode : CLIENT_LEFT, seconds, isComplete(res));
  }

  /**
   * Counts a request as completed now, and no longer as one in flight: for a stream of events, which lasts for as long as the
   * client listens.
   */
  finishEarly(res: MeteredResponse): void {
    const request = res[INFLIGHT];
    if (!request || request.isOver) return;
    request.isOver = true;
    request.counter.add(request.method, res.statusCode, (performance.now() - request.start) / 1000, true);
  }

  /** Counts a request that was refused because of overload. */
  refused(reason: RefusalReason): void {
    this.#refused[reason]++;
  }

  /** Counts the time that a request has waited in front of this server. */
  queued(seconds: number): void {
    const bucket = bucketOf(seconds);
    this.#queued[bucket] = (this.#queued[bucket] ?? 0) + 1;
    this.#queuedSeconds += seconds;
  }

  /** Milliseconds that the timer of the lag is overdue at `now`; 0 if there is none. */
  timerDelay(now: number): number {
    return this.#hasBegun ? this.#lag.overdue(now) : 0;
  }

  /** Whether this process refuses requests now. */
  isBusy(): boolean {
    for (const isReached of this.limits) if (isReached()) return true;
    return false;
  }

  #countUpgrade(socket: Duplex): void {
    this.#upgrades++;
    this.#upgraded++;
    socket.once('close', () => {
      this.#upgraded--;
    });
  }

  // --- connections ---------------------------------------------------------------------------------------------------

  /** Called with each new connection. */
  readonly connected = (socket: OpenConnection): void => {
    this.#connections++;
    this.#sockets.add(socket);
    socket.once('close', () => this.left(socket));
  };

  /** Called when a connection has closed or is passed to another process. */
  left(socket: OpenConnection): void {
    if (!this.#sockets.delete(socket)) return;
    this.#received += socket.bytesRead;
    this.#sent += bytesDispatched(socket);
  }

  // --- reports -------------------------------------------------------------------------------------------------------

  counts(): Counts {
    let [received, sent] = [this.#received, this.#sent];
    for (const socket of this.#sockets) {
      received += socket.bytesRead;
      sent += bytesDispatched(socket);
    }
    return {
      sections: [...this.#counters.values()].flatMap((counter) => counter.counts() ?? []),
      watched: this.#watched.over,
      failed: this.#observed.failed + this.#watched.failed,
      refused: { ...this.#refused },
      queue: { durations: [...this.#queued], seconds: this.#queuedSeconds },
      upgrades: this.#upgrades,
      connections: this.#connections,
      received,
      sent,
    };
  }

  report(): ProcessReport {
    const inFlight = this.inFlight();
    const { rss, heapUsed, heapTotal, external } = process.memoryUsage();
    return {
      pid: process.pid,
      uptime: (performance.now() - this.#began) / 1000,
      counts: this.counts(),
      inFlight,
      inFlightCount: this.#observed.length + this.#watched.length,
      connections: this.#sockets.size,
      upgraded: this.#upgraded,
      memory: { resident: rss, heapUsed, heapTotal, external },
      lag: this.#lag.read(),
      certificates: [...this.certificates].flatMap((reports) => reports()),
    };
  }

  /** The status of a server that consists of this process. */
  alone(history?: ServerStatus['history']): ServerStatus {
    const report = this.report();
    return {
      pid: process.pid,
      started: this.#started,
      workers: [{ pid: process.pid, state: 'ready', report, silent: undefined }],
      totals: report.counts,
      restarts: noRestarts(),
      reloads: NO_RELOADS,
      events: [],
      history,
    };
  }

  /** The oldest first. */
  inFlight(): RequestReport[] {
    return [...this.#watched.entries(MAX_NAMED), ...this.#observed.entries(MAX_NAMED)]
      .slice(0, MAX_NAMED)
      .map(({ res, start }) => requestReport(res, start));
  }
}

function requestReport(res: MeteredResponse, start: number): RequestReport {
  const { req } = res;
  const { method, url, counter } = res[INFLIGHT] ?? { method: req.method, url: originalUrl(req), counter: undefined };
  return {
    method: method ?? '',
    url: shownUrl(url ?? ''),
    client: clientOf(req),
    section: counter?.section || undefined,
    seconds: (performance.now() - start) / 1000,
  };
}

/** As the client sent it: a framework or a composite that rewrites `url` keeps the original here. */
function originalUrl(req: IncomingMessage & { readonly originalUrl?: string }): string | undefined {
  return req.originalUrl ?? req.url;
}

function clientOf(req: IncomingMessage): string | undefined {
  try {
    return clientAddress(req);
  } catch {
    // The socket proxy of Node's HTTP/2 throws once the stream is gone.
    return undefined;
  }
}

/** Masks secrets before it cuts: half a secret might not be recognized. */
function shownUrl(url: string): string {
  const shown = shownValue('url', url);
  return shown.length > LONGEST_URL ? `${shown.slice(0, LONGEST_URL)}...` : shown;
}

const shared: typeof globalThis & { [METER]?: Meter } = globalThis;

/** The meter of this process. */
export function meter(): Meter {
  shared[METER] ??= new Meter();
  return shared[METER];
}
