/**
 * Parses the head of a CGI script's output (RFC 3875 section 6). A head that a web server must not pass on throws
 * `BadOutput`, which names the reason.
 */

export interface ScriptHead {
  readonly status: number;
  /** The reason phrase; undefined: the standard one. */
  readonly reason: string | undefined;
  /** Alternating names and values, without Status and the headers of a connection. */
  readonly headers: readonly string[];
  readonly contentLength: number | undefined;
  /** A path on this server to respond with instead (section 6.2.2). */
  readonly localRedirect: string | undefined;
}

/** The output of a script is not a valid response. */
export class BadOutput extends Error {}

/** Four times what Node accepts from a client by default (`--max-http-header-size`). */
export const MAX_HEAD = 64 * 1024;
const MAX_LINES = 1000;

/**
 * Finds the empty line after the head, with any line ends.
 * @param from where to start searching.
 * @returns where the head ends and where the body begins.
 */
export function findHeadEnd(bytes: Buffer, from = 0): { readonly head: number; readonly body: number } | undefined {
  for (let feed = bytes.indexOf(LF, from); feed !== -1; feed = bytes.indexOf(LF, feed + 1)) {
    const next = bytes[feed + 1];
    if (next === LF) return { head: feed, body: feed + 2 };
    if (next === CR && bytes[feed + 2] === LF) return { head: feed, body: feed + 3 };
  }
  return undefined;
}

/** How many bytes of an incomplete empty line may have arrived: a line feed and a carriage return. */
export const HEAD_END_PART = 2;
const LF = 0x0a;
const CR = 0x0d;

const HEADER_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[^ \t].*)?)$/;
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const STATUS_VALUE = /^([2-9]\d\d)(?: (.*))?$/;
const STATUS_LINE = /^HTTP\/\d(?:\.\d)? ([2-9]\d\d)(?: (.*))?$/;

/** Headers that concern only one connection, or the framing that paster does itself (RFC 9110 section 7.6.1). */
const CONNECTION_HEADERS: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-connection',
  'status',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * @param text the head, decoded as latin-1.
 * @param nph whether the script speaks HTTP itself (section 5) and begins with a status line. It cannot choose the framing,
 *   since the server that sends the response may speak another protocol.
 * @throws BadOutput
 */
export function parseHead(text: string, nph: boolean): ScriptHead {
  const lines = text.split(/\r?\n/);
  if (lines.length > MAX_LINES) throw new BadOutput(`a head of ${lines.length} lines`);
  let status: number | undefined;
  let reason: string | undefined;
  if (nph) {
    const first = lines.shift() ?? '';
    const match = STATUS_LINE.exec(first);
    if (match === null) throw new BadOutput(`no status line but ${quoteStart(first)}`);
    status = Number(match[1]);
    reason = match[2];
  }
  const headers: string[] = [];
  let contentLength: number | undefined;
  let location: string | undefined;
  for (const line of lines) {
    const [, name = '', padded = ''] = HEADER_LINE.exec(line.replace(/\r$/, '')) ?? [];
    const value = padded.replace(/(?<![ \t])[ \t]+$/, '');
    if (name === '' || !HEADER_VALUE.test(value)) throw new BadOutput(`no header but ${quoteStart(line)}`);
    const key = name.toLowerCase();
    if (key === 'status' && !nph) {
      const match = STATUS_VALUE.exec(value);
      if (match === null || status !== undefined) throw new BadOutput(`a Status of ${quoteStart(value)}`);
      status = Number(match[1]);
      reason = match[2];
    }
    if (key === 'transfer-encoding' && nph) throw new BadOutput(`a Transfer-Encoding of ${quoteStart(value)}`);
    if (key === 'content-length') {
      if (!/^\d{1,15}$/.test(value) || (contentLength ?? Number(value)) !== Number(value)) {
        throw new BadOutput(`a Content-Length of ${quoteStart(value)}`);
      }
      if (contentLength !== undefined) continue;
      contentLength = Number(value);
    }
    if (key === 'location') location = value;
    if (!CONNECTION_HEADERS.has(key)) headers.push(name, value);
  }
  // A location with two slashes names another host.
  const isLocal = status === undefined && location !== undefined && /^\/(?![/\\])/.test(location);
  return {
    status: status ?? (location === undefined ? 200 : 302),
    reason: reason === undefined || reason === '' || !HEADER_VALUE.test(reason) ? undefined : reason,
    headers,
    contentLength,
    localRedirect: isLocal ? location : undefined,
  };
}

function quoteStart(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}...` : text);
}
