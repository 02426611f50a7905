/**
 * `sticky = true`: all requests of a session reach the same worker. Another worker that gets such a request passes it on. If the
 * worker of a session is gone, or drains after a reload, the worker that got the request takes over.
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, OutgoingHttpHeader, ServerResponse } from 'node:http';
import { Server } from 'node:net';
import type { Serving } from '../../deploy/server/serving.ts';
import { forwardRequest, forwardUpgrade } from '../../gateway/hop/forward.ts';
import { Preambles } from '../../gateway/hop/preamble.ts';
import { type HeaderPairs, headersGiven } from '../../http/response/header-lists.ts';
import { interceptResponse } from '../../http/response/response-interceptor.ts';
import type { Logger } from '../../log.ts';
import { openListener } from '../../net/listener.ts';
import type { App, CloseOptions, Running } from '../../protocol/types.ts';
import { makeHttpServer } from '../../servers/http/server.ts';
import { httpSettings } from '../../servers/http/settings.ts';
import type { StickyPlan } from '../plan.ts';
import { SessionTable } from './session-table.ts';
import { removeIfOrphaned, socketIn, tableIn } from './workers-directory.ts';

/** The worker that got the request from its client applies the limits of the INI file. */
const NO_LIMITS = {
  request_timeout: '0',
  headers_timeout: '0',
  keep_alive_timeout: '0',
  send_timeout: '0',
  max_header_size: '1048576',
};

export class StickySessions {
  readonly #plan: StickyPlan;
  readonly #log: Logger;
  readonly #name = newWorkerName();
  readonly #sessions: SessionTable;
  /** Serves what other workers pass on. */
  #running: Running | undefined;
  #closed: Promise<void> | undefined;
  /** Settles when the application knows that it drains. */
  #notified: Promise<unknown> = Promise.resolve();

  constructor(plan: StickyPlan, log: Logger) {
    this.#plan = plan;
    this.#log = log;
    this.#sessions = new SessionTable(tableIn(plan.directory));
    removeIfOrphaned(plan.directory, this.#name);
  }

  /** The application with all its sessions in one worker each. */
  around(app: App): App {
    const own: App = Object.assign((req: IncomingMessage, res: ServerResponse) => {
      watchForSession(req, res, (session) => this.#sessions.add(session, this.#name));
      return app(req, res);
    }, app);
    const sticky: App = async (req, res) => {
      const { cookie } = this.#plan;
      const inCookie = workerInCookie(req, cookie);
      const worker = this.#workerOf(req, inCookie);
      const isElsewhere = worker !== undefined && worker !== this.#name;
      if (isElsewhere && (await forwardRequest(socketIn(this.#plan.directory, worker), req, res))) return undefined;
      if (inCookie !== this.#name) setCookie(res, this.#newCookie(req));
      return own(req, res);
    };
    Object.assign(sticky, app, {
      ready: async () => {
        await app.ready?.();
        await this.#listen(own);
      },
      drain: () => {
        this.#notified = new Promise((resolve) => resolve(app.drain?.()));
        return this.#notified;
      },
      close: async () => {
        await (this.#closed ?? this.close({ graceful: false }));
        this.#sessions.close();
        await app.close?.();
      },
    });
    const { upgrade } = app;
    if (upgrade) {
      sticky.upgrade = async (req, socket, head) => {
        const worker = this.#workerOf(req, workerInCookie(req, this.#plan.cookie));
        const isElsewhere = worker !== undefined && worker !== this.#name;
        const path = isElsewhere ? socketIn(this.#plan.directory, worker) : '';
        if (isElsewhere && (await forwardUpgrade(path, req, socket, head))) return undefined;
        return upgrade.call(app, req, socket, head);
      };
    }
    return sticky;
  }

  /** Ends what other workers have passed on. May be called again to end it at once. */
  close(options: CloseOptions): Promise<void> {
    this.#closed = this.#running?.close(options) ?? Promise.resolve();
    return this.#closed;
  }

  /** The server of the application, which ends together with this. */
  with(running: Serving): Serving {
    return {
      ...running,
      close: (options) => {
        const closed = running.close(options);
        // Other workers keep no connections to this one that could be handed over.
        const { handOver: _, ...how } = options ?? {};
        void this.close({ ...how, notified: this.#notified });
        return closed;
      },
    };
  }

  #workerOf(req: IncomingMessage, inCookie: string | undefined): string | undefined {
    const session = engineSession(req);
    return (session === undefined ? undefined : this.#sessions.find(session)) ?? inCookie;
  }

  #newCookie({ socket }: IncomingMessage): string {
    const secure = 'encrypted' in socket && socket.encrypted === true ? '; Secure' : '';
    return `${this.#plan.cookie}=${this.#name}; Path=/; HttpOnly; SameSite=Lax${secure}`;
  }

  async #listen(app: App): Promise<void> {
    const path = socketIn(this.#plan.directory, this.#name);
    const listener = await openListener({ kind: 'unix', path }, { mode: 0o600 });
    const preambles = new Preambles();
    const completed: App = Object.assign((req: IncomingMessage, res: ServerResponse) => {
      preambles.complete(req);
      return app(req, res);
    }, app);
    const { upgrade } = app;
    if (upgrade) {
      completed.upgrade = (req, socket, head) => {
        preambles.complete(req);
        return upgrade.call(app, req, socket, head);
      };
    }
    const front = new Server();
    preambles.receive(listener.server, front);
    const settings = httpSettings['~standard'].validate(NO_LIMITS);
    if (!('value' in settings)) throw new Error(settings.issues[0]?.message);
    const server = await makeHttpServer({}, settings.value);
    const running = await server.serve(completed, [front], { log: this.#log });
    this.#running = {
      ...running,
      close: (options) => {
        void listener.close();
        return running.close(options);
      },
    };
  }
}

// --- how a request names its session: by the cookie of a worker, or by the id that Engine.IO (Socket.IO) has in its query

const WORKER = /^[\w-]{22}$/;
const SESSION_PARAMETER = /[?&]sid=([\w-]{1,64})(?:&|$)/;
const ENGINE_PARAMETER = /[?&]EIO=\d/;
/** In the first packet of a session: `0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],...`. */
const SESSION_OPENED = /"sid":"([\w-]{1,64})"/;
const OPENING_BYTES = 256;

/** The name of a worker: 16 random bytes, so that a client can only name workers that paster has named to it. */
export function newWorkerName(): string {
  return randomBytes(16).toString('base64url');
}

/** The worker in the cookie of this name. */
export function workerInCookie({ headers }: IncomingMessage, name: string): string | undefined {
  for (const cookie of (headers.cookie ?? '').split(';')) {
    const [key, value = ''] = cookie.split('=', 2);
    if (key?.trim() === name) return WORKER.test(value.trim()) ? value.trim() : undefined;
  }
  return undefined;
}

/** The id of Engine.IO's session. */
export function engineSession({ url = '' }: IncomingMessage): string | undefined {
  const query = queryOf(url);
  return ENGINE_PARAMETER.test(query) ? SESSION_PARAMETER.exec(query)?.[1] : undefined;
}

/** Calls back with the id of a session that the response to this request opens, before the client gets it. */
export function watchForSession(req: IncomingMessage, res: ServerResponse, opened: (session: string) => void): void {
  const query = queryOf(req.url ?? '');
  if (!ENGINE_PARAMETER.test(query) || SESSION_PARAMETER.test(query)) return;
  let isDecided = false;
  const look = (chunk: unknown): void => {
    if (isDecided || (typeof chunk !== 'string' && !(chunk instanceof Uint8Array))) return;
    isDecided = true;
    const text = typeof chunk === 'string' ? chunk : Buffer.from(chunk.subarray(0, OPENING_BYTES)).toString('latin1');
    const session = SESSION_OPENED.exec(text.slice(0, OPENING_BYTES))?.[1];
    if (session !== undefined) opened(session);
  };
  interceptResponse(res, { onWrite: look, onEnd: look });
}

function queryOf(url: string): string {
  const start = url.indexOf('?');
  return start === -1 ? '' : url.slice(start);
}

const SET_COOKIE = 'set-cookie';

/** Has the response set a cookie, besides the application's own, unless caches may give the response to other clients. */
export function setCookie(res: ServerResponse, cookie: string): void {
  interceptResponse(res, {
    onHead(_status, given) {
      const pairs = headersGiven(given);
      if (!isShared(res, pairs) && headerIn(pairs, SET_COOKIE) === undefined) {
        const before = res.getHeader(SET_COOKIE) ?? [];
        res.setHeader(SET_COOKIE, [before, cookie].flat().map(String));
      }
      return true;
    },
  });
  const { writeHead } = res;
  // Headers that writeHead is given replace those that were set before.
  const writeHeadWithCookie = (status: number, ...given: unknown[]): ServerResponse => {
    const pairs = headersGiven(given);
    const isReplacing = headerIn(pairs, SET_COOKIE) !== undefined && !isShared(res, pairs);
    const headers = isReplacing ? [joined([...pairs, [SET_COOKIE, cookie]])] : given;
    const message = isReplacing ? given.filter((each) => typeof each === 'string') : [];
    return Reflect.apply(writeHead, res, [status, ...message, ...headers]);
  };
  res.writeHead = writeHeadWithCookie as ServerResponse['writeHead'];
}

const SHARED = /\b(?:public|s-maxage|immutable)\b/i;

function isShared(res: ServerResponse, pairs: HeaderPairs): boolean {
  return SHARED.test(String(headerIn(pairs, 'cache-control') ?? res.getHeader('cache-control') ?? ''));
}

function headerIn(pairs: HeaderPairs, name: string): OutgoingHttpHeader | undefined {
  return pairs.find(([key]) => key.toLowerCase() === name)?.[1];
}

/** Headers as an object, with all values of those that come several times. */
function joined(pairs: HeaderPairs): Record<string, OutgoingHttpHeader> {
  const headers = new Map<string, { readonly name: string; readonly values: (number | string)[] }>();
  for (const [name, value] of pairs) {
    const known = headers.get(name.toLowerCase()) ?? { name, values: [] };
    headers.set(name.toLowerCase(), known);
    known.values.push(...[value ?? ''].flat());
  }
  return Object.fromEntries(
    [...headers.values()].map(({ name, values }) => [
      name,
      values.length === 1 ? (values[0] ?? '') : values.map(String),
    ]),
  );
}
