/**
 * The head of a CGI script's output (RFC 3875 section 6), read from bytes. Pure; a head that no web server should send on
 * is a `BadOutput` that says what is wrong with it.
 */

export interface ScriptHead {
  readonly status: number;
  /** What the script calls the status; undefined: as it is usually called. */
  readonly reason: string | undefined;
  /** Names and values in turn; without Status, and without what concerns a connection. */
  readonly headers: readonly string[];
  readonly contentLength: number | undefined;
  /** A path on this server that is to be answered in place of this (section 6.2.2). */
  readonly localRedirect: string | undefined;
}

/** What a script has written is not an answer. */
export class BadOutput extends Error {}

/** As much as Node takes of a client (`--max-http-header-size` times four), and as many lines. */
export const MAX_HEAD = 64 * 1024;
const MAX_LINES = 1000;

/** Where the empty line after the head begins and ends, whichever line ends the script uses. @param from nothing begins before. */
export function findHeadEnd(bytes: Buffer, from = 0): { readonly head: number; readonly body: number } | undefined {
  for (let feed = bytes.indexOf(LF, from); feed !== -1; feed = bytes.indexOf(LF, feed + 1)) {
    const next = bytes[feed + 1];
    if (next === LF) return { head: feed, body: feed + 2 };
    if (next === CR && bytes[feed + 2] === LF) return { head: feed, body: feed + 3 };
  }
  return undefined;
}

/** The most bytes that an empty line which is not there yet can already have: a line feed, and a carriage return. */
export const HEAD_END_PART = 2;
const LF = 0x0a;
const CR = 0x0d;

const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[^ \t].*)?)$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const STATUS = /^([2-9]\d\d)(?: (.*))?$/;
const STATUS_LINE = /^HTTP\/\d(?:\.\d)? ([2-9]\d\d)(?: (.*))?$/;

/** Of one connection only, or of the framing that this side does itself (RFC 9110 section 7.6.1). */
const NOT_SENT_ON: ReadonlySet<string> = new Set([
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
 * @param nph the script speaks HTTP itself (section 5): it begins with a status line. What comes after is sent on by a server
 *   that may speak another protocol, so that framing is not the script's to choose.
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
    if (match === null) throw new BadOutput(`no status line but ${quoted(first)}`);
    status = Number(match[1]);
    reason = match[2];
  }
  const headers: string[] = [];
  let contentLength: number | undefined;
  let location: string | undefined;
  for (const line of lines) {
    const [, name = '', padded = ''] = FIELD.exec(line.replace(/\r$/, '')) ?? [];
    const value = padded.replace(/(?<![ \t])[ \t]+$/, '');
    if (name === '' || !VALUE.test(value)) throw new BadOutput(`no header but ${quoted(line)}`);
    const key = name.toLowerCase();
    if (key === 'status' && !nph) {
      const match = STATUS.exec(value);
      if (match === null || status !== undefined) throw new BadOutput(`a Status of ${quoted(value)}`);
      status = Number(match[1]);
      reason = match[2];
    }
    if (key === 'transfer-encoding' && nph) throw new BadOutput(`a Transfer-Encoding of ${quoted(value)}`);
    if (key === 'content-length') {
      if (!/^\d{1,15}$/.test(value) || (contentLength ?? Number(value)) !== Number(value)) {
        throw new BadOutput(`a Content-Length of ${quoted(value)}`);
      }
      if (contentLength !== undefined) continue;
      contentLength = Number(value);
    }
    if (key === 'location') location = value;
    if (!NOT_SENT_ON.has(key)) headers.push(name, value);
  }
  // Two slashes would begin a host's name.
  const isLocal = status === undefined && location !== undefined && /^\/(?![/\\])/.test(location);
  return {
    status: status ?? (location === undefined ? 200 : 302),
    reason: reason === undefined || reason === '' || !VALUE.test(reason) ? undefined : reason,
    headers,
    contentLength,
    localRedirect: isLocal ? location : undefined,
  };
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}...` : text);
}
