/**
 * Lets a filter see what an application sends, and keep it from the client. Filters intercept one response in turn: each gets
 * the calls of what is inside it, and passes them on to what is outside.
 */
// The global `Buffer` is a getter: calling it costs as much as measuring a chunk.
import { Buffer } from 'node:buffer';
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { asUniqueNames } from './header-lists.ts';

/**
 * The calls of a response that a filter observes. Each hook runs before the response does what the application has called; if a
 * hook throws, that call throws and does nothing.
 */
export interface ResponseHooks {
  /** Called with each call of `setHeader`, `appendHeader`, `removeHeader` and `writeHead`, those of Node's own methods included. */
  onHeadMethod?(name: HeadMethod, parameters: readonly unknown[]): void;
  /**
   * Called once, before the head is sent by `writeHead`, `flushHeaders`, `write` or `end`.
   * @param given the parameters of `writeHead` after the status, for `headersGiven`.
   * @returns false to discard the response: the application's calls succeed, and nothing is sent to the client.
   */
  onHead?(status: number, given: readonly unknown[]): boolean;
  /** Called after `onHead` with the parameters of `writeHead` after the status. Returns those to use instead. */
  changeHead?(given: readonly unknown[]): readonly unknown[];
  /** Called with each chunk that `write` is given, unless the response is discarded. */
  onWrite?(chunk: unknown, encoding: unknown): void;
  /** Called with each `end` and the chunk that it is given, if any, also if the response is discarded. */
  onEnd?(chunk: unknown, encoding: unknown): void;
  /** Called at the end of a response that goes to the client. Returns the text to append to its body; it may be empty. */
  tail?(): string;
}

const HEADER_METHODS = ['setHeader', 'appendHeader', 'removeHeader'] as const;

export type HeadMethod = (typeof HEADER_METHODS)[number] | 'writeHead';

type Method = (this: ServerResponse, ...parameters: unknown[]) => unknown;

export class ResponseInterceptor {
  readonly #res: ServerResponse;
  readonly #hooks: ResponseHooks;
  // The methods of the response before this interceptor: Node's, or those of a filter outside.
  readonly #write: Method;
  readonly #end: Method;
  readonly #writeHead: Method;
  readonly #flushHeaders: Method;
  /** The head has been seen, and the response goes to the client. */
  #isPassed: boolean;
  #isDiscarded = false;
  /** `#end` is running. It may call `writeHead`, and in Node's HTTP/2 `write`. */
  #isEnding = false;

  constructor(res: ServerResponse, hooks: ResponseHooks) {
    this.#res = res;
    this.#hooks = hooks;
    this.#isPassed = hooks.onHead === undefined;
    this.#writeHead = res.writeHead as Method;
    this.#flushHeaders = res.flushHeaders;
    this.#write = res.write as Method;
    this.#end = res.end as Method;
  }

  /** Sends nothing of the application's response to the client. Must be called before the head is sent. */
  discard(): void {
    this.#isPassed = false;
    this.#isDiscarded = true;
  }

  /** Sends another response instead of a discarded one, with these headers in addition to those that `res` has. */
  send(status: number, headers: OutgoingHttpHeaders, body: Buffer): void {
    if (this.#res.destroyed) return;
    this.#writeHead.call(this.#res, status, headers);
    this.#callEnd(body);
  }

  writeHead(status: number, parameters: readonly unknown[]): unknown {
    const given = asUniqueNames(parameters);
    if (!this.#isEnding) {
      this.#hooks.onHeadMethod?.('writeHead', [status, ...given]);
      if (!this.#passes(status, given)) return this.#res;
      return this.#writeHead.call(this.#res, status, ...(this.#hooks.changeHead?.(given) ?? given));
    }
    return this.#writeHead.call(this.#res, status, ...given);
  }

  flushHeaders(): void {
    if (this.#passes()) this.#flushHeaders.call(this.#res);
  }

  write(chunk: unknown, encoding: unknown, callback: unknown): unknown {
    if (!this.#isEnding) {
      if (!this.#passes()) {
        callLater(encoding, callback);
        return true;
      }
      this.#hooks.onWrite?.(chunk, encoding);
    }
    return this.#write.call(this.#res, chunk, encoding, callback);
  }

  end(chunk: unknown, encoding: unknown, callback: unknown): unknown {
    const passes = this.#passes();
    if (!passes) callLater(chunk, encoding, callback);
    this.#hooks.onEnd?.(chunk, encoding);
    if (!passes) return this.#res;
    const tail = this.#hooks.tail?.() ?? '';
    if (tail === '') return this.#callEnd(chunk, encoding, callback);
    const givenCallback = [chunk, encoding, callback].find((each) => typeof each === 'function');
    return this.#callEnd(withTail(chunk, encoding, tail), undefined, givenCallback);
  }

  /** Replaces `setHeader`, `appendHeader` and `removeHeader`. */
  watchHeaders(): void {
    for (const name of HEADER_METHODS) {
      // Node's response for HTTP/2 has no appendHeader before Node 22.
      const method = this.#res[name] as Method | undefined;
      if (method === undefined) continue;
      Reflect.set(this.#res, name, (...parameters: unknown[]) => {
        this.#hooks.onHeadMethod?.(name, parameters);
        return Reflect.apply(method, this.#res, parameters);
      });
    }
  }

  /** Whether the response goes to the client. */
  #passes(status?: number, given?: readonly unknown[]): boolean {
    // The only check that most calls need.
    return this.#isPassed || this.#decide(status, given);
  }

  #decide(status = this.#res.statusCode, given: readonly unknown[] = []): boolean {
    if (this.#isDiscarded) return false;
    this.#isPassed = true;
    if (this.#hooks.onHead?.(status, given) === false) this.discard();
    return this.#isPassed;
  }

  #callEnd(chunk: unknown, encoding?: unknown, callback?: unknown): unknown {
    this.#isEnding = true;
    try {
      return this.#end.call(this.#res, chunk, encoding, callback);
    } finally {
      this.#isEnding = false;
    }
  }
}

const INTERCEPTOR = Symbol('paster.response-interceptor');

interface Intercepted extends ServerResponse {
  [INTERCEPTOR]?: ResponseInterceptor;
}

/** Calls `hooks` for what is called on `res` from now on. Replaces only the methods that the hooks need. */
export function interceptResponse(res: Intercepted, hooks: ResponseHooks): ResponseInterceptor {
  const interceptor = new ResponseInterceptor(res, hooks);
  const needsHead = hooks.onHead !== undefined || hooks.onHeadMethod !== undefined;
  if (res[INTERCEPTOR] === undefined) {
    // The first interceptor of each response shares its functions with those of all others: it costs no closures.
    res[INTERCEPTOR] = interceptor;
    res.write = sharedWrite as ServerResponse['write'];
    res.end = sharedEnd as ServerResponse['end'];
    if (needsHead) {
      res.writeHead = sharedWriteHead as ServerResponse['writeHead'];
      res.flushHeaders = sharedFlushHeaders;
    }
  } else {
    res.write = interceptor.write.bind(interceptor) as ServerResponse['write'];
    res.end = interceptor.end.bind(interceptor) as ServerResponse['end'];
    if (needsHead) {
      const writeHead = (status: number, ...given: unknown[]): unknown => interceptor.writeHead(status, given);
      res.writeHead = writeHead as ServerResponse['writeHead'];
      res.flushHeaders = interceptor.flushHeaders.bind(interceptor);
    }
  }
  if (hooks.onHeadMethod) interceptor.watchHeaders();
  return interceptor;
}

function sharedWriteHead(this: Intercepted, status: number, ...given: unknown[]): unknown {
  return this[INTERCEPTOR]?.writeHead(status, given);
}

function sharedFlushHeaders(this: Intercepted): void {
  this[INTERCEPTOR]?.flushHeaders();
}

function sharedWrite(this: Intercepted, chunk: unknown, encoding: unknown, callback: unknown): unknown {
  return this[INTERCEPTOR]?.write(chunk, encoding, callback);
}

function sharedEnd(this: Intercepted, chunk: unknown, encoding: unknown, callback: unknown): unknown {
  return this[INTERCEPTOR]?.end(chunk, encoding, callback);
}

// --- a response instead of the application's -----------------------------------------------------------------------

const DISCARD: ResponseHooks = { onHead: () => false };

/** The header methods of a response that has been replaced: Node's would throw in the application's own timers and callbacks. */
const IGNORED_METHODS = { setHeader: ignored, appendHeader: ignored, setHeaders: ignored, removeHeader() {} };

function ignored(this: ServerResponse): ServerResponse {
  return this;
}

/**
 * Sends another response instead of the application's, whose later calls succeed and do nothing.
 * @param headers those that `res` had before the application was called; the application's are removed.
 * @param respond sends the other response.
 */
export function replaceResponse(
  res: ServerResponse,
  headers: Readonly<OutgoingHttpHeaders>,
  respond: () => void,
): void {
  for (const name of res.getHeaderNames()) if (!(name in headers)) res.removeHeader(name);
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) res.setHeader(name, value);
  res.statusMessage = '';
  respond();
  interceptResponse(res, DISCARD);
  Object.assign(res, IGNORED_METHODS);
}

// --- what hooks are given ------------------------------------------------------------------------------------------

/** The bytes of a chunk. The caller may pass a callback instead of the encoding or the chunk. */
export function chunkSize(chunk: unknown, encoding: unknown): number {
  if (typeof chunk === 'string') {
    return Buffer.byteLength(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8');
  }
  return chunk instanceof Uint8Array ? chunk.byteLength : 0;
}

/** The chunk that `end` is given, followed by a text. In one piece, so that Node can still compute the length of the body. */
function withTail(chunk: unknown, encoding: unknown, tail: string): string | Buffer {
  if (typeof chunk === 'string') {
    if (typeof encoding !== 'string' || /^utf-?8$/i.test(encoding)) return chunk + tail;
    return Buffer.concat([Buffer.from(chunk, encoding as BufferEncoding), Buffer.from(tail)]);
  }
  return chunk instanceof Uint8Array ? Buffer.concat([chunk, Buffer.from(tail)]) : tail;
}

/** Calls the callback among the parameters of `write` or `end` as if the bytes had been sent. */
export function callLater(...parameters: readonly unknown[]): void {
  const callback = parameters.find((each) => typeof each === 'function');
  if (callback !== undefined) process.nextTick(callback as () => void);
}
