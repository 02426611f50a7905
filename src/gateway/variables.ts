/** The variables of a CGI environment that say something of the head of a request, and what each of them is to it. */

// A variable is one of these, a header (its name as text), or of no meaning to the head of a request.
export const REQUEST_METHOD = 1;
export const REQUEST_URI = 2;
export const SCRIPT_NAME = 3;
export const PATH_INFO = 4;
export const QUERY_STRING = 5;
export const SERVER_PROTOCOL = 6;
export const CONTENT_LENGTH = 7;
export const CONTENT_TYPE = 8;
export const SERVER_SOFTWARE = 9;
export const HTTP_CONTENT_TYPE = 10;
export const HTTP_TRANSFER_ENCODING = 11;
export const HTTP_CONTENT_LENGTH = 12;
export const HTTPS = 13;
export const REQUEST_SCHEME = 14;
export const HTTP_HOST = 15;
/** Says nothing of the head. */
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

/** Header names that peers invent must not fill the memory: past this many, and this length, they are worked out each time. */
export const MAX_MEANINGS = 1024;
export const MAX_KEPT_NAME = 64;

const HEADER_VARIABLE = /^HTTP_[!#$%&'*+.^`|~0-9A-Za-z_-]+$/;

/** What a variable is to the head of a request. */
export function meaningOf(variable: string): Meaning {
  const known = MEANINGS.get(variable);
  if (known !== undefined) return known;
  const meaning = HEADER_VARIABLE.test(variable) ? titleCase(variable.slice('HTTP_'.length)) : IGNORED;
  if (MEANINGS.size < MAX_MEANINGS && variable.length <= MAX_KEPT_NAME) MEANINGS.set(flat(variable), meaning);
  return meaning;
}

/** The same text in memory of its own: a variable's name is a slice that would keep its whole environment alive. */
function flat(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}

/** `ACCEPT_ENCODING` as browsers write it: `Accept-Encoding`. What the client wrote is lost in CGI. */
function titleCase(name: string): string {
  return name
    .split('_')
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1).toLowerCase())
    .join('-');
}
