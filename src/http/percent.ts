/** Percent-encoding of paths whose bytes are held as latin-1 text, as a CGI environment holds them. */

/** Percent signs undone; what is not an escape stays. */
export function percentDecode(text: string): string {
  if (!text.includes('%')) return text;
  return text.replace(/%([0-9A-Fa-f]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}

// RFC 3986 section 3.3: pchar and `/`, without the percent sign.
const NOT_IN_PATH = /[^A-Za-z0-9\-._~!$&'()*+,;=:@/]/g;

/** A decoded path made fit for a request line, a byte an escape. */
export function percentEncodePath(path: string): string {
  return path.replace(
    NOT_IN_PATH,
    (character) => `%${(character.charCodeAt(0) & 0xff).toString(16).toUpperCase().padStart(2, '0')}`,
  );
}
