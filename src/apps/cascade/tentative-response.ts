/**
 * The response that an application of a cascade writes while other applications may still be asked. It is a ServerResponse with
 * headers of its own. Its status decides what happens to it: it is passed on, and from then on all calls go to the client's
 * response, or it is dropped, and what the application writes is discarded. `watchUpgrade` does the same for upgrades.
 */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { callLater, interceptResponse, type ResponseInterceptor } from '../../http/response/response-interceptor.ts';

export interface TentativeOptions {
  /** Whether a response of this status is dropped. */
  isDropped(status: number): boolean;
  /** Called once, when the state changes. */
  decided(state: 'passed' | 'dropped'): void;
}

type Method = (...args: unknown[]) => unknown;
type Members = Record<string, unknown>;

/** Once the response is passed on, calls of these methods go to the client's response. */
const HEADER_METHODS = [
  'setHeader',
  'setHeaders',
  'appendHeader',
  'removeHeader',
  'getHeader',
  'getHeaders',
  'getHeaderNames',
  'getRawHeaderNames',
  'hasHeader',
] as const;

/** These concern the connection or send interim responses, so calls of them go to the client's response from the beginning. */
const CONNECTION_METHODS = [
  'setTimeout',
  'cork',
  'uncork',
  'writeContinue',
  'writeProcessing',
  'writeEarlyHints',
  'writeInformation',
] as const;

/** The state of the stream. A dropped response looks to its application as if it had been sent. */
const STATE: Readonly<Record<string, (isEnded: boolean) => unknown>> = {
  headersSent: () => true,
  _header: () => 'dropped',
  finished: (isEnded) => isEnded,
  writableEnded: (isEnded) => isEnded,
  writableFinished: (isEnded) => isEnded,
  writableNeedDrain: () => false,
  writableLength: () => 0,
  writableCorked: () => 0,
  destroyed: (isEnded) => isEnded,
  closed: (isEnded) => isEnded,
  _closed: (isEnded) => isEnded,
  errored: () => null,
  socket: () => null,
  connection: () => null,
};

const EVENTS = ['drain', 'prefinish', 'finish', 'close', 'error'] as const;

export class TentativeResponse {
  state: 'undecided' | 'passed' | 'dropped' = 'undecided';
  /** The application has ended a response that is dropped. */
  isEnded = false;
  /** What the application gets. */
  readonly response: ServerResponse;
  /** What the client gets. */
  readonly target: ServerResponse;
  readonly #options: TentativeOptions;
  readonly #interceptor: ResponseInterceptor;
  readonly #stops: (() => void)[] = [];

  constructor(req: IncomingMessage, target: ServerResponse, options: TentativeOptions) {
    applicationResponse ??= makeApplicationResponse();
    const response = new applicationResponse(req, this);
    this.response = response;
    this.target = target;
    this.#options = options;
    copyHeaders(target, response);
    response.statusCode = target.statusCode;
    response.sendDate = target.sendDate;
    for (const event of EVENTS) {
      const forward = (...args: unknown[]): void => void response.emit(event, ...args);
      target.on(event, forward);
      this.#stops.push(() => target.off(event, forward));
    }
    this.#interceptor = interceptResponse(response, {
      onHead: (status) => this.#decide(Number(status)),
      onEnd: () => {
        if (this.state === 'dropped') this.finish();
      },
    });
  }

  /** Passes the response on or drops it, by its status. @returns whether it is passed on */
  #decide(status: number): boolean {
    if (this.#options.isDropped(status)) {
      this.drop();
      return false;
    }
    const { response, target } = this;
    copyHeaders(response, target);
    target.statusCode = status;
    if (response.statusMessage !== undefined) target.statusMessage = response.statusMessage;
    target.sendDate = response.sendDate;
    this.state = 'passed';
    this.#options.decided(this.state);
    return true;
  }

  /** Drops the response although it has no status yet. Has no effect once it is passed on or dropped. */
  drop(): void {
    if (this.state !== 'undecided') return;
    this.state = 'dropped';
    this.#interceptor.discard();
    for (const stop of this.#stops) stop();
    this.#options.decided(this.state);
  }

  /** Emits the events of a response that has been sent. */
  finish(): void {
    if (this.isEnded) return;
    this.isEnded = true;
    process.nextTick(() => {
      for (const event of ['prefinish', 'finish', 'close']) this.response.emit(event);
    });
  }

  /** Calls a method of the client's response. */
  forward(name: string, args: readonly unknown[]): unknown {
    const method = (this.target as unknown as Members)[name];
    // `writeInformation` is new in Node 26.
    return typeof method === 'function' ? Reflect.apply(method as Method, this.target, args) : callLater(...args);
  }
}

type Implementation = (tentative: TentativeResponse, args: readonly unknown[]) => unknown;

/** Methods of the application's response. The interceptor calls the first four only if the response is passed on. */
const METHODS: Readonly<Record<string, Implementation>> = {
  writeHead(tentative, args) {
    tentative.forward('writeHead', args);
    return tentative.response;
  },
  flushHeaders: (tentative) => tentative.target.flushHeaders(),
  write: (tentative, args) => tentative.forward('write', args),
  end(tentative, args) {
    tentative.forward('end', args);
    return tentative.response;
  },
  addTrailers(tentative, [trailers]) {
    if (tentative.state !== 'dropped') tentative.target.addTrailers(trailers as OutgoingHttpHeaders);
  },
  destroy(tentative, [error]) {
    if (tentative.state === 'dropped') tentative.finish();
    else tentative.target.destroy(error as Error | undefined);
    return tentative.response;
  },
};

/** The property by which the methods, which all responses share, find the TentativeResponse of theirs. */
const TENTATIVE = Symbol('paster.tentative-response');

interface WithTentative {
  readonly [TENTATIVE]?: TentativeResponse;
}

let applicationResponse: (new (req: IncomingMessage, tentative: TentativeResponse) => ServerResponse) | undefined;

/** Made for the first request, when node:http is loaded: importing it earlier would delay whatever loads this module. */
function makeApplicationResponse(): NonNullable<typeof applicationResponse> {
  const { ServerResponse: Base } = process.getBuiltinModule('node:http');
  const methods: Record<string, (this: WithTentative, ...args: unknown[]) => unknown> = {};
  const addMethod = (name: string, run: Implementation): void => {
    methods[name] = function (...args) {
      return this[TENTATIVE] && run(this[TENTATIVE], args);
    };
  };
  for (const [name, run] of Object.entries(METHODS)) addMethod(name, run);
  for (const name of HEADER_METHODS) {
    const method = (Base.prototype as unknown as Members)[name] as Method | undefined;
    if (method === undefined) continue;
    addMethod(name, (tentative, args) =>
      tentative.state === 'passed' ? tentative.forward(name, args) : Reflect.apply(method, tentative.response, args),
    );
  }
  for (const name of CONNECTION_METHODS) {
    addMethod(name, (tentative, args) =>
      tentative.state === 'dropped' ? callLater(...args) : tentative.forward(name, args),
    );
  }
  const state: [string, PropertyDescriptor][] = Object.entries(STATE).map(([name, whenDropped]) => [
    name,
    {
      configurable: true,
      get(this: WithTentative) {
        const tentative = this[TENTATIVE];
        if (tentative?.state === 'dropped') return whenDropped(tentative.isEnded);
        return (tentative?.target as unknown as Members | undefined)?.[name];
      },
      // Node's own constructors and prototypes write some of them.
      set() {},
    },
  ]);

  class ApplicationResponse extends Base {
    readonly [TENTATIVE]: TentativeResponse;

    constructor(req: IncomingMessage, tentative: TentativeResponse) {
      super(req);
      this[TENTATIVE] = tentative;
      // Own properties, since Express gives every response a prototype of its own.
      Object.assign(this, methods);
      for (const [name, property] of state) Object.defineProperty(this, name, property);
    }
  }
  // What Node's constructor writes must not be there already: V8 is slow with properties that become accessors later.
  Object.defineProperties(ApplicationResponse.prototype, Object.fromEntries(state));
  return ApplicationResponse;
}

/** Gives `to` the headers of `from`, in its spelling. */
function copyHeaders(from: ServerResponse, to: ServerResponse): void {
  for (const name of to.getHeaderNames()) if (!from.hasHeader(name)) to.removeHeader(name);
  // Public since Node 15.4; missing in the types of Node 20.
  const names = (from as ServerResponse & { getRawHeaderNames(): string[] }).getRawHeaderNames();
  for (const name of names) {
    const value = from.getHeader(name);
    if (value !== undefined) to.setHeader(name, value);
  }
}

// --- the response to an upgrade, whose status is read before it is written to the socket

type Writer = (...args: unknown[]) => unknown;

const WATCHED = ['write', 'end', 'destroy'] as const;

const STATUS = /^HTTP\/1\.[01] (\d{3})/;

/**
 * Resolves to false when an application has ended a response whose status is dropped: none of it has been sent, and the socket
 * is unchanged. Resolves to true when anything else has been written. Nested cascades may watch the same socket.
 */
export function watchUpgrade(socket: Duplex, isDropped: (status: number) => boolean): Promise<boolean> {
  return new Promise((resolve) => {
    const watched = socket as unknown as Record<(typeof WATCHED)[number], Writer>;
    const { write, end, destroy } = watched;
    const own = WATCHED.map((name) => [name, Object.getOwnPropertyDescriptor(watched, name)] as const);
    let isRefused = false;
    let isOver = false;
    const restore = (isTaken: boolean): void => {
      if (isOver) return;
      isOver = true;
      for (const [name, descriptor] of own) {
        if (descriptor) Object.defineProperty(watched, name, descriptor);
        else Reflect.deleteProperty(watched, name);
      }
      resolve(isTaken);
    };
    const refuses = (chunk: unknown): boolean => {
      if (isRefused || typeof chunk === 'function' || chunk === undefined || chunk === null) return isRefused;
      const start = Buffer.from(chunk as Buffer | string).toString('latin1', 0, 16);
      isRefused = isDropped(Number(STATUS.exec(start)?.[1]));
      return isRefused;
    };
    const methods: Readonly<Record<(typeof WATCHED)[number], Writer>> = {
      write(...args) {
        if (isOver || !refuses(args[0])) {
          restore(true);
          return write.apply(socket, args);
        }
        callLater(...args);
        return true;
      },
      end(...args) {
        const isTaken = isOver || !refuses(args[0]);
        restore(isTaken);
        if (isTaken) return end.apply(socket, args);
        callLater(...args);
        return socket;
      },
      destroy(...args) {
        const isIgnored = isRefused && !isOver;
        restore(!isRefused);
        return isIgnored ? socket : destroy.apply(socket, args);
      },
    };
    Object.assign(watched, methods);
    socket.once('close', () => restore(true));
  });
}
