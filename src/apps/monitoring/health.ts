/**
 * `npm:paster#health`: health endpoints for load balancers and container orchestrators. `/healthz` responds as long as the
 * process runs, `/readyz` only while it should get requests: not while it drains, nor while one of the application's checks
 * fails.
 */
import { debugFlags } from '../../config/debug.ts';
import { defineSettings, type SettingsOf } from '../../config/settings/setting.ts';
import { functionList, seconds } from '../../config/settings/setting-types.ts';
import { loadFunction } from '../../deploy/modules/module-target.ts';
import { errorMessage } from '../../errors.ts';
import { type MountedRequest, toOriginForm } from '../../http/mount.ts';
import { pathEnd } from '../../http/url-path.ts';
import { printableLine } from '../../printable.ts';
import { notFound } from '../../protocol/default-handlers.ts';
import type { App, Settings } from '../../protocol/types.ts';
import { timerMs } from '../../timer.ts';

export const healthSettings = defineSettings(
  {
    check: {
      type: functionList,
      default: [],
      help: 'Functions to ask whether the application is ready, call:module:name each.',
      example: 'call:./health.js:database call:./health.js:queue',
    },
    timeout: { type: seconds, default: 5, help: 'Seconds that a check may take; then it has failed.' },
  },
  { meaning: 'reports whether the process is alive and ready: /healthz and /readyz' },
);

/** How long the result of the checks is reused: every client may ask for it, and a check may query a database. */
const KEPT_MS = 1000;

/** A check of the application's: not ready if it throws, rejects or returns false. */
export type HealthCheck = () => unknown;

/** Options of `health`. */
export interface HealthOptions {
  /** Checks by their names in the response. Default: none. */
  readonly checks?: Readonly<Record<string, HealthCheck>>;
  /** Seconds that a check may take; then it has failed. Default: 5. */
  readonly timeout?: number;
  /** Show the reason of a failed check in the response, not only on standard error. Default: false. */
  readonly showFailures?: boolean;
}

/**
 * An application that responds to `/healthz` (`/livez`) with 200 and to `/readyz` (`/health`) with 200 or 503, both with
 * JSON, wherever it is mounted. It is not ready while a check fails, nor once the server has begun to drain.
 */
export function health({ checks = {}, timeout = 5, showFailures = false }: HealthOptions = {}): App {
  const names = Object.keys(checks);
  let isDraining = false;
  let lastRun: Promise<Map<string, string>> | undefined;
  let lastRunEnded = Number.NEGATIVE_INFINITY;

  /** Requests during a run, or within a second of its end, share its result. */
  const runSharedChecks = (): Promise<Map<string, string>> => {
    if (lastRun === undefined || performance.now() - lastRunEnded >= KEPT_MS) {
      lastRunEnded = Number.POSITIVE_INFINITY;
      lastRun = runChecks(checks, timeout).finally(() => {
        lastRunEnded = performance.now();
      });
    }
    return lastRun;
  };

  const app: App = async (req: MountedRequest, res) => {
    toOriginForm(req);
    const url = req.url ?? '/';
    const path = ((req.baseUrl ?? '') + url.slice(0, pathEnd(url))).replace(/(?<!\/)\/+$/, '');
    const isLiveness = /\/(?:healthz|livez)$/.test(path);
    if (!isLiveness && !/\/(?:readyz|health)$/.test(path)) return void notFound(req, res);
    if (req.method !== 'GET' && req.method !== 'HEAD') {
      res.writeHead(405, { allow: 'GET, HEAD', 'content-length': 0 });
      return void res.end();
    }
    const failures = isLiveness || isDraining ? new Map<string, string>() : await runSharedChecks();
    const isGood = isLiveness || (!isDraining && failures.size === 0);
    const states = names.map((name) => [name, shownState(failures.get(name), showFailures)] as const);
    const body = JSON.stringify({
      status: isGood ? 'ok' : isDraining ? 'draining' : 'failing',
      ...(isLiveness || isDraining || names.length === 0 ? {} : { checks: Object.fromEntries(states) }),
    });
    res.writeHead(isGood ? 200 : 503, {
      'content-type': 'application/json',
      'cache-control': 'no-store',
      'content-length': Buffer.byteLength(body) + 1,
    });
    res.end(`${body}\n`);
  };
  app.drain = () => {
    isDraining = true;
  };
  return app;
}

/** Makes the application of an `[app:*]` section. @throws ConfigError if a check is not a function. */
export async function makeHealth(globalConf: Settings, settings: SettingsOf<typeof healthSettings>): Promise<App> {
  const checks: Record<string, HealthCheck> = Object.create(null);
  for (const expression of settings.check) {
    const name = expression.slice(expression.lastIndexOf(':') + 1);
    // Two modules may have a check of the same name.
    checks[name in checks ? expression : name] = (await loadFunction('check', expression, globalConf)) as HealthCheck;
  }
  return health({ checks, timeout: settings.timeout, showFailures: debugFlags(globalConf).debug });
}
makeHealth.settings = healthSettings;

/** Runs all checks at once. @returns the reasons of those that failed, by name. */
async function runChecks(checks: Readonly<Record<string, HealthCheck>>, limit: number): Promise<Map<string, string>> {
  const failures = new Map<string, string>();
  await Promise.all(
    Object.entries(checks).map(async ([name, check]) => {
      const failure = await failureOf(check, limit);
      if (failure === undefined) return;
      failures.set(name, failure);
      process.stderr.write(`${printableLine(`health: ${name} ${failure}`)}\n`);
    }),
  );
  return failures;
}

async function failureOf(check: HealthCheck, limit: number): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(resolve, timerMs(limit), `has not responded within ${limit} s`);
  });
  try {
    return await Promise.race([
      late,
      Promise.resolve(check()).then((result) => (result === false ? 'returned false' : undefined)),
    ]);
  } catch (error) {
    return `failed: ${errorMessage(error)}`;
  } finally {
    clearTimeout(timer);
  }
}

/** The reason of a failure may be confidential. */
function shownState(failure: string | undefined, isShown: boolean): string {
  if (failure === undefined) return 'ok';
  return isShown ? failure : 'failing';
}
