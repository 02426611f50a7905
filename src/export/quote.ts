/** Paths in the syntax of each web server. What a syntax has no way to quote is refused: nothing in it becomes a directive. */
import { mistake } from './site.ts';

/** No syntax lets a line break into a string; a control character in a path is nobody's wish. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const CONTROL = /[\u0000-\u001f\u007f]/;

function refuse(path: string, syntax: string): never {
  throw mistake(
    `${JSON.stringify(path)} cannot be written in a configuration of ${syntax}`,
    'move the project to a path without such characters',
  );
}

function checked(path: string, syntax: string, refused: RegExp): string {
  if (CONTROL.test(path) || refused.test(path)) refuse(path, syntax);
  return path;
}

/** `"..."`. In it nginx takes `$` for a variable, and has no way to write one. */
export function nginxString(path: string): string {
  return `"${checked(path, 'nginx', /\$/).replace(/["\\]/g, '\\$&')}"`;
}

/** A socket's path behind `unix:`, which a colon ends. */
export function nginxSocket(path: string): string {
  return nginxString(`unix:${checked(path, 'nginx', /:/)}`);
}

/** `"..."`, in which nothing but the quote and the backslash means anything. */
export function lighttpdString(path: string): string {
  return `"${checked(path, 'Lighttpd', /["\\]/)}"`;
}

/** `"..."`. Apache puts `${NAME}` and `%{...}` in for something else. */
export function apacheString(path: string): string {
  return `"${checked(path, 'Apache', /["\\$%|]/)}"`;
}

/** A socket's path behind `unix:`, which is a URL to Apache: `#` ends it. */
export function apacheSocket(path: string): string {
  return apacheString(`unix:${checked(path, 'Apache', /#/)}`);
}

/** Between quotes. Caddy puts `{...}` in for something else, in its JSON too. */
export function caddyPath(path: string): string {
  return checked(path, 'Caddy', /["\\{}`|]/);
}

/** A socket's path in a Caddyfile, where a colon stands before a port. */
export function caddySocket(path: string): string {
  return caddyPath(checked(path, 'Caddy', /:/));
}

/** A word, as it is: HAProxy's quoting differs from place to place. */
export function haproxyWord(path: string): string {
  return checked(path, 'HAProxy', /[^A-Za-z0-9._~/@+,=-]/);
}

/** A path that takes the rest of its line in a unit file: only `%` means something. */
export function unitLine(path: string): string {
  return checked(path, 'systemd', /^\s|\s$|^-|\\$/).replaceAll('%', '%%');
}

/** A word of a list of words in a unit file, or of a command, where `$` is a variable too. See systemd.service(5). */
export function unitWord(text: string, { command = false }: { readonly command?: boolean } = {}): string {
  const whole = checked(text, 'systemd', /(?!)/).replace(/["\\]/g, '\\$&').replaceAll('%', '%%');
  return `"${command ? whole.replaceAll('$', '$$$$') : whole}"`;
}
