/** The descriptors that a worker inherits from its supervisor, after standard input, output and error. */
import type { HeldSocket } from '../../../net/held-socket.ts';
import type { InheritedSocket } from '../../ipc/messages.ts';
import type { TablePlace } from '../../worker/connection-table.ts';

const FIRST_INHERITED = 3;

export interface InheritedParts {
  readonly sockets: readonly HeldSocket[];
  /** Its slot in the table of connections. */
  readonly place: TablePlace | undefined;
  /** Whether it can make the sockets listen: it inherits twice those that do not listen yet. */
  readonly listens: boolean;
}

export class InheritedDescriptors {
  /** The supervisor's descriptors, in the order in which the worker gets them. */
  readonly fds: readonly number[];
  /** In the worker: the slot in the table of connections. */
  readonly place: TablePlace | undefined;
  readonly #sockets: readonly HeldSocket[];
  /** The sockets that it inherits twice. */
  readonly #listenable: readonly HeldSocket[];
  readonly #firstCopy: number;

  constructor({ sockets, place, listens }: InheritedParts) {
    const fds = sockets.map(({ fd }) => fd);
    const places = place ? [place.fd] : [];
    // It closes the second copy when it has made the socket listen.
    this.#listenable = listens ? sockets.filter(({ wasListening }) => !wasListening) : [];
    this.fds = [...fds, ...places, ...this.#listenable.map(({ fd }) => fd)];
    this.place = place && { fd: FIRST_INHERITED + sockets.length, slot: place.slot };
    this.#sockets = sockets;
    this.#firstCopy = FIRST_INHERITED + sockets.length + places.length;
  }

  /** In the worker: the first descriptor after the inherited ones. */
  get next(): number {
    return FIRST_INHERITED + this.fds.length;
  }

  /** In the worker: the sockets that it accepts on. */
  get sockets(): InheritedSocket[] {
    return this.#sockets.map(({ address, backlog }, index) => ({ fd: FIRST_INHERITED + index, address, backlog }));
  }

  /** In the worker: the second copy of a socket, by its descriptor in the supervisor. */
  copyOf(fd: number): number {
    return this.#firstCopy + this.#listenable.findIndex((socket) => socket.fd === fd);
  }
}
