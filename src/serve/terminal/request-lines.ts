/** In development, at a terminal: a short line for each request, `18:28:12 GET /cart 200 3 ms`. */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { WriteStream } from 'node:tty';
import { type Paint, paintFor } from '../../diagnostics/paint.ts';
import { requestOutput } from '../../logging/request-output.ts';
import { printableLine } from '../../printable.ts';
import type { App } from '../../protocol/types.ts';
import { withoutSecretParameters } from '../../secrets.ts';
import { clockTime, cut, shownTime } from './shown-text.ts';

/** What a line shows. */
export interface RequestLine {
  readonly time: Date;
  readonly method: string;
  readonly url: string;
  /** Undefined: the client left before there was one. */
  readonly status: number | undefined;
  readonly milliseconds: number;
}

/** What a page loads besides itself, and what machines ask again and again. */
const STATIC = /\.(?:avif|css|eot|gif|ico|jpe?g|js|map|mjs|mp[34]|otf|png|svg|ttf|wasm|web[mp]|webmanifest|woff2?)$/i;
const HEALTH = /^\/(?:-\/)?(?:health|healthz|livez|readyz|ping)$/;
/** What paster's own script in each page asks for, which says nothing about the application. */
const OWN = /\/\.paster\/reload(?:\.js)?(?:\?|$)/;
/** What browsers ask for by themselves, and few applications have. */
const BROWSER = /^\/(?:favicon\.ico|apple-touch-icon[\w-]*\.png|\.well-known\/appspecific\/[\w.]+)$/;

/**
 * To be called before the application is loaded, in a process that writes to a terminal.
 * @returns Wraps the loaded application, unless one of its filters writes lines to the terminal itself.
 */
export function offerRequestLines(terminal: WriteStream): (app: App) => App {
  requestOutput().isOffered = true;
  return (app) => (requestOutput().isTaken ? app : withRequestLines(app, terminal));
}

function withRequestLines(app: App, terminal: WriteStream): App {
  const paint = paintFor(terminal);
  const startLine = ({ method = '', url = '' }: IncomingMessage): ((status: number | undefined) => void) => {
    const start = performance.now();
    return (status) => {
      const milliseconds = performance.now() - start;
      const line = { time: new Date(), method, url, status, milliseconds };
      terminal.write(`${completedRequestLine(line, terminal.columns, paint)}\n`);
    };
  };
  const wrapped: App = (req, res) => {
    const { url = '' } = req;
    if (url.includes('/.paster/') && OWN.test(url)) return app(req, res);
    const end = startLine(req);
    res.once('close', () => end(res.headersSent ? res.statusCode : undefined));
    return app(req, res);
  };
  // Everything else that the application has is found on the wrapper too.
  Object.setPrototypeOf(wrapped, app);
  const { upgrade } = app;
  if (upgrade) {
    wrapped.upgrade = (req, socket, head) => {
      onStatus(socket, startLine(req));
      return upgrade.call(app, req, socket, head);
    };
  }
  return wrapped;
}

/** Calls back with the status of the response to an upgrade when it is written, or without one when the connection closes. */
function onStatus(socket: Duplex, callback: (status: number | undefined) => void): void {
  let isDone = false;
  const done = (chunk: unknown): void => {
    if (isDone) return;
    isDone = true;
    const status = /^HTTP\/1\.1 (\d{3})/.exec(String(chunk).slice(0, 'HTTP/1.1 101'.length))?.[1];
    callback(status === undefined ? undefined : Number(status));
  };
  for (const name of ['write', 'end'] as const) {
    const method = socket[name];
    Object.defineProperty(socket, name, {
      configurable: true,
      writable: true,
      value: (chunk: unknown, ...rest: unknown[]): unknown => {
        done(chunk);
        return Reflect.apply(method, socket, [chunk, ...rest]);
      },
    });
  }
  socket.once('close', () => done(''));
}

/** A line without its end. A URL that does not fit into `columns` is cut. */
export function completedRequestLine(
  { time, method, url, status, milliseconds }: RequestLine,
  columns: number,
  paint: Paint,
): string {
  const ends = [status === undefined ? 'left' : String(status), shownTime(milliseconds)] as const;
  const [at, verb] = [clockTime(time), printableLine(method)];
  const room = (columns || 80) - [at, verb, ...ends].join(' ').length - 2;
  const target = cut(printableLine(withoutSecretParameters(url)), room);
  const [path = ''] = url.split('?', 1);
  const dimmed = (status ?? 500) < 400 ? [STATIC, HEALTH, BROWSER] : status === 404 ? [BROWSER] : [];
  if (dimmed.some((each) => each.test(path))) {
    return paint('dim', [at, verb, target, ...ends].join(' '));
  }
  return [paint('dim', at), verb, target, paintedStatus(ends[0], status, paint), paint('dim', ends[1])].join(' ');
}

function paintedStatus(text: string, status: number | undefined, paint: Paint): string {
  if (status === undefined || status >= 500) return paint('red', text);
  if (status >= 400) return paint('yellow', text);
  return paint(status >= 300 ? 'cyan' : 'green', text);
}
