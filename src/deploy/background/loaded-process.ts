/** Runs what a `[process:*]` section describes, in this process. */
import { ConfigError, errorCode } from '../../errors.ts';
import { describeValue } from '../../protocol/shapes/describe.ts';
import { factoryContext, factoryFunction, loadTarget, returned, runPartCode } from '../compose.ts';
import { type Context, describePart, type FactoryContext, sectionPlace } from '../context.ts';
import { factorySettings } from './process-settings.ts';

/** What a factory makes: a function that runs until the signal is aborted, or an object with such a function. */
export type BackgroundProcess = ((signal: AbortSignal) => unknown) | BackgroundObject;

export interface BackgroundObject {
  /** Runs until the signal is aborted or `stop` is called. If it returns earlier, paster starts the process again. */
  run(signal: AbortSignal): unknown;
  stop?(): unknown;
}

/** What paster's own processes can do besides. */
export interface OwnProcess extends BackgroundObject {
  /** Resolves when it has started; rejects if it has not. */
  readonly started: Promise<void>;
  /** Whether it ends when nothing is left in the process that it could wait for. */
  readonly endsWhenIdle?: boolean;
  /** Ends it at once. */
  kill?(): void;
  /** Bytes of memory that its child processes hold. */
  childMemory?(): number;
}

export interface ProcessHooks {
  /** Gets the process group that the process has started, and that must end with it. */
  readonly onGroup: (pid: number) => void;
}

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
  const made = await loadTarget(context);
  const settings = await factorySettings(made, context);
  const abort = new AbortController();
  const { signal } = abort;
  const { process, run } = await runPartCode(context, () => makeProcess(made, context, settings, signal));
  const own = isOwn(process) ? process : undefined;
  if (own && 'onGroup' in own) Object.assign(own, { onGroup: hooks.onGroup });
  const finished = (async () => run(signal))().then(
    () => {},
    (error: unknown) => {
      // The usual end of what waits with the signal.
      if (!signal.aborted || errorCode(error) !== 'ABORT_ERR') throw error;
    },
  );
  // Reported by the caller, later.
  finished.catch(() => {});
  if (own) await runPartCode(context, () => own.started);
  return {
    finished,
    endsWhenIdle: own?.endsWhenIdle ?? false,
    childMemory: () => own?.childMemory?.() ?? 0,
    async stop({ graceful }) {
      abort.abort();
      if (!graceful) own?.kill?.();
      await process?.stop?.();
      await finished;
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
  const make = factoryFunction(made, context);
  if (make.length >= PARAMETERS_OF_RUN) {
    return { process: undefined, run: () => make(context.globalConf, settings, signal) };
  }
  return asProcess(returned(await make(context.globalConf, settings), context), context);
}

export function asProcess(value: unknown, context: FactoryContext): Made {
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
