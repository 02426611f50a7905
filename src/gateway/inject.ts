/** Sends a request to an application without a connection: by light-my-request, with corrections for Express and Node's API. */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { callApp } from '../http/error-response.ts';
import type { Logger } from '../log.ts';
import type { App } from '../protocol/types.ts';

export interface InjectedRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | undefined;
  /** The client's address. Default: 127.0.0.1. */
  readonly remoteAddress?: string | undefined;
  /** Called with the request before the application is. */
  readonly prepare?: (req: IncomingMessage) => void;
}

export interface InjectedResponse {
  readonly statusCode: number;
  readonly statusMessage: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Emits an error if the application does not complete its response. */
  readonly body: Readable;
}

/** Statuses without a body; Node sends none either, even if the application writes one. */
const WITHOUT_BODY = [204, 304];

/** Sends the request and resolves when the application has sent the head of its response. */
export async function inject(app: App, request: InjectedRequest, log: Logger): Promise<InjectedResponse> {
  const { inject: lightMyRequest } = await import('light-my-request');
  const { method, url, headers, body, remoteAddress, prepare } = request;
  const dispatch = (req: IncomingMessage, res: ServerResponse): void => {
    keepMethods(req);
    keepMethods(res);
    // light-my-request's own class is not Node's, and frameworks check `req instanceof IncomingMessage`.
    Object.setPrototypeOf(req, process.getBuiltinModule('node:http').IncomingMessage.prototype);
    // Reading light-my-request's `connection` prints a warning, which a server would not print.
    Reflect.deleteProperty(req, 'connection');
    removeDefaultUserAgent(req, headers);
    supportEndCallback(res);
    completeSocket(req.socket);
    prepare?.(req);
    callApp(app, req, res, log);
  };
  // light-my-request's validation of the options knows fewer methods than Node does.
  const options = {
    url,
    headers,
    payloadAsStream: true,
    validate: false,
    ...(body && { payload: body }),
    ...(remoteAddress && { remoteAddress }),
  };
  const response = await lightMyRequest(dispatch, Object.assign(options, { method: method as 'GET' }));
  const stream = response.stream();
  const isEmpty = method === 'HEAD' || WITHOUT_BODY.includes(response.statusCode);
  return {
    statusCode: response.statusCode,
    statusMessage: response.statusMessage,
    headers: headerLines(response.headers),
    body: isEmpty ? stream.filter(() => false) : stream,
  };
}

/**
 * Keeps the methods that catch the response: Express gives req and res another prototype, and with it Node's own methods.
 * (light-my-request handles this only for an Express app that it calls itself, without filters around it.)
 */
function keepMethods(target: object): void {
  const methods = Object.getOwnPropertyDescriptors(Object.getPrototypeOf(target));
  for (const [name, descriptor] of Object.entries(methods)) {
    if (name !== 'constructor') Object.defineProperty(target, name, { ...descriptor, enumerable: false });
  }
}

const SOCKET_METHODS = [
  'destroy',
  'end',
  'pause',
  'ref',
  'resume',
  'setKeepAlive',
  'setNoDelay',
  'setTimeout',
  'unref',
];

/** light-my-request's socket has an address only; servers and `req.setTimeout()` call methods of it. */
function completeSocket(socket: object): void {
  for (const name of SOCKET_METHODS) {
    if (!Reflect.has(socket, name)) Object.defineProperty(socket, name, { value: () => socket, configurable: true });
  }
}

/** Removes light-my-request's User-Agent if the request was given none. */
function removeDefaultUserAgent({ headers, rawHeaders }: IncomingMessage, given: InjectedRequest['headers']): void {
  const name = 'user-agent';
  if (Object.keys(given).some((each) => each.toLowerCase() === name)) return;
  delete headers[name];
  const index = rawHeaders.indexOf(name);
  if (index !== -1) rawHeaders.splice(index, 2);
}

/** For `res.end(callback)` and `res.end(text, callback)`, whose callback light-my-request takes for text or an encoding. */
function supportEndCallback(res: ServerResponse): void {
  const end: (...args: never[]) => unknown = res.end;
  const ended = function (this: ServerResponse, ...args: never[]): unknown {
    const callback = args.find((each): each is never => typeof each === 'function');
    if (callback !== undefined) this.once('finish', callback);
    return end.apply(
      this,
      args.filter((each) => typeof each !== 'function'),
    );
  };
  Object.defineProperty(res, 'end', { value: ended, configurable: true, writable: true });
}

/** Name and value, a pair for each value. */
function headerLines(headers: OutgoingHttpHeaders): [string, string][] {
  return Object.entries(headers).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [String(value)]).map((each): [string, string] => [name, each]),
  );
}
