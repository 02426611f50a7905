/**
 * From a CGI environment (RFC 3875 section 4.1) to the head of the HTTP request that it describes. Knows no protocol that
 * carries it. Texts are bytes decoded as latin-1, as Node does with headers.
 */
import { METHODS } from 'node:http';
import { PROXY_HEADERS } from '../http/forwarded.ts';
import { TOKEN } from '../http/token.ts';
import type { EnvironPairs } from './environ.ts';
import { isCaddy, isLighttpd, type RequestTarget, requestTarget, type TargetVariables } from './target.ts';
import {
  CONTENT_LENGTH,
  CONTENT_TYPE,
  HTTP_CONTENT_LENGTH,
  HTTP_CONTENT_TYPE,
  HTTP_HOST,
  HTTP_TRANSFER_ENCODING,
  HTTPS,
  type Meaning,
  meaningOf,
  PATH_INFO,
  QUERY_STRING,
  REQUEST_METHOD,
  REQUEST_SCHEME,
  REQUEST_URI,
  SCRIPT_NAME,
  SERVER_PROTOCOL,
  SERVER_SOFTWARE,
} from './variables.ts';

/** What `(req, res)` are made from. */
export interface RequestHead {
  /** It came over HTTP/2 and not from a web server: `pairs` are the addresses alone. */
  readonly isHttp2?: true;
  readonly method: string;
  /** What the application routes on. */
  readonly url: string;
  /** Where the web server has mounted the application; empty at the root. */
  readonly baseUrl: string;
  /** The target as the client sent it. */
  readonly originalUrl: string;
  readonly httpVersionMinor: 0 | 1;
  readonly rawHeaders: string[];
  /** Undefined: the head does not say; the body ends where its stream ends. */
  readonly contentLength: number | undefined;
  /** The client sent its body in chunks. */
  readonly chunked: boolean;
  /** The client speaks TLS with the web server. */
  readonly encrypted: boolean;
  readonly pairs: EnvironPairs;
}

/** What a protocol says of every request that it carries. */
export interface EnvironTraits {
  /** It asks for CONTENT_LENGTH, so that 0 does not mean that the client has sent it (SCGI). */
  readonly lengthIsForced?: boolean;
  /** SCRIPT_NAME is always the mount, and an empty PATH_INFO what lies below it (CGI: it is the program's own URL). */
  readonly pathIsSplit?: boolean;
}

/** A request that no HTTP server would have let through; to be answered with `status`. */
export class BadEnviron extends Error {
  readonly status: number = 400;
}

/** As many headers as Node takes by default (`server.maxHeadersCount`). */
const MAX_HEADERS = 2000;

const KNOWN_METHODS: ReadonlySet<string> = new Set(METHODS);
// RFC 9110 section 5.5: with these in a value, one header could pass for two.
const HEADER_BREAK = /[\0\r\n]/;
const LENGTH = /^\d{1,15}$/;
// Caddy's length of a body that comes in chunks, whose header it does not tell. From anybody else it is a mistake.
const UNMEASURED = '-1';

/** Whatever can tell all variables when somebody asks for them. */
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
 * Makes the head of a request of its variables, taken one by one. Of a variable that comes twice the last one counts, as
 * in PHP, so that a later `fastcgi_param` overrides an earlier one. A header that comes twice is two headers: where there can
 * be only one (User-Agent, Referer, Content-Type), Node keeps the first, which is also the one that nginx checks. Except for
 * Host: web servers refuse a request with two of them, so that a second one is the operator's (Debian's fastcgi_params set
 * it without the port).
 */
export class HeadReader {
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
  /** Where the value of Host is among the headers. */
  #host = -1;
  readonly #lengthIsForced: boolean;

  /**
   * @param mount where the application is mounted, for web servers that split the path wrongly (see target.ts).
   * @param traits what the protocol says of every request that it carries.
   */
  constructor(mount: string | undefined, traits: EnvironTraits) {
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
  take(meaning: Meaning, value: string): void {
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
        if (this.#host === -1) this.#host = this.#rawHeaders.push('Host', value) - 1;
        else this.#rawHeaders[this.#host] = value;
        break;
    }
  }

  /**
   * The head, once all variables were taken.
   * @throws BadEnviron where they could not have come from an HTTP request.
   */
  head(source: PairSource): RequestHead {
    const rawHeaders = this.#hasEmptied ? withoutEmptied(this.#rawHeaders) : this.#rawHeaders;
    const method = this.#method;
    const unmeasured = this.#length === UNMEASURED && isCaddy(this.#target.serverSoftware);
    const length = unmeasured ? '' : this.#length;
    if (rawHeaders.length > 2 * MAX_HEADERS) throw new BadEnviron('too many headers');
    if (!KNOWN_METHODS.has(method) && !TOKEN.test(method)) throw new BadEnviron('the method is not a token');
    // nginx sends both variables empty where the request has neither header: absent, not empty (an empty Content-Type
    // makes Fastify refuse a DELETE, an empty Content-Length makes body-parser answer 400).
    const contentType = this.#contentType || this.#headerContentType;
    if (contentType !== '') {
      if (HEADER_BREAK.test(contentType)) throw new BadEnviron('the content type holds a line break or NUL');
      rawHeaders.push('Content-Type', contentType);
    }
    let contentLength: number | undefined;
    if (length !== '') {
      if (!LENGTH.test(length)) throw new BadEnviron('the content length is not a number');
      // The length that the web server vouches for; HTTP_CONTENT_LENGTH could only disagree. It has taken chunks apart,
      // so that with both headers the length is the true one.
      contentLength = Number(length);
      // Lighttpd says 0 with every GET; what the client has sent itself it repeats as HTTP_CONTENT_LENGTH.
      const forced = this.#lengthIsForced || isLighttpd(this.#target.serverSoftware);
      const made = contentLength === 0 && this.#headerLength === '' && forced;
      if (!made) rawHeaders.push('Content-Length', length);
    }
    const chunked = contentLength === undefined && (unmeasured || this.#transferEncoding !== '');
    if (chunked) rawHeaders.push('Transfer-Encoding', 'chunked');
    // Only what the response may be made of matters here: HTTP/2 and 3 end at the web server, and frameworks take 2 for
    // Node's http2. SERVER_PROTOCOL in the environment tells the truth.
    const minor = this.#protocol === 'HTTP/1.0' || this.#protocol === 'HTTP/0.9' ? 0 : 1;
    const target = requestTarget(this.#target);
    const encrypted = saysTls(this.#https, this.#scheme);
    return new Head(method, target, minor, rawHeaders, contentLength, chunked, encrypted, source);
  }
}

/**
 * The head of the request that an environment describes.
 * @param mount where the application is mounted, for web servers that split the path wrongly (see target.ts).
 * @param traits what the protocol says of every request that it carries.
 * @throws BadEnviron where it could not have come from an HTTP request.
 */
export function readHead(pairs: EnvironPairs, mount?: string, traits: EnvironTraits = {}): RequestHead {
  const reader = new HeadReader(mount, traits);
  for (let i = 0; i + 1 < pairs.length; i += 2) reader.take(meaningOf(pairs[i] as string), pairs[i + 1] as string);
  return reader.head({ pairs });
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
function saysTls(https: string, scheme: string): boolean {
  if (https === '') return scheme !== '' && scheme.toLowerCase() === 'https';
  return https !== '0' && https.toLowerCase() !== 'off';
}
