/**
 * Open connections that move from one process to another: a worker that ends gives them to the supervisor, which gives each
 * to another worker. Nothing reads from them on the way, so what the client sends waits in the kernel for the new owner.
 *
 * Node's own way, `process.send(message, socket)`, makes a socket of the handle in every process: the socket begins to read at
 * once, and the server that sent it waits for connections that it no longer holds. So the handle itself is sent. If this Node has
 * no such handles, the connection closes.
 */
import type { SendHandle } from 'node:child_process';
import type { Socket } from 'node:net';
import { type ConnectionHandle, isConnectionHandle, socketOf, takeHandle } from '../../net/node-internals/handles.ts';
import type { ConnectionMessage } from './messages.ts';

/** An open connection that has no socket in this process. */
export class PassedConnection {
  readonly handle: ConnectionHandle;
  /** Which of several servers has accepted it, since each speaks a protocol of its own. Undefined: there is one server. */
  readonly server: string | undefined;

  constructor(handle: ConnectionHandle, server: string | undefined) {
    this.handle = handle;
    this.server = server;
  }

  close(): void {
    this.handle.close();
  }
}

/** Takes a connection that another process can continue, and the name of its server. */
export type PassSocket = (socket: Socket, server?: string) => void;

/**
 * Takes the connection out of its socket. The socket closes, and the client notices nothing. Bytes that the socket has read
 * or has not written yet would be lost: the caller makes sure that there are none.
 * @returns undefined if the socket is closed already, or if it closes now because this Node has no such handles
 */
export function detach(socket: Socket, server?: string): PassedConnection | undefined {
  const handle = takeHandle(socket);
  socket.destroy();
  return handle && new PassedConnection(handle, server);
}

/** A socket like those that a listener of `net/` accepts. It starts to read when this turn of the event loop is over. */
export function attach({ handle }: PassedConnection): Socket {
  return socketOf(handle);
}

/** For `send`, whose declaration only knows the sockets that Node makes of such handles. */
export function asSendHandle(connection: PassedConnection | undefined): SendHandle | undefined {
  return connection?.handle as unknown as SendHandle | undefined;
}

/**
 * Sends and receives connections at one end of an IPC channel; the other end has one too. The sender keeps its copy until
 * the receiver confirms, which it does before it reads. On macOS, closing the copy earlier loses what is in transit; and if
 * the receiver dies, it is certain which connections it has not touched.
 */
export class ConnectionChannel {
  readonly #send: (message: ConnectionMessage, connection?: PassedConnection) => void;
  readonly #receive: (connection: PassedConnection) => void;
  /** Those sent and not confirmed, by number, in the order in which they were sent. */
  readonly #inTransit = new Map<number, PassedConnection>();
  #lastId = 0;
  #wake = () => {};

  /**
   * @param send sends a message to the other end, with a connection
   * @param receive takes a connection from the other end, in the turn in which it arrives
   */
  constructor(
    send: (message: ConnectionMessage, connection?: PassedConnection) => void,
    receive: (connection: PassedConnection) => void,
  ) {
    this.#send = send;
    this.#receive = receive;
  }

  /** How many connections the other end has not confirmed. */
  get inTransit(): number {
    return this.#inTransit.size;
  }

  pass(connection: PassedConnection): void {
    const id = ++this.#lastId;
    this.#inTransit.set(id, connection);
    const { server } = connection;
    this.#send({ paster: 'connection', id, server }, connection);
  }

  /** Handles a message of the other end. `handle` is what came with it. */
  handle(message: ConnectionMessage, handle: unknown): void {
    if (message.paster === 'taken') {
      this.#confirm(message.id);
    } else if (isConnectionHandle(handle)) {
      this.#send({ paster: 'taken', id: message.id });
      this.#receive(new PassedConnection(handle, message.server));
    }
  }

  /** Resolves when the other end has confirmed all connections. */
  async allConfirmed(): Promise<void> {
    while (this.#inTransit.size > 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Removes and returns what the other end, which is gone, has not confirmed. */
  takeUnconfirmed(): PassedConnection[] {
    const connections = [...this.#inTransit.values()];
    this.#inTransit.clear();
    return connections;
  }

  /** Messages arrive in order, so an earlier connection without a confirmation is lost: the receiver had no free descriptor. */
  #confirm(id: number): void {
    for (const [each, connection] of this.#inTransit) {
      if (each > id) break;
      this.#inTransit.delete(each);
      connection.close();
    }
    this.#wake();
  }
}

/** A worker that can get connections. */
export interface Recipient {
  /** How many connections it holds, including those in transit to it. */
  readonly connections: number;
  pass(connection: PassedConnection): void;
}

/**
 * The supervisor's part: passes each connection of a worker that ends to the worker with the fewest connections. While no
 * worker serves, connections wait here, as new ones wait in the kernel's queue.
 */
export class ConnectionRelay {
  readonly #recipients: () => readonly Recipient[];
  readonly #waiting: PassedConnection[] = [];
  #turn = 0;
  #isClosed = false;
  /** Called when a connection waits since no worker serves. */
  onWaiting: () => void = () => {};
  #elsewhere: ((connection: PassedConnection) => void) | undefined;

  /** @param recipients the workers that serve and are not about to end */
  constructor(recipients: () => readonly Recipient[]) {
    this.#recipients = recipients;
  }

  /** Passes a connection to a worker, now or when there is one. */
  pass(connection: PassedConnection): void {
    const recipient = this.#isClosed ? undefined : this.#leastBusy();
    if (this.#elsewhere) this.#elsewhere(connection);
    else if (recipient) recipient.pass(connection);
    else if (this.#isClosed) connection.close();
    else {
      this.#waiting.push(connection);
      this.onWaiting();
    }
  }

  /** To be called when another worker serves. */
  flush(): void {
    for (const connection of this.#waiting.splice(0)) this.pass(connection);
  }

  /** Whether another server gets the connections. */
  get isRedirected(): boolean {
    return this.#elsewhere !== undefined;
  }

  /** Passes what waits, and what comes later, to another server. */
  redirect(pass: (connection: PassedConnection) => void): void {
    this.#elsewhere = pass;
    this.flush();
  }

  /** No worker will serve any more: closes what waits, and what comes later. */
  close(): void {
    this.#isClosed = true;
    this.flush();
  }

  /** Takes turns among workers that hold the same number. */
  #leastBusy(): Recipient | undefined {
    const recipients = this.#recipients();
    let best: Recipient | undefined;
    let fewest = Number.POSITIVE_INFINITY;
    for (let index = 0; index < recipients.length; index++) {
      const each = recipients[(index + this.#turn) % recipients.length];
      const connections = each?.connections ?? fewest;
      if (connections >= fewest) continue;
      best = each;
      fewest = connections;
    }
    this.#turn++;
    return best;
  }
}
