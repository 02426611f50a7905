/** What `ps`, `top` and `pgrep -f` show of a process. On Linux a title is cut to the length of the original command line. */
import { printableLine } from '../../printable.ts';

let own = process.title;

/** `paster: worker 2 of 4 etc/config.ini`. @param what the role of the process @param served what it serves */
export function titleOf(what: string, served: string | undefined): string {
  return printableLine(served === undefined ? `paster: ${what}` : `paster: ${what} ${served}`);
}

/** Sets the title of this process, unless the application has set its own. */
export function setTitle(title: string): void {
  if (process.title !== own) return;
  process.title = title;
  // The system may have cut the title.
  own = process.title;
}

/** A process whose title is set by sending it a message. */
interface Titled {
  title: string;
}

/** The titles of the workers of a supervisor. */
export class WorkerTitles<Worker extends Titled> {
  readonly #served: string | undefined;
  readonly #role: string;
  readonly #slots: readonly { readonly worker: Worker | undefined }[];
  #pending: NodeJS.Immediate | undefined;

  /** @param slots the pool's own list, which changes @param role what a worker is called */
  constructor(served: string | undefined, slots: readonly { readonly worker: Worker | undefined }[], role = 'worker') {
    this.#served = served;
    this.#role = role;
    this.#slots = slots;
  }

  /** Gives a worker the title of its role. */
  name(worker: Worker, role: string): Worker {
    worker.title = titleOf(role, this.#served);
    return worker;
  }

  /** Numbers the workers in the slots, once for all changes of this turn. */
  number(): void {
    if (this.#pending) return;
    this.#pending = setImmediate(() => {
      this.#pending = undefined;
      for (const [index, { worker }] of this.#slots.entries())
        if (worker) this.name(worker, `${this.#role} ${index + 1} of ${this.#slots.length}`);
    });
  }
}
