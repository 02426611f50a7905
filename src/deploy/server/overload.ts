/**
 * Refuses requests that a process has no capacity for: with 503 at once, so that the requests that it accepts are as fast as
 * ever. It is around the application of every server, and costs nothing where no limit is set.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { sendPlainText } from '../../http/error-response.ts';
import { longestPrefix, PathPrefixes } from '../../http/path-prefixes.ts';
import { pathEnd } from '../../http/url-path.ts';
import type { Logger } from '../../log.ts';
import type { RefusalReason } from '../../metrics/counts.ts';
import { InflightList } from '../../metrics/inflight-requests.ts';
import { meter } from '../../metrics/meter.ts';
import { PACKAGE_ROOT } from '../../own-files.ts';
import { declineUpgrade } from '../../protocol/default-handlers.ts';
import type { App } from '../../protocol/types.ts';
import type { Context } from '../context.ts';
import { innerContexts } from '../inspect/outline.ts';

/** Seconds after which a client may try again. */
const RETRY_AFTER = 1;
/** Refusals are logged at most this often. */
const LOG_MS = 10_000;

export interface OverloadLimits {
  /** Requests at a time. */
  readonly inFlight: number | undefined;
  /** Milliseconds that the event loop may be late. */
  readonly lag: number | undefined;
  /** Paths that are served nevertheless. */
  readonly exempt: ExemptPaths;
}

/** Guards the application of several servers together. */
export interface OverloadGuard {
  /** Wraps the application of one server. */
  around(app: App): App;
  /** To be called when the servers have ended. */
  end(): void;
}

/** @param limits undefined: there are none */
export function guardOverload(limits: OverloadLimits | undefined, log: Logger | undefined): OverloadGuard {
  if (!limits || (limits.inFlight === undefined && limits.lag === undefined)) return { around: (app) => app, end() {} };
  const overload = new Overload(limits, log);
  const isBusy = (): boolean => overload.reason() !== undefined;
  meter().limits.add(isBusy);
  return {
    around: (app) => guarded(app, overload),
    end() {
      meter().limits.delete(isBusy);
    },
  };
}

function guarded(app: App, overload: Overload): App {
  const wrapper: App = (req, res) => {
    const reason = overload.reason();
    if (reason !== undefined && !overload.isExempt(req)) {
      overload.refused(reason);
      return refuse(req, res);
    }
    overload.accept(res);
    return app(req, res);
  };
  // A server finds the application's other properties on the wrapper too.
  Object.setPrototypeOf(wrapper, app);
  const { upgrade } = app;
  if (upgrade) {
    wrapper.upgrade = (req, socket, head) => {
      const reason = overload.reason();
      if (reason === undefined || overload.isExempt(req)) return upgrade.call(app, req, socket, head);
      overload.refused(reason);
      return declineUpgrade(refuse, req, socket as Socket);
    };
  }
  return wrapper;
}

function refuse(_req: IncomingMessage, res: ServerResponse): void {
  sendPlainText(res, 503, { 'retry-after': String(RETRY_AFTER), 'cache-control': 'no-store' });
}

class Overload {
  readonly #limits: OverloadLimits;
  readonly #log: Logger | undefined;
  readonly #inFlight: InflightList | undefined;
  readonly #lag: LateLoop | undefined;
  #refused = 0;
  #loggedAt = Number.NEGATIVE_INFINITY;

  constructor(limits: OverloadLimits, log: Logger | undefined) {
    this.#limits = limits;
    this.#log = log;
    this.#inFlight = limits.inFlight === undefined ? undefined : new InflightList();
    this.#lag = limits.lag === undefined ? undefined : new LateLoop(limits.lag);
  }

  /** Why a request that comes now must be refused. */
  reason(): RefusalReason | undefined {
    const { inFlight } = this.#limits;
    if (inFlight !== undefined && this.#inFlight?.reaches(inFlight)) return 'in_flight';
    return this.#lag?.isLate() ? 'lag' : undefined;
  }

  isExempt({ method, url = '/' }: IncomingMessage): boolean {
    if (method !== 'GET' && method !== 'HEAD') return false;
    const path = url.slice(0, pathEnd(url));
    const found = longestPrefix(path, [this.#limits.exempt]);
    if (typeof found !== 'object') return false;
    return found.value === 'all' || (found.value === 'health' && HEALTH_PATH.test(path));
  }

  accept(res: ServerResponse): void {
    this.#inFlight?.add(res, 0);
  }

  refused(reason: RefusalReason): void {
    meter().refused(reason);
    this.#refused++;
    const now = performance.now();
    if (now - this.#loggedAt < LOG_MS) return;
    this.#loggedAt = now;
    const why =
      reason === 'in_flight'
        ? `${this.#limits.inFlight} requests are in flight (max_requests_in_flight)`
        : `the event loop is late (overload_lag)`;
    const count = this.#refused === 1 ? 'a request was' : `${this.#refused} requests were`;
    this.#log?.warn(`overload: ${count} refused with 503: ${why}`);
    this.#refused = 0;
  }
}

/** The paths of `npm:paster#health`. */
const HEALTH_PATH = /\/(?:healthz|livez|readyz|health)\/*$/;

/**
 * Whether the event loop is late at this moment. The requests that come in one turn of the loop are handled one after the other:
 * once the turn has taken longer than the limit, the rest of them are refused. If something else blocks the loop, the timer of
 * the meter is overdue. A timer for this alone would take 1 % of a processor from an idle worker.
 */
class LateLoop {
  readonly #limit: number;
  /** When the first request of this turn came; 0: none has. */
  #turnBegan = 0;
  readonly #endTurn = (): void => {
    this.#turnBegan = 0;
  };

  constructor(limit: number) {
    this.#limit = limit;
  }

  isLate(): boolean {
    const now = performance.now();
    if (this.#turnBegan === 0) {
      this.#turnBegan = now;
      setImmediate(this.#endTurn);
    }
    return now - this.#turnBegan > this.#limit || meter().timerDelay(now) > this.#limit;
  }
}

// --- paths that are exempt from the limits: those of the built-in monitoring applications, and those of `overload_except`

/** What is exempt below each prefix: `all` paths, those that `npm:paster#health` responds to (`health`), or `none`. */
type ExemptPaths = PathPrefixes<Exemption>;

type Exemption = 'all' | 'health' | 'none';

/** The modules of the built-in applications, which have several names. */
const MONITORING: ReadonlyMap<string, Exemption> = new Map([
  [join(PACKAGE_ROOT, 'dist/apps/monitoring/health.js'), 'health'],
  [join(PACKAGE_ROOT, 'dist/apps/monitoring/metrics.js'), 'all'],
  [join(PACKAGE_ROOT, 'dist/apps/monitoring/status.js'), 'all'],
]);

/**
 * @param app the application, resolved; undefined if it is not in an INI file
 * @param listed the prefixes of `overload_except`
 */
export async function exemptPaths(app: Context | undefined, listed: readonly string[]): Promise<ExemptPaths> {
  const paths: ExemptPaths = new PathPrefixes();
  for (const prefix of listed) paths.add(prefix, 'all');
  if (app) await addMonitoring(app, '', paths);
  return paths;
}

async function addMonitoring(context: Context, prefix: string, paths: ExemptPaths): Promise<void> {
  const inner = await innerContexts(context);
  const exemption = context.form === 'factory' ? MONITORING.get(context.target.file ?? '') : undefined;
  // Another application may be mounted below the prefix of a monitoring one.
  if (exemption !== undefined || (inner.length === 0 && context.kind === 'app')) paths.add(prefix, exemption ?? 'none');
  for (const each of inner) {
    if (each.context.kind === 'filter') continue;
    await addMonitoring(each.context, prefix + mountedAt(each.key), paths);
  }
}

/** The path in a key of `urlmap`. Other keys, such as those of a cascade, mount nothing. */
function mountedAt(key = ''): string {
  const [path = ''] = /\/.*$/.exec(key.replace(/^https?:\/\/[^/]*/, '')) ?? [];
  return path === '/' ? '' : path;
}
