/** One request to an application without a socket: light-my-request, and what Express and Node's own API want of it. */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { callApp } from '../http/failure.ts';
import type { Logger } from '../log.ts';
import type { App } from '../protocol/types.ts';

export interface InjectedRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | undefined;
  /** Whose request it is. Default: 127.0.0.1. */
  readonly remoteAddress?: string | undefined;
  /** Called with the request before the application is. */
  readonly prepare?: (req: IncomingMessage) => void;
}

export interface InjectedAnswer {
  readonly statusCode: number;
  readonly statusMessage: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Fails when the application gives up in the middle. */
  readonly body: Readable;
}

/** Statuses whose answers have no body; Node sends none either, whatever the application writes. */
const WITHOUT_BODY = [204, 304];

/** Sends the request and resolves when the application has sent the head of its answer. */
export async function inject(app: App, request: InjectedRequest, log: Logger): Promise<InjectedAnswer> {
  const { inject: lightMyRequest } = await import('light-my-request');
  const { method, url, headers, body, remoteAddress, prepare } = request;
  const dispatch = (req: IncomingMessage, res: ServerResponse): void => {
    keepMethods(req);
    keepMethods(res);
    keepUserAgent(req, headers);
    takeCallbackOfEnd(res);
    prepare?.(req);
    callApp(app, req, res, log);
  };
  // Its own check of the options knows fewer methods than Node does.
  const options = {
    url,
    headers,
    payloadAsStream: true,
    validate: false,
    ...(body && { payload: body }),
    ...(remoteAddress && { remoteAddress }),
  };
  const answer = await lightMyRequest(dispatch, Object.assign(options, { method: method as 'GET' }));
  const stream = answer.stream();
  const isEmpty = method === 'HEAD' || WITHOUT_BODY.includes(answer.statusCode);
  return {
    statusCode: answer.statusCode,
    statusMessage: answer.statusMessage,
    headers: headerLines(answer.headers),
    body: isEmpty ? stream.filter(() => false) : stream,
  };
}

/**
 * Express gives req and res another prototype, and with it Node's own methods in place of those that catch the answer.
 * (light-my-request knows of this, but only of an Express app that it calls itself, without filters around it.)
 */
function keepMethods(target: object): void {
  const methods = Object.getOwnPropertyDescriptors(Object.getPrototypeOf(target));
  for (const [name, descriptor] of Object.entries(methods)) {
    if (name !== 'constructor') Object.defineProperty(target, name, { ...descriptor, enumerable: false });
  }
}

/** Who does not say what program it is does not become light-my-request. */
function keepUserAgent({ headers, rawHeaders }: IncomingMessage, given: InjectedRequest['headers']): void {
  const name = 'user-agent';
  if (Object.keys(given).some((each) => each.toLowerCase() === name)) return;
  delete headers[name];
  const place = rawHeaders.indexOf(name);
  if (place !== -1) rawHeaders.splice(place, 2);
}

/** `res.end(callback)`, `res.end(text, callback)`: light-my-request takes the callback for text or for its encoding. */
function takeCallbackOfEnd(res: ServerResponse): void {
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

/** A line for each value. */
function headerLines(headers: OutgoingHttpHeaders): [string, string][] {
  return Object.entries(headers).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [String(value)]).map((each): [string, string] => [name, each]),
  );
}
