/** The head of a CGI response (RFC 3875 section 6.3): which headers it has, and how it is made from an HTTP/1.1 head. */
import { validateHeaderName } from 'node:http';

export interface HeaderName {
  /** In lower case, as in Node's table of headers. */
  readonly key: string;
  /**
   * Whether the header is left out: it concerns one connection (RFC 9110 section 7.6.1), or is `Status`, which in a CGI
   * response would override the status code.
   */
  readonly dropped: boolean;
}

const DROPPED: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'te',
  'trailer',
  'upgrade',
  'status',
]);

const known = new Map<unknown, HeaderName>();
/** An application that invents names must not fill the memory: past this number they are converted each time. */
const MAX_KNOWN = 512;

/** A name that `headerName` has seen before, and that is therefore valid. */
export function knownHeaderName(name: unknown): HeaderName | undefined {
  return known.get(name);
}

/** @throws Node's error if it is no header name. */
export function headerName(name: string): HeaderName {
  const before = known.get(name);
  if (before !== undefined) return before;
  validateHeaderName(name);
  const key = name.toLowerCase();
  const made = { key, dropped: DROPPED.has(key) };
  if (known.size < MAX_KNOWN) known.set(name, made);
  return made;
}

const BEYOND_ASCII = /[\x80-\xff]/;

/** Whether Node would encode a head as latin-1 although a text follows. For other heads it encodes both as UTF-8. */
export function isLatin1Head(head: string, hasLength: boolean): boolean {
  return !hasLength && BEYOND_ASCII.test(head);
}

const END_OF_HEAD = '\r\n\r\n';

/** Splits what Node writes first, the head of an HTTP/1.1 response and perhaps a text, into the head of a CGI response and the text. */
export function translateHead(written: string): { head: string; text: string; isLatin1: boolean } {
  const end = written.indexOf(END_OF_HEAD);
  const [statusLine = '', ...lines] = written.slice(0, end).split('\r\n');
  const kept = lines.filter((line) => !headerName(line.slice(0, line.indexOf(':'))).dropped);
  const head = [`Status: ${statusLine.slice('HTTP/1.1 '.length)}`, ...kept].join('\r\n') + END_OF_HEAD;
  const isLatin1 = isLatin1Head(
    head,
    kept.some((line) => /^content-length:/i.test(line)),
  );
  return { head, text: written.slice(end + END_OF_HEAD.length), isLatin1 };
}
