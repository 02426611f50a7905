/**
 * A response whose head is looked at before it goes out. It is one of Node's own kind with headers of its own; once its
 * status is known it is either passed on, and from then on does what the true response does, or dropped, and then
 * whatever it is given disappears.
 */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';

export interface HeldResponse {
  readonly response: ServerResponse;
  readonly state: 'undecided' | 'passed' | 'dropped';
  /** Drops it without a head, where it is undecided. */
  drop(): void;
}

export interface Judge {
  /** Whether an answer of this status is dropped. */
  isDropped(status: number): boolean;
  /** The state has changed; once. */
  decided(state: 'passed' | 'dropped'): void;
}

type Callable = (...args: unknown[]) => unknown;
type Members = Record<string, unknown>;

/** What the true response says once it has the head. */
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

/** Whatever concerns the connection, and interim answers, is the true response's before as well. */
const CONNECTION_METHODS = [
  'setTimeout',
  'cork',
  'uncork',
  'writeContinue',
  'writeProcessing',
  'writeEarlyHints',
  'writeInformation',
] as const;

/** The state of the stream; of one that is dropped, what it would be for an answer that has gone out. */
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

/** What a held response is about; all of them share their methods, which find it here. */
const HOLD = Symbol('hold');

interface Held {
  readonly [HOLD]?: Hold;
}

type Method = (this: Held, ...args: unknown[]) => unknown;

class Hold implements HeldResponse {
  state: HeldResponse['state'] = 'undecided';
  isEnded = false;
  readonly response: ServerResponse;
  readonly truth: ServerResponse;
  readonly #judge: Judge;
  readonly #stops: (() => void)[] = [];

  constructor(req: IncomingMessage, truth: ServerResponse, judge: Judge) {
    heldKind ??= makeHeldKind();
    this.response = new heldKind(req, this);
    this.truth = truth;
    this.#judge = judge;
    copyHeaders(truth, this.response);
    this.response.statusCode = truth.statusCode;
    this.response.sendDate = truth.sendDate;
    for (const event of EVENTS) {
      const forward = (...args: unknown[]): void => void this.response.emit(event, ...args);
      truth.on(event, forward);
      this.#stops.push(() => truth.off(event, forward));
    }
  }

  /** @returns whether it goes to the client. */
  decide(status: number): boolean {
    if (this.state !== 'undecided') return this.state === 'passed';
    if (this.#judge.isDropped(status)) {
      this.drop();
      return false;
    }
    const { response, truth } = this;
    copyHeaders(response, truth);
    truth.statusCode = status;
    if (response.statusMessage !== undefined) truth.statusMessage = response.statusMessage;
    truth.sendDate = response.sendDate;
    this.state = 'passed';
    this.#judge.decided(this.state);
    return true;
  }

  drop(): void {
    if (this.state !== 'undecided') return;
    this.state = 'dropped';
    for (const stop of this.#stops) stop();
    this.#judge.decided(this.state);
  }

  /** What would happen to an answer that has gone out. */
  finish(): void {
    if (this.isEnded) return;
    this.isEnded = true;
    process.nextTick(() => {
      for (const event of ['prefinish', 'finish', 'close']) this.response.emit(event);
    });
  }

  /** Has the true response do it. */
  pass(name: string, args: readonly unknown[]): unknown {
    const method = (this.truth as unknown as Members)[name];
    // `writeInformation` is new in Node 26.
    return typeof method === 'function' ? Reflect.apply(method as Callable, this.truth, args) : callBack(args);
  }
}

/** @param req what the held response answers; `res` answers the same, for the client. */
export function holdResponse(req: IncomingMessage, res: ServerResponse, judge: Judge): HeldResponse {
  return new Hold(req, res, judge);
}

/** What an application does with a response. */
const METHODS: Readonly<Record<string, (hold: Hold, args: readonly unknown[]) => unknown>> = {
  writeHead(hold, args) {
    if (hold.decide(Number(args[0]))) hold.pass('writeHead', args);
    return hold.response;
  },
  flushHeaders(hold) {
    if (hold.decide(hold.response.statusCode)) hold.truth.flushHeaders();
  },
  write(hold, args) {
    if (hold.decide(hold.response.statusCode)) return hold.pass('write', args);
    callBack(args);
    return true;
  },
  end(hold, args) {
    if (hold.decide(hold.response.statusCode)) hold.pass('end', args);
    else {
      callBack(args);
      hold.finish();
    }
    return hold.response;
  },
  addTrailers(hold, [trailers]) {
    if (hold.state !== 'dropped') hold.truth.addTrailers(trailers as OutgoingHttpHeaders);
  },
  destroy(hold, [error]) {
    if (hold.state === 'dropped') hold.finish();
    else hold.truth.destroy(error as Error | undefined);
    return hold.response;
  },
};

type HeldKind = new (req: IncomingMessage, hold: Hold) => ServerResponse;

let heldKind: HeldKind | undefined;

/** Made with the first of them: what is loaded before the first request is not to wait for node:http, and then it is there. */
function makeHeldKind(): HeldKind {
  const { ServerResponse: Base } = process.getBuiltinModule('node:http');
  const own = methodsOf(Base.prototype, HEADER_METHODS);
  const methods: Record<string, Method> = {};
  const state: [string, PropertyDescriptor][] = Object.entries(STATE).map(([name, whenDropped]) => [
    name,
    {
      configurable: true,
      get(this: Held) {
        const hold = this[HOLD];
        return hold?.state === 'dropped'
          ? whenDropped(hold.isEnded)
          : (hold?.truth as unknown as Members | undefined)?.[name];
      },
      // Node's own constructors and prototypes write some of them.
      set() {},
    },
  ]);
  const addMethod = (name: string, run: (hold: Hold, args: readonly unknown[]) => unknown): void => {
    methods[name] = function (...args) {
      return this[HOLD] && run(this[HOLD], args);
    };
  };
  for (const [name, run] of Object.entries(METHODS)) addMethod(name, run);
  for (const [name, method] of Object.entries(own)) {
    addMethod(name, (hold, args) =>
      hold.state === 'passed' ? hold.pass(name, args) : Reflect.apply(method, hold.response, args),
    );
  }
  for (const name of CONNECTION_METHODS) {
    addMethod(name, (hold, args) => (hold.state === 'dropped' ? callBack(args) : hold.pass(name, args)));
  }

  class HeldServerResponse extends Base {
    readonly [HOLD]: Hold;

    constructor(req: IncomingMessage, hold: Hold) {
      super(req);
      this[HOLD] = hold;
      // Own properties, since Express gives every response a prototype of its own.
      Object.assign(this, methods);
      for (const [name, property] of state) Object.defineProperty(this, name, property);
    }
  }
  // What Node's constructor writes must not be there already: V8 is slow with properties that become accessors later.
  Object.defineProperties(HeldServerResponse.prototype, Object.fromEntries(state));
  return HeldServerResponse;
}

function methodsOf(response: ServerResponse, names: readonly string[]): Record<string, Callable> {
  const members = response as unknown as Members;
  return Object.fromEntries(names.filter((name) => name in members).map((name) => [name, members[name] as Callable]));
}

/** The headers of `to` become those of `from`, in its spelling. */
function copyHeaders(from: ServerResponse, to: ServerResponse): void {
  for (const name of to.getHeaderNames()) if (!from.hasHeader(name)) to.removeHeader(name);
  // Public since Node 15.4; missing in the types of Node 20.
  const names = (from as ServerResponse & { getRawHeaderNames(): string[] }).getRawHeaderNames();
  for (const name of names) {
    const value = from.getHeader(name);
    if (value !== undefined) to.setHeader(name, value);
  }
}

/** Calls what was to be called when the bytes are out. */
function callBack(args: readonly unknown[]): void {
  const callback = args.at(-1);
  if (typeof callback === 'function') process.nextTick(callback as () => void);
}
