/** The headers that only a proxy may set. A web server that faces clients deletes those that it does not set itself. */
import { PROXY_HEADERS } from '../http/forwarded.ts';

/** @param own those that the web server sets itself, in lower case. @returns the others, such as `X-Real-Ip`. */
export function clientHeaders(own: readonly string[]): string[] {
  return [...PROXY_HEADERS].filter((name) => !own.includes(name)).map(capitalized);
}

/** The same as variables of a CGI environment. */
export function clientVariables(): string[] {
  return [...PROXY_HEADERS].map((name) => `HTTP_${name.replaceAll('-', '_').toUpperCase()}`);
}

function capitalized(name: string): string {
  return name.replace(/(?<![a-z])[a-z]/g, (letter) => letter.toUpperCase());
}
