/**
 * The signals that end a program. paster ends a worker when its requests have ended, so handlers that the program adds for
 * these signals are kept and called then, and not when the signal arrives: a program that calls `process.exit()` there
 * would cut the requests in flight.
 */
import { constants } from 'node:os';

type Handler = (signal: string, number: number) => unknown;

/** If a program handles several, the first one is used: `TERM` comes from a service manager, `INT` from a terminal. */
export const STOP_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

const ADDING = ['on', 'once', 'addListener', 'prependListener', 'prependOnceListener'] as const;
const REMOVING = ['off', 'removeListener'] as const;

/** How long a program may go on after its handlers have returned, if it does not call `process.exit`. */
const MAX_END_MS = 2000;
const LOOK_MS = 20;

export class StopSignals {
  readonly #handlers = new Map<string, Set<Handler>>();
  /** The sockets, files and children that were open before the program was. */
  readonly #resourcesBefore = countResources();
  readonly #exit = process.exit;
  readonly #kill = process.kill;
  readonly #exited: Promise<void>;
  #setExited = (): void => {};
  #timersBefore = 0;
  #begun: Promise<boolean> | undefined;
  readonly #signals: readonly string[];

  /** @param signals in the order in which they are tried */
  constructor(signals: readonly string[] = STOP_SIGNALS) {
    this.#signals = signals;
    this.#exited = new Promise((resolve) => {
      this.#setExited = resolve;
    });
    const emitter = process as unknown as Record<string, (event: string, listener: Handler) => unknown>;
    for (const name of ADDING) {
      const add = emitter[name]?.bind(process);
      emitter[name] = (event, listener) => {
        if (!this.#isStopSignal(event)) return add?.(event, listener);
        const handlers = this.#handlers.get(event) ?? new Set();
        this.#handlers.set(event, handlers.add(listener));
        return process;
      };
    }
    for (const name of REMOVING) {
      const remove = emitter[name]?.bind(process);
      emitter[name] = (event, listener) => {
        if (this.#handlers.get(event)?.delete(listener)) return process;
        return remove?.(event, listener);
      };
    }
    this.#hideOthers();
  }

  #isStopSignal(event: unknown): event is string {
    return this.#signals.some((signal) => signal === event);
  }

  /** Replaces the methods that list and remove handlers, so that the program finds its own and not those of paster. */
  #hideOthers(): void {
    const { listeners, rawListeners, listenerCount, removeAllListeners } = process;
    const own = (event: unknown): Handler[] | undefined =>
      this.#isStopSignal(event) ? [...(this.#handlers.get(event) ?? [])] : undefined;
    const replaced = {
      listeners: (event: string) => own(event) ?? Reflect.apply(listeners, process, [event]),
      rawListeners: (event: string) => own(event) ?? Reflect.apply(rawListeners, process, [event]),
      listenerCount: (event: string, ...rest: unknown[]) =>
        own(event)?.length ?? Reflect.apply(listenerCount, process, [event, ...rest]),
      removeAllListeners: (...events: string[]) => {
        const [event] = events;
        if (event === undefined) this.#handlers.clear();
        else if (!this.#handlers.delete(event) && !this.#isStopSignal(event)) {
          Reflect.apply(removeAllListeners, process, [event]);
        }
        return process;
      },
    };
    Object.assign(process, replaced);
  }

  /**
   * Calls the program's handlers of the first of these signals that it handles. From then on `process.exit` only notes that the
   * program has finished, until `end`.
   * @returns whether there are handlers, when what they return has settled or the program has called `process.exit`
   */
  begin(): Promise<boolean> {
    this.#begun ??= this.#callHandlers();
    return this.#begun;
  }

  /**
   * Calls the handlers as `begin` does, and waits until the program has finished.
   * @param finished resolves then. Default: when it shows no more activity, after two seconds at most
   */
  async end(finished?: Promise<void>): Promise<void> {
    try {
      await this.begin();
      await Promise.race([this.#exited, finished ?? this.#finished()]);
    } finally {
      this.release();
    }
  }

  /** Gives back `process.exit` after `begin`, for a program without handlers: it ends at once. */
  release(): void {
    Object.assign(process, { exit: this.#exit, kill: this.#kill });
  }

  async #callHandlers(): Promise<boolean> {
    const signal = this.#signals.find((name) => this.#handlers.get(name)?.size);
    this.#timersBefore = countTimers();
    process.exit = (() => this.#setExited()) as unknown as typeof process.exit;
    // Some programs end themselves by sending the signal again, without their handlers: Nest does.
    process.kill = (pid, sent = 'SIGTERM') => {
      if (pid !== process.pid || !this.#isStopSignal(sent)) return this.#kill.call(process, pid, sent);
      this.#setExited();
      return true;
    };
    const handlers = signal === undefined ? [] : [...(this.#handlers.get(signal) ?? [])];
    const results = handlers.map(async (handler) =>
      Reflect.apply(handler, process, [signal ?? '', constants.signals[(signal ?? 'SIGTERM') as NodeJS.Signals] ?? 0]),
    );
    await Promise.race([this.#exited, Promise.all(results)]);
    return handlers.length > 0;
  }

  /** Until the program has closed what it had opened and its handlers' timers have fired, as far as Node shows it. */
  async #finished(): Promise<void> {
    const end = performance.now() + MAX_END_MS;
    do await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    while ((countResources() > this.#resourcesBefore || countTimers() > this.#timersBefore) && performance.now() < end);
  }
}

function countResources(): number {
  return process.getActiveResourcesInfo().filter((name) => name !== 'Timeout' && name !== 'Immediate').length;
}

function countTimers(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
}
