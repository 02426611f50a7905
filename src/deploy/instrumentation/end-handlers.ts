/**
 * What a preloaded module does when its process ends: its export `shutdown`, or else the handlers that it has added for signals or for
 * `beforeExit`. paster calls them when the last request has ended. Without this, a handler of TERM would stop tracing
 * while requests are in flight, since systemd sends TERM to every process, and after HUP it would never be called.
 */
import { setTimeout as sleep } from 'node:timers/promises';

type Handler = (...args: unknown[]) => unknown;

/** In this order; the handlers of the first one that has any are called. */
const EVENTS = ['SIGTERM', 'SIGINT', 'SIGHUP', 'beforeExit'] as const;

/** For a handler that neither returns a promise nor calls `process.exit()`. */
const UNKNOWN_END_MS = 1000;

export class EndHandlers {
  /** The exports of the module. */
  exported: Readonly<Record<string, unknown>> = {};
  readonly #before = new Map(EVENTS.map((event) => [event, new Set(listenersOf(event))]));
  readonly #own = new Map<(typeof EVENTS)[number], Handler[]>();

  /** Removes the handlers that were added to the process since this object was created, and keeps them for `end`. */
  collect(): void {
    for (const event of EVENTS) {
      const added = listenersOf(event).filter((handler) => !this.#before.get(event)?.has(handler));
      if (added.length > 0) this.#own.set(event, added);
      for (const handler of added) process.removeListener(event, handler);
    }
  }

  /** Calls them. @returns whether they have finished within `limit` milliseconds */
  async end(limit: number): Promise<boolean> {
    const shutdown = functionIn(this.exported, 'shutdown') ?? functionIn(this.exported['default'], 'shutdown');
    const event = EVENTS.find((name) => this.#own.has(name));
    const handlers = shutdown ? [shutdown] : event === undefined ? [] : (this.#own.get(event) ?? []);
    if (handlers.length === 0) return true;
    const { exit } = process;
    const exited = new Promise<void>((resolve) => {
      process.exit = (() => resolve()) as unknown as typeof process.exit;
    });
    const late = new AbortController();
    try {
      const results = handlers.map((handler) => handler(...(shutdown ? [] : [event])));
      const isKnown = shutdown !== undefined || results.every(isPromise);
      const settled = Promise.all(results).then(() => (isKnown ? undefined : sleep(UNKNOWN_END_MS)));
      const isDone = await Promise.race([
        Promise.race([settled, exited]).then(() => true),
        sleep(limit, false, { signal: late.signal }),
      ]);
      return isDone;
    } finally {
      late.abort();
      process.exit = exit;
    }
  }
}

function listenersOf(event: string): Handler[] {
  return process.rawListeners(event as 'SIGTERM') as unknown as Handler[];
}

function functionIn(holder: unknown, name: string): Handler | undefined {
  const value = typeof holder === 'object' && holder !== null ? Reflect.get(holder, name) : undefined;
  return typeof value === 'function' ? (...args) => value.apply(holder, args) : undefined;
}

function isPromise(value: unknown): boolean {
  return typeof value === 'object' && value !== null && typeof Reflect.get(value, 'then') === 'function';
}
