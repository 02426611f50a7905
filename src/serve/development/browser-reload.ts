/**
 * Reloads pages in the browser after a reload of the server. A script is appended to each page, which waits for server-sent events.
 * The last event says that the worker drains. The script then asks for the version until it differs from that of the page, and
 * reloads the page.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { sendPlainText } from '../../http/error-response.ts';
import { escapeHtml } from '../../http/html.ts';
import { removeHeaders } from '../../http/override-client.ts';
import { type HeaderPairs, headersGiven } from '../../http/response/header-lists.ts';
import { interceptResponse, type ResponseHooks } from '../../http/response/response-interceptor.ts';
import { RELOAD_SCRIPT } from './reload-script.ts';

/** Proxies close a connection on which nothing comes, most after a minute. */
const KEEP_ALIVE_MS = 20_000;
/** How soon a browser connects again after a stream that has ended without the last event. */
const RETRY_MS = 1000;
const LAST_EVENT = 'event: draining\ndata:\n\n';

export class BrowserReload {
  readonly #version: string;
  readonly #onPage: (() => void) | undefined;
  readonly #streams = new Set<ServerResponse>();
  #keepAlive: NodeJS.Timeout | undefined;
  #isDraining = false;

  /** @param onPage called with each page that waits for events */
  constructor(version: string, onPage?: () => void) {
    this.#version = version;
    this.#onPage = onPage;
  }

  /** The path of the script, below the prefix that the browser knows the server by. */
  scriptPath(base: string): string {
    return `${base}/.paster/reload.js?v=${this.#version}`;
  }

  /** Adds the script to the response, if it is a page that the browser opens. */
  addScript(req: IncomingMessage, res: ServerResponse, script: () => string | undefined): void {
    if (!opensPage(req)) return;
    // A cached page would have the script of an earlier version, and a compressed one cannot get any.
    removeHeaders(req, new Set(['accept-encoding', 'if-none-match', 'if-modified-since']));
    interceptResponse(res, new PageHooks(res, script));
  }

  respondScript(res: ServerResponse): void {
    res.writeHead(200, {
      'content-type': 'text/javascript; charset=utf-8',
      'content-length': Buffer.byteLength(RELOAD_SCRIPT),
      'cache-control': 'no-cache',
    });
    res.end(RELOAD_SCRIPT);
  }

  /** Responds with the version as a text if that is asked for, and otherwise with the events. */
  respondEvents(req: IncomingMessage, res: ServerResponse): void {
    if (req.url?.endsWith('?version')) {
      sendPlainText(res, 200, { 'cache-control': 'no-store' }, this.#version);
      return;
    }
    // The browser would send its next request on this connection, to a worker that ends.
    res.shouldKeepAlive = false;
    res.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      // nginx would buffer the events.
      'x-accel-buffering': 'no',
    });
    res.write(`retry: ${RETRY_MS}\ndata: ${this.#version}\n\n`);
    if (req.method === 'HEAD') return void res.end();
    if (this.#isDraining) return void res.end(LAST_EVENT);
    this.#streams.add(res);
    this.#onPage?.();
    this.#keepAlive ??= setInterval(() => this.#send(':\n\n'), KEEP_ALIVE_MS).unref();
    res.once('close', () => {
      this.#streams.delete(res);
      if (this.#streams.size > 0) return;
      clearInterval(this.#keepAlive);
      this.#keepAlive = undefined;
    });
  }

  /** Tells the pages to reload, and ends the streams, which would keep this worker from ending. */
  drain(): void {
    this.#isDraining = true;
    for (const stream of this.#streams) stream.end(LAST_EVENT);
  }

  #send(text: string): void {
    for (const stream of this.#streams) stream.write(text);
  }
}

/** Whether the browser shows the response as a document. Not for `fetch`, nor for a form, which a reload would send again. */
export function opensPage({ method, headers }: IncomingMessage): boolean {
  if (method !== 'GET') return false;
  const destination = headers['sec-fetch-dest'];
  return destination === undefined
    ? (headers.accept?.includes('text/html') ?? false)
    : destination === 'document' || destination === 'iframe';
}

const WITHOUT_BODY = new Set([204, 205, 206, 304]);

/** Whether a response is HTML in an encoding that contains ASCII, as the script's element is. */
function isPage(type: string): boolean {
  return /^text\/html\b(?!.*charset\s*=\s*"?(?:utf-?16|utf-?32|ucs-?2))/i.test(type);
}

/** Appends the script to a page. */
class PageHooks implements ResponseHooks {
  readonly #res: ServerResponse;
  readonly #script: () => string | undefined;
  #tail = '';

  constructor(res: ServerResponse, script: () => string | undefined) {
    this.#res = res;
    this.#script = script;
  }

  onHead(status: number, given: readonly unknown[]): boolean {
    const pairs = headersGiven(given);
    const all = (name: string): string[] => valuesOf(this.#res, pairs, name);
    if (WITHOUT_BODY.has(status) || !all('content-type').some(isPage)) return true;
    // The browser saves it instead of showing it.
    if (all('content-disposition').some((disposition) => /^\s*attachment\b/i.test(disposition))) return true;
    if (all('content-encoding').some((encoding) => encoding !== 'identity')) return true;
    const nonce = nonceFor(all('content-security-policy'));
    const path = nonce === undefined ? undefined : this.#script();
    if (nonce === undefined || path === undefined) return true;
    const attribute = nonce === '' ? '' : ` nonce="${escapeHtml(nonce)}"`;
    this.#tail = `<script async src="${escapeHtml(path)}"${attribute}></script>\n`;
    for (const name of ['etag', 'last-modified']) this.#res.removeHeader(name);
    const length = this.#res.getHeader('content-length');
    if (length !== undefined) this.#res.setHeader('content-length', Number(length) + this.#tail.length);
    return true;
  }

  changeHead(given: readonly unknown[]): readonly unknown[] {
    if (this.#tail === '') return given;
    const headers = headersGiven(given).flatMap(([name, value]): HeaderPairs => {
      const lower = name.toLowerCase();
      if (lower === 'etag' || lower === 'last-modified') return [];
      return [[name, lower === 'content-length' ? Number(value) + this.#tail.length : value]];
    });
    // In a list a name may come twice.
    return given.map((each) => {
      if (Array.isArray(each)) return headers.flat();
      return typeof each === 'object' && each !== null ? Object.fromEntries(headers) : each;
    });
  }

  tail(): string {
    const tail = this.#tail;
    this.#tail = '';
    return tail;
  }
}

/** The values of a header, from `writeHead` or else from the response. */
function valuesOf(res: ServerResponse, given: HeaderPairs, name: string): string[] {
  const own = given.filter(([each]) => each.toLowerCase() === name).map(([, value]) => value);
  return (own.length > 0 ? own : [res.getHeader(name)])
    .flat()
    .filter((value) => value !== undefined)
    .map(String);
}

// --- whether the Content-Security-Policy of a page lets a script of its own server run and connect

/**
 * The nonce that the script needs, an empty text if it needs none; undefined if a policy forbids the script. Several policies apply
 * together. @see https://www.w3.org/TR/CSP3/
 */
function nonceFor(headers: readonly string[]): string | undefined {
  let nonce = '';
  for (const policy of headers.flatMap((header) => header.split(','))) {
    const directives = directivesOf(policy);
    const own = (...names: string[]): string[] | undefined => {
      const name = names.find((each) => directives.has(each));
      return name === undefined ? undefined : directives.get(name);
    };
    if (directives.has('sandbox') && !own('sandbox')?.includes('allow-scripts')) return undefined;
    const connects = own('connect-src', 'default-src');
    if (connects && !allowsOwn(connects)) return undefined;
    const scripts = own('script-src-elem', 'script-src', 'default-src');
    if (!scripts) continue;
    const needed = scripts.map((source) => /^'nonce-(.+)'$/.exec(source)?.[1]).find((each) => each !== undefined);
    if (needed !== undefined && (nonce === '' || nonce === needed)) nonce = needed;
    else if (!allowsOwn(scripts) || scripts.includes("'strict-dynamic'")) return undefined;
  }
  return nonce;
}

function allowsOwn(sources: readonly string[]): boolean {
  return sources.some((source) => ["'self'", '*', 'http:', 'https:'].includes(source.toLowerCase()));
}

function directivesOf(policy: string): Map<string, string[]> {
  const directives = new Map<string, string[]>();
  for (const directive of policy.split(';')) {
    const [name = '', ...sources] = directive.trim().split(/\s+/);
    // The first of a name counts.
    if (!directives.has(name.toLowerCase())) directives.set(name.toLowerCase(), sources);
  }
  return directives;
}
