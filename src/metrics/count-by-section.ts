/** What loading needs of the meter, without the meter: a program that calls `loadApp` counts nothing. */
import type { App } from '../protocol/types.ts';
import { INFLIGHT, type MeteredRequest } from './inflight-requests.ts';
import type { SectionCounter } from './section-counter.ts';

/** Where the process has its meter. All copies of paster share it: the command may be another installation than a part imports. */
export const METER: unique symbol = Symbol.for('paster.meter');

interface SectionMeter {
  readonly isWatching: boolean;
  readonly isCounting: boolean;
  counter(section: string): SectionCounter;
}

const shared: typeof globalThis & { readonly [METER]?: SectionMeter } = globalThis;

/**
 * Wraps an application so that its requests are counted for a section of the INI file, unless they reach a section further
 * in. If nothing is counted, as in a program that calls `loadApp`, the application stays the object that the factory made.
 */
export function countBySection(app: App, section: string): App {
  const meter = shared[METER];
  if (!meter?.isWatching && !meter?.isCounting) return app;
  const counter = meter.counter(section);
  const wrapped: App = (req: MeteredRequest, res) => {
    const request = req[INFLIGHT];
    if (request !== undefined) request.counter = counter;
    return app(req, res);
  };
  // Composites and filters find the application's other properties on the wrapper too.
  Object.setPrototypeOf(wrapped, app);
  for (const name of ['ready', 'drain', 'close', 'upgrade'] as const) {
    const hook = app[name] as ((...args: unknown[]) => unknown) | undefined;
    if (hook) wrapped[name] = (...args: unknown[]) => hook.apply(app, args);
  }
  return wrapped;
}
