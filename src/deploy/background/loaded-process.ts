/** Runs what a `[process:*]` section describes, in this process. */
import { subscribe } from 'node:diagnostics_channel';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { ConfigError, errorCode } from '../../errors.ts';
import { describeValue } from '../../protocol/shapes/describe.ts';
import { createSectionApp, factoryContext, factoryFunction, loadTarget, returned, runPartCode } from '../compose.ts';
import { type Context, describePart, type FactoryContext, sectionPlace } from '../context.ts';
import { builtinCheck, declaredSchema } from '../schema.ts';
import type { BackgroundObject, OwnProcess, ProcessHooks } from './process-object.ts';
import { backgroundSettings, factorySettings, readBackgroundSettings } from './process-settings.ts';
import { type RequestTaskSettings, requestedApp, requestTask } from './request-task.ts';

/** A process that runs. */
export interface RunningProcess {
  /** Resolves when it has ended. Rejects with the error that it has failed with. */
  readonly finished: Promise<void>;
  readonly endsWhenIdle: boolean;
  childMemory(): number;
  /** Stops it, and resolves when it has ended. Without `graceful` it is killed, as far as this process can do that. */
  stop(options: { readonly graceful: boolean }): Promise<void>;
}

/** A factory with three parameters is the process itself: `async (globalConf, localConf, signal) => { ... }`. */
const PARAMETERS_OF_RUN = 3;

/**
 * Imports the code of a section, calls its factory, and runs what that returns. Resolves when it has started.
 * @throws ConfigError for the settings; RunError when the code fails before it has started
 */
export async function runProcess(described: Context, hooks: ProcessHooks): Promise<RunningProcess> {
  const context = factoryContext(described);
  const listening = context.kind === 'process' ? watchListens() : undefined;
  const made = await loadTarget(context);
  const settings = await allSettings(made, context);
  const abort = new AbortController();
  const { signal } = abort;
  const { process, run } = await runPartCode(context, () =>
    context.kind === 'task' && context.protocol !== 'object' && !declaredSchema(made)
      ? makeTask(made, context, settings)
      : makeProcess(made, context, settings, signal),
  );
  const own = isOwn(process) ? process : undefined;
  if (own && 'onGroup' in own) Object.assign(own, { onGroup: hooks.onGroup });
  const finished = (async () => run(signal))().then(
    () => {},
    (error: unknown) => {
      // Code that waits with the signal usually ends with this error.
      if (!signal.aborted || errorCode(error) !== 'ABORT_ERR') throw error;
    },
  );
  // Reported by the caller, later.
  finished.catch(() => {});
  hooks.onBegun?.();
  const stopped = untilAborted(hooks.stopped);
  if (own) await runPartCode(context, () => Promise.race([own.started, stopped]));
  // The old process may still have the port. Then this one has not started, and must not replace the old one.
  await Promise.race([listening?.(), stopped]);
  let stopping: Promise<unknown> | undefined;
  return {
    finished,
    endsWhenIdle: own?.endsWhenIdle ?? false,
    childMemory: () => own?.childMemory?.() ?? 0,
    async stop({ graceful }) {
      abort.abort();
      if (!graceful) own?.kill?.();
      // A second signal asks again, but stop() of the user's code must be called only once.
      stopping ??= (async () => process?.stop?.())();
      await stopping;
      await finished;
    },
  };
}

function untilAborted(signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) resolve();
    else signal?.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** The settings to call the factory of a section with; those that paster reads are checked too. */
async function allSettings(made: unknown, context: FactoryContext): Promise<unknown> {
  if (context.kind !== 'task') {
    await readBackgroundSettings(context);
    return factorySettings(made, context, backgroundSettings);
  }
  // Loaded late: a process has no schedule to parse.
  const { readTaskSettings, taskSettings } = await import('./task-settings.ts');
  await readTaskSettings(context);
  return factorySettings(made, context, taskSettings);
}

/**
 * Checks the export that a section names, and its settings. Calls nothing of it, except its schema.
 * @returns the settings
 * @throws ConfigError, or ErrorList for several errors
 */
export async function checkMade(made: unknown, context: FactoryContext): Promise<unknown> {
  if (context.protocol === 'object') asProcess(made, context);
  else factoryFunction(made, context);
  return allSettings(made, context);
}

/**
 * Finds what is wrong with a section. Checks that the user's code exists, and imports it only if `imports` is true.
 * @throws as `runProcess`
 */
export async function checkSection(described: Context, { imports }: { readonly imports: boolean }): Promise<void> {
  const context = factoryContext(described);
  const { find } = context.target;
  if (find && !imports) {
    await runPartCode(context, find);
    return;
  }
  const made = await loadTarget(context);
  await runPartCode(context, async () => {
    const settings = await checkMade(made, context);
    await builtinCheck(made)?.(context.globalConf, settings);
    const app = requestedApp(made, settings);
    if (app !== undefined) await appContext(app, context);
  });
}

/** The application that a task sends a request to. */
function appContext(name: string, context: FactoryContext): Promise<Context> {
  const place = context.origins.get('app')?.locate(0) ?? sectionPlace(context);
  return context.loader.context('app', name, context.globalConf, [], place);
}

/** The function of a task does the work itself, unless it returns a function or an object like that of a process. */
function makeTask(made: unknown, context: FactoryContext, settings: unknown): Made {
  const make = factoryFunction(made, context);
  let task: BackgroundObject | undefined;
  return {
    process: { run: () => {}, stop: () => task?.stop?.() },
    async run(signal) {
      const value = await make(context.globalConf, settings, signal);
      if (typeof value !== 'function' && (typeof value !== 'object' || value === null || !('run' in value))) return;
      const { process, run } = asProcess(value, context);
      task = process;
      await run(signal);
    },
  };
}

interface Made {
  readonly process: BackgroundObject | undefined;
  readonly run: (signal: AbortSignal) => unknown;
}

async function makeProcess(
  made: unknown,
  context: FactoryContext,
  settings: unknown,
  signal: AbortSignal,
): Promise<Made> {
  if (context.protocol === 'object') return asProcess(made, context);
  if (made === requestTask) {
    const loadApp = async (name: string) => createSectionApp(await appContext(name, context));
    return asProcess(requestTask(settings as RequestTaskSettings, loadApp), context);
  }
  const make = factoryFunction(made, context);
  if (make.length >= PARAMETERS_OF_RUN) {
    return { process: undefined, run: () => make(context.globalConf, settings, signal) };
  }
  return asProcess(returned(await make(context.globalConf, settings), context), context);
}

function asProcess(value: unknown, context: FactoryContext): Made {
  if (typeof value === 'function') return { process: undefined, run: value as Made['run'] };
  if (typeof value === 'object' && value !== null && 'run' in value && typeof value.run === 'function') {
    const process = value as BackgroundObject;
    return { process, run: (signal) => process.run(signal) };
  }
  throw new ConfigError('PASTER_NOT_A_PROCESS', `${describePart(context)} made no process: ${describeValue(value)}`, {
    location: sectionPlace(context),
    hint: 'a process is a function of an AbortSignal, or an object with run() and stop()',
  });
}

function isOwn(process: BackgroundObject | undefined): process is OwnProcess {
  return process !== undefined && 'started' in process && process.started instanceof Promise;
}

const LOOK_MS = 10;
/** The lookup of a host name may take long. It must not delay the start of a process for longer than this. */
const MAX_LOOKUP_MS = 2000;

/**
 * Watches the servers that the user's code starts: whether they can listen is known only some time after `listen()`. To be called
 * before that code runs.
 * @returns a function that waits until every server that has called `listen()` listens, or has failed
 */
function watchListens(): () => Promise<void> {
  const pending = new Set<unknown>();
  const server = (message: unknown) => (message as { readonly server: unknown }).server;
  // Not every version of Node emits these: without them, only errors that come at once are noticed.
  subscribe('tracing:net.server.listen:asyncStart', (message) => pending.add(server(message)));
  subscribe('tracing:net.server.listen:asyncEnd', (message) => pending.delete(server(message)));
  subscribe('tracing:net.server.listen:error', (message) => pending.delete(server(message)));
  return async () => {
    const limit = performance.now() + MAX_LOOKUP_MS;
    // `listen()` may be called in a callback of this turn, and an error is emitted in a later one.
    await turn();
    while (pending.size > 0 && performance.now() < limit) await sleep(LOOK_MS);
    await turn();
  };
}
