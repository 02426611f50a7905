/**
 * Signals as a queue: the handlers only write down what came, and one loop acts on it. The vocabulary is gunicorn's:
 * TERM stops gracefully, INT and QUIT at once, HUP reloads, TTIN and TTOU change the number of workers, USR1 reopens
 * the log files; USR2 has the server say how it is. Runs in the supervisor and in a process that serves alone.
 */

export const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGTTIN', 'SIGTTOU', 'SIGUSR1', 'SIGUSR2'] as const;
export type Signal = (typeof SIGNALS)[number];

/** What a supervisor can be told; the part of it that signals need. */
export interface Supervised {
  reload(reason: string): Promise<unknown>;
  addWorker(): Promise<void>;
  removeWorker(): Promise<void>;
  reopenLogs(): void;
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

/** Acts on signals until the supervisor has finished. `reopenLogs` is for the files of this process itself. */
export async function obeySignals(supervisor: Supervised, reopenLogs: () => void = () => {}): Promise<void> {
  const signals = arrivingSignals();
  const finished = supervisor.finished.then(() => undefined);
  for (;;) {
    const next = await Promise.race([signals.next(), finished]);
    if (next === undefined || next.done) break;
    act(next.value, supervisor, reopenLogs);
  }
  // The generator waits within `next()` and cannot be told to return: its handlers go with the process.
}

/** Starts what a signal asks for and waits for nothing: a TERM has to be heard while a HUP is under way. */
function act(signal: Signal, supervisor: Supervised, reopenLogs: () => void): void {
  switch (signal) {
    case 'SIGTERM':
      void supervisor.stop({ graceful: true });
      return;
    case 'SIGINT':
    case 'SIGQUIT':
      void supervisor.stop({ graceful: false });
      return;
    case 'SIGHUP':
      void supervisor.reload('HUP');
      return;
    case 'SIGTTIN':
      void supervisor.addWorker();
      return;
    case 'SIGTTOU':
      void supervisor.removeWorker();
      return;
    case 'SIGUSR1':
      reopenLogs();
      supervisor.reopenLogs();
      return;
    case 'SIGUSR2':
      void supervisor.report();
  }
}
