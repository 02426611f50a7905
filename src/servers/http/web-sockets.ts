/**
 * The WebSockets of one HTTP server. A WebSocket stays open for as long as its client likes, so a server that ends asks clients to
 * go: it sends the close frame "going away" (RFC 6455 section 7.4.1), unless the application has closed the WebSocket itself.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';

const END_OF_HEAD = '\r\n\r\n';
/** Longer heads are of no response that accepts a WebSocket. */
const MAX_HEAD = 65_536;
/** RFC 6455 section 5.2. */
const CLOSE = 0x8;
const MASKED = 0x80;
const MASK_LENGTH = 4;

/** Follows what an application writes on a WebSocket: whether it has accepted it, closed it, or is in the middle of a frame. */
export class OutgoingFrames {
  /** The head of the response, until it is complete. */
  #head: string | undefined = '';
  #isOpen = false;
  #isClosed = false;
  /** What has been written of the head of a frame. */
  #start: number[] = [];
  /** Bytes of the frame that are still to come. */
  #left = 0;

  /** The application has responded with 101. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** The application has sent a close frame. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  get isBetweenFrames(): boolean {
    return this.#left === 0 && this.#start.length === 0;
  }

  push(bytes: Uint8Array): void {
    let position = this.#head === undefined ? 0 : this.#readHead(bytes);
    while (this.#isOpen && position < bytes.length) {
      if (this.#left > 0) {
        const taken = Math.min(this.#left, bytes.length - position);
        this.#left -= taken;
        position += taken;
      } else {
        this.#readStart(bytes[position++] ?? 0);
      }
    }
  }

  /** @returns where the frames begin. */
  #readHead(bytes: Uint8Array): number {
    const before = this.#head?.length ?? 0;
    const head = `${this.#head}${Buffer.from(bytes).toString('latin1')}`;
    const end = head.indexOf(END_OF_HEAD);
    if (end === -1) {
      this.#head = head.length > MAX_HEAD ? undefined : head;
      return bytes.length;
    }
    this.#head = undefined;
    this.#isOpen = /^HTTP\/1\.1 101 /.test(head);
    return end + END_OF_HEAD.length - before;
  }

  #readStart(byte: number): void {
    this.#start.push(byte);
    const [first = 0, second] = this.#start;
    if (second === undefined) return;
    const short = second & ~MASKED;
    const extended = short === 126 ? 2 : short === 127 ? 8 : 0;
    if (this.#start.length < 2 + extended) return;
    const length = extended === 0 ? short : this.#start.slice(2).reduce((sum, each) => sum * 256 + each, 0);
    this.#left = length + (second & MASKED ? MASK_LENGTH : 0);
    this.#start = [];
    if ((first & 0x0f) === CLOSE) this.#isClosed = true;
  }
}

/** How long a client and the application may take to end a WebSocket that was closed. */
const CLOSE_MS = 1000;
/** How long what is written may take to leave after that. */
const CUT_MS = 250;

/** How long they wait for the application to be told. */
const NOTIFIED_MS = 5000;

/** A close frame with the code 1001, "going away". */
const GOING_AWAY = Buffer.from([0x88, 0x02, 0x03, 0xe9]);

export class WebSockets {
  readonly #open = new Set<WebSocketConnection>();
  #draining = false;

  /** Watches a connection that asks for an upgrade, if it is one to WebSocket. */
  watch(req: IncomingMessage, socket: Duplex): void {
    if (req.headers.upgrade?.toLowerCase() !== 'websocket') return;
    const connection = new WebSocketConnection(socket);
    this.#open.add(connection);
    socket.once('close', () => this.#open.delete(connection));
    if (this.#draining) connection.close();
  }

  /**
   * Closes those that are open, and every later one as soon as the application has accepted it.
   * @param notified settles when the application has been told, which may close them in its own way
   */
  drain(notified: Promise<unknown> = Promise.resolve()): void {
    this.#draining = true;
    const late = setTimeout(() => this.#close(), NOTIFIED_MS);
    const told = (): void => {
      clearTimeout(late);
      setImmediate(() => this.#close());
    };
    notified.then(told, told);
  }

  #close(): void {
    for (const connection of this.#open) connection.close();
  }
}

type Write = Duplex['write'];

class WebSocketConnection {
  readonly #socket: Duplex;
  readonly #write: Write;
  readonly #frames = new OutgoingFrames();
  #closing = false;
  #closed = false;
  #isTimed = false;

  constructor(socket: Duplex) {
    this.#socket = socket;
    this.#write = socket.write.bind(socket);
    const write = (chunk: unknown, ...rest: unknown[]): boolean => this.#written(chunk, rest);
    socket.write = write;
  }

  /** Sends the close frame as soon as the WebSocket is accepted and no frame is incomplete. */
  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#closeBetweenFrames();
  }

  #written(chunk: unknown, rest: unknown[]): boolean {
    if (this.#closed) {
      // Nothing may follow a close frame.
      const callback = rest.find((each) => typeof each === 'function') as (() => void) | undefined;
      if (callback) process.nextTick(callback);
      return true;
    }
    const result: boolean = Reflect.apply(this.#write, this.#socket, [chunk, ...rest]);
    if (typeof chunk === 'string') this.#frames.push(Buffer.from(chunk, encodingOf(rest[0])));
    else if (chunk instanceof Uint8Array) this.#frames.push(chunk);
    if (this.#closing) this.#closeBetweenFrames();
    return result;
  }

  #closeBetweenFrames(): void {
    const { isOpen, isBetweenFrames, isClosed } = this.#frames;
    if (!isOpen || this.#closed) return;
    if (!this.#isTimed) setTimeout(() => end(this.#socket), CLOSE_MS).unref();
    this.#isTimed = true;
    if (!isBetweenFrames || isClosed || this.#socket.writableEnded) return;
    this.#closed = true;
    this.#write(GOING_AWAY);
  }
}

function encodingOf(encoding: unknown): BufferEncoding {
  return typeof encoding === 'string' && Buffer.isEncoding(encoding) ? encoding : 'utf8';
}

/** Closes the connection, if possible after what is written has left. */
function end(socket: Duplex): void {
  const cut = (): void => void socket.destroy();
  socket.end(cut);
  setTimeout(cut, CUT_MS).unref();
}
