/**
 * Makes the head of an HTTP request from the CGI environment that describes it (RFC 3875 section 4.1), whatever the protocol.
 * Texts are bytes decoded as latin-1, as Node does with headers.
 */
import { METHODS } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { PROXY_HEADERS } from '../http/client-address.ts';
import { TOKEN } from '../http/request-headers.ts';
import type { EnvironPairs } from './environ.ts';
import { isCaddy, isLighttpd, type RequestTarget, requestTarget, type TargetVariables } from './target.ts';

/** What a request and a response are made from. */
export interface RequestHead {
  /** Set if it came over HTTP/2 and not from a web server. `pairs` then has only the addresses. */
  readonly isHttp2?: true;
  readonly method: string;
  /** The URL that the application routes on. */
  readonly url: string;
  /** Where the web server has mounted the application; empty at the root. */
  readonly baseUrl: string;
  /** The target as the client sent it. */
  readonly originalUrl: string;
  readonly httpVersionMinor: 0 | 1;
  readonly rawHeaders: string[];
  /** Undefined: the body ends where its stream ends. */
  readonly contentLength: number | undefined;
  /** The client sent its body in chunks. */
  readonly chunked: boolean;
  /** The client speaks TLS with the web server. */
  readonly encrypted: boolean;
  /** The connection, if the client speaks TLS with this process. */
  readonly connection?: TLSSocket | undefined;
  readonly pairs: EnvironPairs;
}

// What a variable means to the head of a request: one of these numbers or, for a header, the header's name.
const REQUEST_METHOD = 1;
const REQUEST_URI = 2;
const SCRIPT_NAME = 3;
const PATH_INFO = 4;
const QUERY_STRING = 5;
const SERVER_PROTOCOL = 6;
const CONTENT_LENGTH = 7;
const CONTENT_TYPE = 8;
const SERVER_SOFTWARE = 9;
const HTTP_CONTENT_TYPE = 10;
const HTTP_TRANSFER_ENCODING = 11;
const HTTP_CONTENT_LENGTH = 12;
const HTTPS = 13;
const REQUEST_SCHEME = 14;
const HTTP_HOST = 15;
/** The variable is not part of the head. */
export const IGNORED = 16;
export type Meaning = number | string;

const MEANINGS = new Map<string, Meaning>([
  ['REQUEST_METHOD', REQUEST_METHOD],
  ['REQUEST_URI', REQUEST_URI],
  ['SCRIPT_NAME', SCRIPT_NAME],
  ['PATH_INFO', PATH_INFO],
  ['QUERY_STRING', QUERY_STRING],
  ['SERVER_PROTOCOL', SERVER_PROTOCOL],
  ['CONTENT_LENGTH', CONTENT_LENGTH],
  ['CONTENT_TYPE', CONTENT_TYPE],
  ['SERVER_SOFTWARE', SERVER_SOFTWARE],
  ['HTTP_CONTENT_TYPE', HTTP_CONTENT_TYPE],
  ['HTTP_TRANSFER_ENCODING', HTTP_TRANSFER_ENCODING],
  ['HTTP_CONTENT_LENGTH', HTTP_CONTENT_LENGTH],
  ['HTTPS', HTTPS],
  ['REQUEST_SCHEME', REQUEST_SCHEME],
  ['HTTP_HOST', HTTP_HOST],
]);

/**
 * Header names that peers invent must not fill the memory: beyond this number, or this length, their meaning is not remembered.
 */
const MAX_MEANINGS = 1024;
export const MAX_KEPT_NAME = 64;

const HEADER_VARIABLE = /^HTTP_[!#$%&'*+.^`|~0-9A-Za-z_-]+$/;

export function meaningOf(variable: string): Meaning {
  const known = MEANINGS.get(variable);
  if (known !== undefined) return known;
  const meaning = HEADER_VARIABLE.test(variable) ? titleCase(variable.slice('HTTP_'.length)) : IGNORED;
  if (MEANINGS.size < MAX_MEANINGS && variable.length <= MAX_KEPT_NAME) MEANINGS.set(copyOf(variable), meaning);
  return meaning;
}

/** The same text in its own memory: a variable's name is a slice that would keep the whole environment in memory. */
function copyOf(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}

/** `ACCEPT_ENCODING` as browsers write it: `Accept-Encoding`. The client's own spelling is lost in CGI. */
function titleCase(name: string): string {
  return name
    .split('_')
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1).toLowerCase())
    .join('-');
}

/** How environments of a protocol differ from others. */
export interface EnvironTraits {
  /** CONTENT_LENGTH is mandatory, so that 0 does not mean that the client has sent it (SCGI). */
  readonly lengthIsForced?: boolean;
  /** SCRIPT_NAME is always the mount, and PATH_INFO what follows it even if empty (CGI: it is the program's own URL). */
  readonly pathIsSplit?: boolean;
}

/** An environment of a request that no HTTP server would have accepted. `status` is the status to respond with. */
export class BadEnviron extends Error {
  readonly status: number = 400;
}

/** Node's default (`server.maxHeadersCount`). */
const MAX_HEADERS = 2000;

const KNOWN_METHODS: ReadonlySet<string> = new Set(METHODS);
// RFC 9110 section 5.5: with these in a value, one header could pass for two.
const HEADER_BREAK = /[\0\r\n]/;
const LENGTH = /^\d{1,15}$/;
// The length that Caddy sends for a body in chunks, without their header. From other web servers it is an error.
const UNKNOWN_LENGTH = '-1';

/** Provides all variables when they are first needed. */
export interface PairSource {
  readonly pairs: EnvironPairs;
}

class Head implements RequestHead {
  readonly method: string;
  readonly url: string;
  readonly baseUrl: string;
  readonly originalUrl: string;
  readonly httpVersionMinor: 0 | 1;
  readonly rawHeaders: string[];
  readonly contentLength: number | undefined;
  readonly chunked: boolean;
  readonly encrypted: boolean;
  readonly #source: PairSource;

  constructor(
    method: string,
    target: RequestTarget,
    httpVersionMinor: 0 | 1,
    rawHeaders: string[],
    contentLength: number | undefined,
    chunked: boolean,
    encrypted: boolean,
    source: PairSource,
  ) {
    this.method = method;
    this.url = target.url;
    this.baseUrl = target.baseUrl;
    this.originalUrl = target.originalUrl;
    this.httpVersionMinor = httpVersionMinor;
    this.rawHeaders = rawHeaders;
    this.contentLength = contentLength;
    this.chunked = chunked;
    this.encrypted = encrypted;
    this.#source = source;
  }

  get pairs(): EnvironPairs {
    return this.#source.pairs;
  }
}

/**
 * Builds the head of a request from its variables, one by one. If a variable comes twice, the last one counts, as in PHP, so
 * that a later `fastcgi_param` overrides an earlier one. A header that comes twice is two headers: where there can be only one
 * (User-Agent, Referer, Content-Type), Node keeps the first, which is also the one that nginx checks. Host is an exception: web
 * servers refuse a client's request with two of them, so the second one comes from the operator (Debian's fastcgi_params set it
 * without the port).
 */
export class RequestHeadBuilder {
  readonly #rawHeaders: string[] = [];
  readonly #target: TargetVariables;
  #method = 'GET';
  #protocol = '';
  #length = '';
  #contentType = '';
  #headerContentType = '';
  #headerLength = '';
  #transferEncoding = '';
  #https = '';
  #scheme = '';
  #hasEmptied = false;
  /** The index of the value of Host among the headers. */
  #hostIndex = -1;
  readonly #lengthIsForced: boolean;

  /**
   * @param mount where the application is mounted, for web servers that split the path wrongly (see target.ts).
   * @param traits how environments of the protocol differ from others.
   */
  constructor(mount: string | undefined, traits: EnvironTraits = {}) {
    this.#lengthIsForced = traits.lengthIsForced ?? false;
    this.#target = {
      requestUri: undefined,
      scriptName: '',
      pathInfo: undefined,
      queryString: '',
      serverSoftware: '',
      mount,
      isSplit: traits.pathIsSplit ?? false,
    };
  }

  /** @throws BadEnviron for a header that could pass for two. */
  add(meaning: Meaning, value: string): void {
    if (typeof meaning === 'string') {
      if (HEADER_BREAK.test(value)) throw new BadEnviron('a header holds a line break or NUL');
      this.#rawHeaders.push(meaning, value);
      this.#hasEmptied ||= isEmptied(meaning, value);
      return;
    }
    switch (meaning) {
      case REQUEST_METHOD:
        this.#method = value;
        break;
      case REQUEST_URI:
        this.#target.requestUri = value;
        break;
      case SCRIPT_NAME:
        this.#target.scriptName = value;
        break;
      case PATH_INFO:
        this.#target.pathInfo = value;
        break;
      case QUERY_STRING:
        this.#target.queryString = value;
        break;
      case SERVER_PROTOCOL:
        this.#protocol = value;
        break;
      case CONTENT_LENGTH:
        this.#length = value;
        break;
      case CONTENT_TYPE:
        this.#contentType = value;
        break;
      case SERVER_SOFTWARE:
        this.#target.serverSoftware = value;
        break;
      case HTTP_CONTENT_TYPE:
        this.#headerContentType ||= value;
        break;
      case HTTP_CONTENT_LENGTH:
        this.#headerLength = value;
        break;
      case HTTP_TRANSFER_ENCODING:
        this.#transferEncoding = value;
        break;
      case HTTPS:
        this.#https = value;
        break;
      case REQUEST_SCHEME:
        this.#scheme = value;
        break;
      case HTTP_HOST:
        if (HEADER_BREAK.test(value)) throw new BadEnviron('the header Host holds a line break or NUL');
        if (this.#hostIndex === -1) this.#hostIndex = this.#rawHeaders.push('Host', value) - 1;
        else this.#rawHeaders[this.#hostIndex] = value;
        break;
    }
  }

  /**
   * The head, after all variables have been added.
   * @throws BadEnviron if they could not have come from an HTTP request.
   */
  build(source: PairSource): RequestHead {
    const rawHeaders = this.#hasEmptied ? withoutEmptied(this.#rawHeaders) : this.#rawHeaders;
    const method = this.#method;
    const lengthUnknown = this.#length === UNKNOWN_LENGTH && isCaddy(this.#target.serverSoftware);
    const length = lengthUnknown ? '' : this.#length;
    if (rawHeaders.length > 2 * MAX_HEADERS) throw new BadEnviron('too many headers');
    if (!KNOWN_METHODS.has(method) && !TOKEN.test(method)) throw new BadEnviron('the method is not a token');
    // nginx sends both variables empty where the request has neither header: absent, not empty (an empty Content-Type makes
    // Fastify refuse a DELETE, an empty Content-Length makes body-parser respond with 400).
    const contentType = this.#contentType || this.#headerContentType;
    if (contentType !== '') {
      if (HEADER_BREAK.test(contentType)) throw new BadEnviron('the content type holds a line break or NUL');
      rawHeaders.push('Content-Type', contentType);
    }
    let contentLength: number | undefined;
    if (length !== '') {
      if (!LENGTH.test(length)) throw new BadEnviron('the content length is not a number');
      // The web server has checked this length; HTTP_CONTENT_LENGTH could only disagree. It has decoded chunks, so that with
      // both headers the length is right.
      contentLength = Number(length);
      // Lighttpd sends 0 with every GET. It repeats a length that the client sent as HTTP_CONTENT_LENGTH.
      const forced = this.#lengthIsForced || isLighttpd(this.#target.serverSoftware);
      const isAdded = contentLength === 0 && this.#headerLength === '' && forced;
      if (!isAdded) rawHeaders.push('Content-Length', length);
    }
    const chunked = contentLength === undefined && (lengthUnknown || this.#transferEncoding !== '');
    if (chunked) rawHeaders.push('Transfer-Encoding', 'chunked');
    // Only what the response may use matters here: HTTP/2 and 3 end at the web server, and frameworks take 2 for Node's
    // http2. SERVER_PROTOCOL in the environment has the client's version.
    const minor = this.#protocol === 'HTTP/1.0' || this.#protocol === 'HTTP/0.9' ? 0 : 1;
    const target = requestTarget(this.#target);
    const encrypted = isTls(this.#https, this.#scheme);
    return new Head(method, target, minor, rawHeaders, contentLength, chunked, encrypted, source);
  }
}

/**
 * The head of the request that an environment describes.
 * @param mount where the application is mounted, for web servers that split the path wrongly (see target.ts).
 * @param traits how environments of the protocol differ from others.
 * @throws BadEnviron if it could not have come from an HTTP request.
 */
export function readHead(pairs: EnvironPairs, mount?: string, traits: EnvironTraits = {}): RequestHead {
  const builder = new RequestHeadBuilder(mount, traits);
  for (let i = 0; i + 1 < pairs.length; i += 2) builder.add(meaningOf(pairs[i] as string), pairs[i + 1] as string);
  return builder.build({ pairs });
}

/**
 * A web server deletes a proxy's header by sending it empty, after those of the client. Lighttpd has no other way: the
 * client may write X_Forwarded_For, which is another header but the same variable.
 */
function isEmptied(name: string, value: string): boolean {
  return value === '' && PROXY_HEADERS.has(name.toLowerCase());
}

function withoutEmptied(rawHeaders: readonly string[]): string[] {
  const emptied = new Set<string>();
  const kept: string[] = [];
  for (let i = rawHeaders.length - 2; i >= 0; i -= 2) {
    const [name = '', value = ''] = [rawHeaders[i], rawHeaders[i + 1]];
    if (isEmptied(name, value)) emptied.add(name);
    if (!emptied.has(name)) kept.push(value, name);
  }
  return kept.reverse();
}

/** HTTPS is the older convention, and is "off" on some servers; without it the scheme decides. */
function isTls(https: string, scheme: string): boolean {
  if (https === '') return scheme !== '' && scheme.toLowerCase() === 'https';
  return https !== '0' && https.toLowerCase() !== 'off';
}
