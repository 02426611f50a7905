/** Ctrl-C, and the signals that end a program, while something is being made: it is taken back, nothing stays half. */
import { constants } from 'node:os';

/** Thrown where work stops because somebody wants it to. */
export class Interruption extends Error {
  constructor() {
    super('interrupted');
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** What a shell adds to a signal's number for the status of a program that it has ended. */
const STATUS_OF_SIGNALS = 128;

/**
 * Runs `work`, which stops with an Interruption when its signal is aborted.
 * @returns what it returns; the exit status for the signal, or for Ctrl-C at a question, if it was interrupted.
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
    return STATUS_OF_SIGNALS + constants.signals[received];
  } finally {
    for (const signal of SIGNALS) process.off(signal, stop);
  }
}
