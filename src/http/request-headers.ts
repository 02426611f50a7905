/** What the headers of a request ask for: the host, the type of the response, and the request's id. */
import type { IncomingMessage } from 'node:http';

/** The syntax of names in HTTP, such as those of methods and headers (RFC 9110 section 5.6.2). */
export const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

// --- host

/** `host` or `host:port` as the client has written it; undefined if there is none. In HTTP/2 it is not in Host (RFC 9113 section 8.3.1). */
export function requestHost({ headers }: IncomingMessage): string | undefined {
  return headers.host ?? headers[':authority']?.toString();
}

// --- request id

/** The header with the id of a request, which logs and responses show. */
export const REQUEST_ID_HEADER = 'x-request-id';

// The client chooses it, so it must not contain what has a meaning in a log, in HTML or in a terminal.
const SAFE_ID = /^[\w.:+=@/-]{1,128}$/;

/** The id that the request came with, if that is safe to repeat, or a new one, which is added to its headers. */
export function requestId(req: IncomingMessage): string {
  const given = req.headers[REQUEST_ID_HEADER];
  if (typeof given === 'string' && SAFE_ID.test(given)) return given;
  const made = crypto.randomUUID();
  req.headers[REQUEST_ID_HEADER] = made;
  return made;
}

// --- media types

const WEIGHT = /^\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*$/i;

/**
 * The type of `offered` that has the greatest weight in an Accept header (RFC 9110 section 12.5.1). If several have it, the header's
 * most specific range decides, and then their order. Without a header, or if none is accepted, the last type of `offered`.
 */
export function preferredType<T extends string>(header: string | undefined, offered: readonly [...T[], T]): T {
  const last = offered[offered.length - 1] as T;
  const accepted = (header ?? '').split(',').map(parseRange);
  if (header === undefined || accepted.every(({ type }) => type === '*/*')) return last;
  const ranked = offered
    .map((type) => ({ type, ...rankOf(type, accepted) }))
    .filter(({ weight }) => weight > 0)
    .sort((one, other) => other.weight - one.weight || other.specificity - one.specificity);
  return ranked[0]?.type ?? last;
}

interface Range {
  readonly type: string;
  readonly weight: number;
}

function parseRange(text: string): Range {
  const [type = '', ...parameters] = text.split(';');
  const weight = parameters.map((parameter) => WEIGHT.exec(parameter)?.[1]).find((found) => found !== undefined);
  return { type: type.trim().toLowerCase(), weight: Number(weight ?? 1) };
}

/** The most specific range that covers a type decides. */
function rankOf(type: string, accepted: readonly Range[]): { weight: number; specificity: number } {
  const covering = ['*/*', `${type.slice(0, type.indexOf('/'))}/*`, type];
  for (let specificity = covering.length - 1; specificity >= 0; specificity--) {
    const found = accepted.find((range) => range.type === covering[specificity]);
    if (found) return { weight: found.weight, specificity };
  }
  return { weight: 0, specificity: 0 };
}
