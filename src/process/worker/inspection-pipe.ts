/**
 * The pipe between the supervisor and a second thread of a worker, which inspects the main thread. Their messages do not pass
 * through the main thread, which may be blocked. The thread starts when it is first needed.
 */
import { Socket } from 'node:net';
import { errorMessage, RunError } from '../../errors.ts';
import { LineReader, lineOf, readLine } from '../ipc/lines.ts';
import { FROM_THREAD, type Inspection, inspect } from './inspection.ts';

type ToThread = { readonly id: number; readonly what: Inspection } | { readonly id: number; readonly cancel: true };

type FromThread = { readonly id: number } & (
  | { readonly begun: true }
  | { readonly piece: string }
  | { readonly result: unknown }
  | { readonly error: string }
);

/** Limited, because the application of the worker can write to the pipe too. */
const LONGEST_LINE = 4 * 2 ** 20;
/** How long a worker may take to start the thread. */
const BEGIN_MS = 3000;

/** The thread's side. */
export function serveInspections(fd: number): void {
  const pipe = new Socket({ fd, readable: true, writable: true });
  pipe.on('error', () => pipe.destroy());
  const running = new Map<number, AbortController>();
  const send = (message: FromThread): Promise<void> =>
    new Promise((resolve) => {
      pipe.write(lineOf(message), () => resolve());
    });
  const run = async (id: number, what: Inspection): Promise<void> => {
    const cancel = new AbortController();
    running.set(id, cancel);
    void send({ id, begun: true });
    try {
      const result = await inspect(what, FROM_THREAD, (piece) => send({ id, piece }), cancel.signal);
      // JSON leaves out what is undefined.
      void send({ id, result: result ?? null });
    } catch (error) {
      void send({ id, error: errorMessage(error) });
    } finally {
      running.delete(id);
    }
  };
  new LineReader(pipe, LONGEST_LINE).onLine = (line) => {
    const message = readLine<ToThread>(line);
    if (!message) return;
    if ('cancel' in message) running.get(message.id)?.abort();
    else void run(message.id, message.what);
  };
}

interface Waiting {
  readonly receive: (message: FromThread) => void;
  readonly fail: () => void;
}

/** The supervisor's side. */
export class InspectionPipe {
  readonly #pipe: Socket;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;

  constructor(pipe: Socket) {
    this.#pipe = pipe;
    pipe.on('error', () => pipe.destroy());
    pipe.on('close', () => {
      for (const { fail } of this.#waiting.values()) fail();
    });
    new LineReader(pipe, LONGEST_LINE).onLine = (line) => {
      const message = readLine<FromThread>(line);
      if (message) this.#waiting.get(message.id)?.receive(message);
    };
  }

  /**
   * @param pid of the worker, for messages
   * @param send takes pieces of a long text; the thread waits until there is room for more
   * @param gone ends a profile early
   */
  ask(pid: number, what: Inspection, send: (piece: string) => Promise<void>, gone: AbortSignal): Promise<unknown> {
    const id = ++this.#lastId;
    const cancel = (): void => void this.#pipe.write(lineOf({ id, cancel: true } satisfies ToThread));
    return new Promise((resolve, reject) => {
      const ended = (): void => reject(new RunError('PASTER_WORKER_ENDED', `worker ${pid} has ended`));
      const late = setTimeout(() => reject(blockedError(pid)), BEGIN_MS);
      this.#waiting.set(id, {
        fail: ended,
        receive: (message) => {
          clearTimeout(late);
          if ('piece' in message) {
            this.#pipe.pause();
            void send(String(message.piece)).then(() => this.#pipe.resume());
          } else if ('result' in message) resolve(message.result);
          else if ('error' in message) {
            reject(new RunError('PASTER_INSPECTION', `worker ${pid}: ${message.error}`));
          }
        },
      });
      gone.addEventListener('abort', cancel, { once: true });
      if (this.#pipe.destroyed) ended();
      else this.#pipe.write(lineOf({ id, what } satisfies ToThread));
    }).finally(() => {
      this.#waiting.delete(id);
      gone.removeEventListener('abort', cancel);
    });
  }
}

function blockedError(pid: number): RunError {
  return new RunError('PASTER_BLOCKED', `worker ${pid} is blocked, and has no thread that could inspect it`, {
    hint: 'with worker_timeout in the section of the server, it has one from its start',
  });
}
