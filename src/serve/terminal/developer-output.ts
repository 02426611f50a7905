/** Whether a server is for development, and what its processes then show at a terminal. */
import { isatty } from 'node:tty';
import { debugFlags } from '../../config/debug.ts';
import type { LoadedServer } from '../../deploy/load.ts';
import { reportFailuresTo } from '../../diagnostics/failure-reporter.ts';
import type { LogLevel } from '../../log.ts';
import type { App } from '../../protocol/types.ts';
import type { DeveloperLog } from './terminal-log.ts';

/** With `--reload` or `debug = true`. */
export function isDevelopment(reload: boolean, { context }: LoadedServer): boolean {
  return reload || debugFlags(context.globalConf).debug;
}

/** Whether a developer can type at the terminal of a server that can reload: not in CI, and not for `--quiet`. */
export function takesKeys({ reload, logLevel }: DevelopmentPlan, server: LoadedServer): boolean {
  const isSupervised = reload || server.workers !== undefined;
  const isTerminal = process.stdout.isTTY && isatty(0);
  return isSupervised && isTerminal && !process.env['CI'] && logLevel !== 'warn' && isDevelopment(reload, server);
}

/** Shows reloads and errors, if this process writes to a terminal. */
export async function developerLog(
  { reload, logLevel, directory }: DevelopmentPlan & { readonly directory: string },
  server: LoadedServer,
): Promise<DeveloperLog | undefined> {
  if (!process.stderr.isTTY || server.oneShot || !isDevelopment(reload, server)) return undefined;
  const { DeveloperLog } = await import('./terminal-log.ts');
  return new DeveloperLog(logLevel === 'debug', directory);
}

/** Shows errors of requests, if this process writes to a terminal. @returns the log, for other errors */
export async function showFailures(
  plan: DevelopmentPlan & { readonly directory: string },
  server: LoadedServer,
): Promise<DeveloperLog | undefined> {
  const log = await developerLog(plan, server);
  if (log) reportFailuresTo((title, error) => void log.failed(error, title));
  return log;
}

interface DevelopmentPlan {
  readonly reload: boolean;
  readonly logLevel: LogLevel;
}

/**
 * To be called before the application is loaded.
 * @returns What wraps the loaded application so that each request is shown, if this process writes to a terminal.
 */
export async function shownRequests(
  { reload, logLevel }: DevelopmentPlan,
  server: LoadedServer,
): Promise<(app: App) => App> {
  const isShown = process.stdout.isTTY && logLevel !== 'warn' && !server.oneShot && isDevelopment(reload, server);
  if (!isShown) return (app) => app;
  // Loaded late: scripts do not need it.
  const { offerRequestLines } = await import('./request-lines.ts');
  return offerRequestLines(process.stdout);
}
