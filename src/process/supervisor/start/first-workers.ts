/**
 * The processes of the first workers. They start before the sockets listen, and load nothing of the application until then. The
 * first of them makes the sockets listen: in the supervisor, Node would begin to accept on them.
 */
import type { ListenElsewhere } from '../../../net/held-socket.ts';
import type { WorkerHandle } from '../worker-handle.ts';

/** A worker that has not listened by then waits for a debugger, or in a module of NODE_OPTIONS. */
const LISTEN_LIMIT_MS = 3000;

export class FirstWorkers<Boot> {
  readonly #workers: WorkerHandle<Boot>[] = [];
  #listening: WorkerHandle<Boot> | undefined;

  /**
   * @param spawn starts a process; `listens`: one that can make its sockets listen
   * @returns a function that makes a socket listen, if it can. It throws as `listen(2)`.
   */
  start(count: number, boot: Boot, spawn: (how: { readonly listens: boolean }) => WorkerHandle<Boot>): ListenElsewhere {
    for (let index = 0; index < count; index++) {
      const worker = spawn({ listens: index === 0 });
      this.#listening ??= worker;
      worker.warm(boot, { rehearses: false });
      this.#workers.push(worker);
    }
    return (fd, backlog) => this.#listen(fd, backlog);
  }

  take(): WorkerHandle<Boot> | undefined {
    return this.#workers.shift();
  }

  async #listen(fd: number, backlog: number): Promise<boolean> {
    const worker = this.#listening;
    if (!worker) return false;
    let late: NodeJS.Timeout | undefined;
    const givenUp = new Promise<false>((resolve) => {
      late = setTimeout(resolve, LISTEN_LIMIT_MS, false);
      void worker.exited.then(() => resolve(false));
    });
    try {
      return await Promise.race([worker.listen(fd, backlog).then(() => true), givenUp]);
    } finally {
      clearTimeout(late);
    }
  }
}
