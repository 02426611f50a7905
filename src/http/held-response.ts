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

/** @param req what the held response answers; `res` answers the same, for the client. */
export function holdResponse(req: IncomingMessage, res: ServerResponse, judge: Judge): HeldResponse {
  // Not imported: what is loaded before the first request is not to wait for it, and with one it is there.
  const held = new (process.getBuiltinModule('node:http').ServerResponse)(req);
  const own = { ...methodsOf(held, HEADER_METHODS) };
  const members = held as unknown as Members;
  const truth = res as unknown as Members;
  let state: HeldResponse['state'] = 'undecided';
  let isEnded = false;
  copyHeaders(res, held);
  held.statusCode = res.statusCode;
  held.sendDate = res.sendDate;

  const forwarders = EVENTS.map((event) => {
    const forward = (...args: unknown[]): void => void held.emit(event, ...args);
    res.on(event, forward);
    return () => res.off(event, forward);
  });

  /** @returns whether it goes to the client. */
  const decide = (status: number): boolean => {
    if (state !== 'undecided') return state === 'passed';
    if (judge.isDropped(status)) {
      drop();
      return false;
    }
    copyHeaders(held, res);
    res.statusCode = status;
    if (held.statusMessage !== undefined) res.statusMessage = held.statusMessage;
    res.sendDate = held.sendDate;
    state = 'passed';
    judge.decided(state);
    return true;
  };

  const drop = (): void => {
    if (state !== 'undecided') return;
    state = 'dropped';
    for (const stop of forwarders) stop();
    judge.decided(state);
  };

  /** What would happen to an answer that has gone out. */
  const finish = (): void => {
    if (isEnded) return;
    isEnded = true;
    process.nextTick(() => {
      for (const event of ['prefinish', 'finish', 'close']) held.emit(event);
    });
  };

  const methods: Record<string, Callable> = {
    writeHead(status, ...rest) {
      if (state === 'dropped') return held;
      if (decide(Number(status))) (res.writeHead as Callable).call(res, status, ...rest);
      return held;
    },
    flushHeaders() {
      if (decide(held.statusCode)) res.flushHeaders();
    },
    write(...args) {
      if (decide(held.statusCode)) return (res.write as Callable).apply(res, args);
      callBack(args);
      return true;
    },
    end(...args) {
      if (decide(held.statusCode)) {
        (res.end as Callable).apply(res, args);
        return held;
      }
      callBack(args);
      finish();
      return held;
    },
    addTrailers(trailers) {
      if (state !== 'dropped') res.addTrailers(trailers as OutgoingHttpHeaders);
    },
    destroy(error) {
      if (state === 'dropped') finish();
      else res.destroy(error as Error | undefined);
      return held;
    },
  };
  for (const [name, method] of Object.entries(own)) {
    methods[name] = (...args) =>
      state === 'passed' ? (truth[name] as Callable).apply(res, args) : method.apply(held, args);
  }
  for (const name of CONNECTION_METHODS) {
    if (typeof truth[name] !== 'function') continue;
    methods[name] = (...args) => (state === 'dropped' ? callBack(args) : (truth[name] as Callable).apply(res, args));
  }
  // Own properties, since Express gives every response a prototype of its own.
  for (const [name, method] of Object.entries(methods)) members[name] = method;
  for (const [name, whenDropped] of Object.entries(STATE)) {
    Object.defineProperty(held, name, {
      configurable: true,
      get: () => (state === 'dropped' ? whenDropped(isEnded) : truth[name]),
      // Node's own constructors and prototypes write some of them.
      set: () => {},
    });
  }

  return {
    response: held,
    get state() {
      return state;
    },
    drop,
  };
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
