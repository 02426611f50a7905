/**
 * What this process serves, around the application: what is answered, what is in hand, and the connections. Where counts are
 * shown it is told of each request at its beginning and at its end, elsewhere at its beginning alone; everything else is
 * worked out when somebody asks.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { clientAddress } from '../http/client-address.ts';
import { isComplete } from '../http/complete.ts';
import type { App } from '../protocol/types.ts';
import { shownValue } from '../secrets.ts';
import type { Counts } from './counts.ts';
import { IN_HAND, InHand, type MeteredRequest, type MeteredResponse } from './in-hand.ts';
import { LoopLag } from './loop-lag.ts';
import {
  NO_RELOADS,
  noRestarts,
  type ProcessReport,
  type RequestInFlight,
  type ServerStatus,
} from './server-status.ts';
import { Tally } from './tally.ts';
import { Watchlist } from './watchlist.ts';

/** For a client that left before there was a status; nginx's. */
const CLIENT_LEFT = 499;
/** Requests that a report names. */
const MOST_NAMED = 100;
const LONGEST_URL = 300;

export class Meter {
  /** Set where somebody may ask what is in hand: requests are watched. */
  isAttended = false;
  /** Set by the parts that show counts: requests and connections are counted. */
  isCounting = false;
  /** What is known of the whole server, of which this process may be one of several. */
  ask: () => Promise<ServerStatus> = async () => this.alone();
  readonly #lag = new LoopLag();
  readonly #tallies = new Map<string, Tally>();
  /** For what no section has got: a filter in front of all has answered. */
  readonly #outside = this.tally('');
  readonly #sockets = new Set<Socket>();
  /** What is in hand, where somebody sees counts. */
  readonly #observed = new Watchlist((res: MeteredResponse) => this.#finish(res));
  /** The same where nobody does. */
  readonly #watched = new Watchlist();
  #hasBegun = false;
  #began = performance.now();
  #started = Date.now();
  #upgrades = 0;
  #upgraded = 0;
  #connections = 0;
  #received = 0;
  #sent = 0;

  /** The counts of a section; there is one for each name. */
  tally(section: string): Tally {
    let tally = this.#tallies.get(section);
    if (!tally) {
      tally = new Tally(section);
      this.#tallies.set(section, tally);
    }
    return tally;
  }

  /** From now on this process serves. */
  begin(): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    this.#began = performance.now();
    this.#started = Date.now();
    this.#lag.begin();
  }

  // --- requests ------------------------------------------------------------------------------------------------------

  /** The application for a server: everything that it is given is counted. */
  observe(app: App): App {
    const finish = (res: MeteredResponse): void => this.#finish(res);
    // One function for all answers, which costs a request less than one of its own.
    function closed(this: MeteredResponse): void {
      finish(this);
    }
    return this.#standBefore(app, (req: MeteredRequest, res: MeteredResponse) => {
      const request = new InHand(req, this.#outside);
      req[IN_HAND] = request;
      res[IN_HAND] = request;
      this.#observed.add(res, request.start);
      // Last of all events, whichever way the answer ends.
      res.on('close', closed);
      return app(req, res);
    });
  }

  /** The same where nobody sees counts: known is how many have come and which of them are in hand. */
  watch(app: App): App {
    return this.#standBefore(app, (req, res) => {
      // To a tenth of a second: looking at the clock would cost more than all the rest.
      this.#watched.add(res, this.#lag.now);
      return app(req, res);
    });
  }

  #standBefore(app: App, observed: App): App {
    const { upgrade } = app;
    // Whatever else an application says of itself, a server finds on this one too.
    Object.setPrototypeOf(observed, app);
    if (upgrade) {
      observed.upgrade = (req, socket, head) => {
        this.#takeUpgrade(socket);
        return upgrade.call(app, req, socket, head);
      };
    }
    return observed;
  }

  #finish(res: MeteredResponse): void {
    const request = res[IN_HAND];
    if (!request || request.isOver) return;
    request.isOver = true;
    const seconds = (performance.now() - request.start) / 1000;
    request.tally.add(request.method, res.headersSent ? res.statusCode : CLIENT_LEFT, seconds, isComplete(res));
  }

  #takeUpgrade(socket: Duplex): void {
    this.#upgrades++;
    this.#upgraded++;
    socket.once('close', () => {
      this.#upgraded--;
    });
  }

  // --- connections ---------------------------------------------------------------------------------------------------

  /** A connection has come. */
  readonly connected = (socket: Socket): void => {
    this.#connections++;
    this.#sockets.add(socket);
    socket.once('close', () => this.left(socket));
  };

  /** It has closed, or goes to another process. */
  left(socket: Socket): void {
    if (!this.#sockets.delete(socket)) return;
    this.#received += socket.bytesRead;
    this.#sent += bytesSent(socket);
  }

  // --- what is asked for ---------------------------------------------------------------------------------------------

  counts(): Counts {
    let [received, sent] = [this.#received, this.#sent];
    for (const socket of this.#sockets) {
      received += socket.bytesRead;
      sent += bytesSent(socket);
    }
    return {
      sections: [...this.#tallies.values()].flatMap((tally) => tally.counts() ?? []),
      watched: this.#watched.over,
      upgrades: this.#upgrades,
      connections: this.#connections,
      received,
      sent,
    };
  }

  report(): ProcessReport {
    const inFlight = this.inFlight();
    const { rss, heapUsed, heapTotal, external } = process.memoryUsage();
    return {
      pid: process.pid,
      uptime: (performance.now() - this.#began) / 1000,
      counts: this.counts(),
      inFlight,
      inFlightCount: this.#observed.length + this.#watched.length,
      connections: this.#sockets.size,
      upgraded: this.#upgraded,
      memory: { resident: rss, heapUsed, heapTotal, external },
      lag: this.#lag.read(),
    };
  }

  /** A server that is this process. */
  alone(): ServerStatus {
    const report = this.report();
    return {
      pid: process.pid,
      started: this.#started,
      workers: [{ pid: process.pid, state: 'ready', report, silent: undefined }],
      totals: report.counts,
      restarts: noRestarts(),
      reloads: NO_RELOADS,
    };
  }

  /** The oldest first. */
  inFlight(): RequestInFlight[] {
    return [...this.#watched.entries(MOST_NAMED), ...this.#observed.entries(MOST_NAMED)]
      .slice(0, MOST_NAMED)
      .map(({ res, start }) => describe(res, start));
  }
}

function describe(res: MeteredResponse, start: number): RequestInFlight {
  const { req } = res;
  const { method, url, tally } = res[IN_HAND] ?? { method: req.method, url: originalUrl(req), tally: undefined };
  return {
    method: method ?? '',
    url: shownUrl(url ?? ''),
    client: clientOf(req),
    section: tally?.section || undefined,
    seconds: (performance.now() - start) / 1000,
  };
}

/** As the client sent it, where a framework or a composite has rewritten it and says so. */
function originalUrl(req: IncomingMessage & { readonly originalUrl?: string }): string | undefined {
  return req.originalUrl ?? req.url;
}

/** Not `bytesWritten`, which counts what waits too, and goes back where that is never sent. */
function bytesSent(socket: Socket): number {
  const dispatched: unknown = Reflect.get(socket, '_bytesDispatched');
  return typeof dispatched === 'number' ? dispatched : socket.bytesWritten;
}

function clientOf(req: IncomingMessage): string | undefined {
  try {
    return clientAddress(req);
  } catch {
    // HTTP/2's stand-in for a socket throws where the stream has gone.
    return undefined;
  }
}

/** Masked first: what is cut off must not make a secret look like none. */
function shownUrl(url: string): string {
  const shown = shownValue('url', url);
  return shown.length > LONGEST_URL ? `${shown.slice(0, LONGEST_URL)}...` : shown;
}

// Of the process, whichever copy of paster a part has come with: the command may be installed elsewhere.
const KEY: unique symbol = Symbol.for('paster.meter');
const shared: typeof globalThis & { [KEY]?: Meter } = globalThis;

/** The meter of this process. */
export function meter(): Meter {
  shared[KEY] ??= new Meter();
  return shared[KEY];
}
