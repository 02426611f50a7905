/**
 * Signals as a queue: the handlers only note what came, and one loop acts on it. The meanings are gunicorn's: TERM stops
 * gracefully, INT and QUIT at once, HUP reloads, TTIN and TTOU change the number of workers, USR1 reopens the log files, USR2
 * starts another process that takes over. WINCH logs the status of the server: a process that does not handle WINCH ignores it, so
 * a wrong pid does no harm. Runs in the supervisor and in a process that serves alone.
 */
import { isatty } from 'node:tty';

export const SIGNALS = [
  'SIGTERM',
  'SIGINT',
  'SIGQUIT',
  'SIGHUP',
  'SIGTTIN',
  'SIGTTOU',
  'SIGUSR1',
  'SIGUSR2',
  'SIGWINCH',
] as const;
export type Signal = (typeof SIGNALS)[number];

/** What signals control: a supervisor, or a server in one process. */
export interface SignalTarget {
  reload(reason: string): Promise<unknown>;
  addWorker(): Promise<unknown>;
  removeWorker(): Promise<void>;
  reopenLogs(): void;
  upgrade(): Promise<unknown>;
  report(): Promise<void>;
  stop(options: { graceful: boolean }): Promise<void>;
  readonly finished: Promise<void>;
}

/** The signals that come from now on, in order. Ending the loop gives them back to Node. */
export async function* arrivingSignals(signals: readonly Signal[] = SIGNALS): AsyncGenerator<Signal, void> {
  const queue: Signal[] = [];
  let wake = () => {};
  const note = (signal: Signal) => {
    queue.push(signal);
    wake();
  };
  for (const signal of signals) process.on(signal, note);
  try {
    for (;;) {
      const next = queue.shift();
      if (next !== undefined) yield next;
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    for (const signal of signals) process.off(signal, note);
  }
}

export interface SignalOptions {
  /** Reopens the log files of this process. */
  readonly reopenLogs: () => void;
  /** Whether the server ends when its terminal is closed. The system sends HUP then, as for a reload. */
  readonly endsWithTerminal: boolean;
  /** Whether this process must ignore a signal, because another process has taken over. */
  readonly takes: (signal: Signal) => boolean;
}

/** Acts on signals until the target has finished. */
export async function handleSignals(
  target: SignalTarget,
  { reopenLogs, endsWithTerminal, takes }: SignalOptions,
): Promise<void> {
  const signals = arrivingSignals();
  const finished = target.finished.then(() => undefined);
  const terminals = endsWithTerminal ? [0, 1, 2].filter(isatty) : [];
  for (;;) {
    const next = await Promise.race([signals.next(), finished]);
    if (next === undefined || next.done) break;
    if (takes(next.value)) continue;
    // For a descriptor of a closed terminal, isatty() is false.
    const hasLostTerminal = terminals.length > 0 && !terminals.some(isatty);
    act(next.value === 'SIGHUP' && hasLostTerminal ? 'SIGTERM' : next.value, target, reopenLogs);
  }
  // The generator waits within `next()` and cannot return: its handlers end with the process.
}

/** Starts what a signal asks for and does not wait for it: a TERM must have an effect during a HUP. */
function act(signal: Signal, target: SignalTarget, reopenLogs: () => void): void {
  switch (signal) {
    case 'SIGTERM':
      void target.stop({ graceful: true });
      return;
    case 'SIGINT':
    case 'SIGQUIT':
      void target.stop({ graceful: false });
      return;
    case 'SIGHUP':
      void target.reload('HUP');
      return;
    case 'SIGTTIN':
      void target.addWorker();
      return;
    case 'SIGTTOU':
      void target.removeWorker();
      return;
    case 'SIGUSR1':
      reopenLogs();
      target.reopenLogs();
      return;
    case 'SIGUSR2':
      // The log has the reason if it fails.
      target.upgrade().catch(() => {});
      return;
    case 'SIGWINCH':
      // A terminal sends WINCH when its size changes.
      if (![0, 1, 2].some(isatty)) void target.report();
  }
}
