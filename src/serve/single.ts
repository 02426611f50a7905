/** `serve` in one process: no supervisor, no workers, no reload. */
import { LoadSession } from '../deploy/session.ts';
import { EXIT_OK, formatLocation } from '../errors.ts';
import type { Logger } from '../log.ts';
import { announce } from './announce.ts';
import { loadPlannedApp, loadPlannedServer, type ServePlan } from './plan.ts';

/** Serves until a signal ends it. @returns The exit status. */
export async function serveSingle(plan: ServePlan, out: (line: string) => void, log: Logger): Promise<number> {
  const session = new LoadSession(plan.globalConf);
  const server = await loadPlannedServer(plan, session);
  const app = await loadPlannedApp(plan, session);
  warnAll(session, log);
  if (server.runner) {
    await app.ready?.();
    await server.runner(app);
    return EXIT_OK;
  }
  const running = await server.serve(app, undefined, log);
  announce(process.pid, server.scheme, running.addresses, out);
  const stopped = new Promise<void>((resolve) => {
    onStop((graceful) => resolve(running.close({ graceful, timeout: server.settings.graceful_timeout })));
  });
  process.on('SIGHUP', () => log.warn('HUP: one process cannot take itself over; set workers to reload without a gap'));
  await Promise.race(running.finished ? [stopped, running.finished] : [stopped]);
  return EXIT_OK;
}

/** What loading had to say, on the terminal. */
export function warnAll(session: LoadSession, log: Logger): void {
  for (const { message, location } of session.warnings) log.warn(`${formatLocation(location)}: ${message}`);
}

/** TERM stops gracefully, INT and QUIT at once, as gunicorn has them; also when they come after a TERM. */
function onStop(stop: (graceful: boolean) => void): void {
  process.on('SIGTERM', () => stop(true));
  process.on('SIGINT', () => stop(false));
  process.on('SIGQUIT', () => stop(false));
}
