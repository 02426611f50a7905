/** Which section of the INI file a request is counted for. */
import type { App } from '../protocol/types.ts';
import { IN_HAND, type MeteredRequest } from './in-hand.ts';
import { meter } from './meter.ts';

/**
 * The application with its requests counted for a section of the INI file, if no section further in gets them. What a
 * program loads for itself, and nobody counts, stays the object that the factory has made.
 */
export function attributed(app: App, section: string): App {
  const { isAttended, isCounting } = meter();
  if (!isAttended && !isCounting) return app;
  const tally = meter().tally(section);
  const wrapped: App = (req: MeteredRequest, res) => {
    const request = req[IN_HAND];
    if (request !== undefined) request.tally = tally;
    return app(req, res);
  };
  // Whatever else an application says of itself, composites and filters find on this one too.
  Object.setPrototypeOf(wrapped, app);
  for (const name of ['ready', 'drain', 'close', 'upgrade'] as const) {
    const hook = app[name] as ((...args: unknown[]) => unknown) | undefined;
    if (hook) wrapped[name] = (...args: unknown[]) => hook.apply(app, args);
  }
  return wrapped;
}
