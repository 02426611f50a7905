/** What a response's head needs to know of a header by its name, worked out once a name. */
import { validateHeaderName } from 'node:http';

export interface HeaderName {
  /** In lower case, as Node's table of headers is keyed. */
  readonly key: string;
  /**
   * Concerns one connection (RFC 9110 section 7.6.1), or is `Status`, which in a CGI response would overrule the status
   * code.
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
/** An application that makes names up must not fill the memory: past this many, they are worked out each time. */
const MAX_KNOWN = 512;

/** A name that has been looked up before, and hence is a valid one. */
export function knownHeaderName(name: unknown): HeaderName | undefined {
  return known.get(name);
}

/** @throws Node's error for what is no header name. */
export function headerName(name: string): HeaderName {
  const before = known.get(name);
  if (before !== undefined) return before;
  validateHeaderName(name);
  const key = name.toLowerCase();
  const made = { key, dropped: DROPPED.has(key) };
  if (known.size < MAX_KNOWN) known.set(name, made);
  return made;
}
