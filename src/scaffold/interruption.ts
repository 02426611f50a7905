/** Lets Ctrl-C and the signals that end a program interrupt work that undoes itself, so that nothing stays half done. */
import { constants } from 'node:os';

/** Thrown by work that stops because the user or a signal interrupted it. */
export class Interruption extends Error {
  constructor() {
    super('interrupted');
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** A shell reports a program that a signal has ended by this status plus the signal's number. */
const SIGNAL_STATUS = 128;

/**
 * Runs `work`, which throws an Interruption if its signal is aborted.
 * @returns the result of `work`; if it was interrupted, the exit status for the signal, SIGINT for Ctrl-C at a question
 */
export async function interruptible(
  work: (signal: AbortSignal) => Promise<number>,
  interrupted: () => void,
): Promise<number> {
  const controller = new AbortController();
  let received: (typeof SIGNALS)[number] = 'SIGINT';
  const stop = (signal: NodeJS.Signals): void => {
    received = SIGNALS.find((each) => each === signal) ?? received;
    controller.abort();
  };
  for (const signal of SIGNALS) process.on(signal, stop);
  try {
    return await work(controller.signal);
  } catch (error) {
    if (!(error instanceof Interruption)) throw error;
    interrupted();
    return SIGNAL_STATUS + constants.signals[received];
  } finally {
    for (const signal of SIGNALS) process.off(signal, stop);
  }
}
