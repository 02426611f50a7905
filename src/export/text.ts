/** Text of configuration files: lines, and paths in the syntax of each program. Paths that a syntax cannot quote are refused. */
import { exportError } from './site.ts';

/** A file that `export` writes. The name is for targets with several files. */
export interface ExportedFile {
  readonly name: string;
  readonly text: string;
  /** Written beside the others with `-o`, unless a file of this name exists; never printed. */
  readonly isCompanion?: boolean;
}

/** Joins lines and leaves out those that are undefined. */
export function lines(...all: readonly (string | undefined)[]): string {
  return all.filter((line) => line !== undefined).join('\n');
}

/** Indents each line by two spaces. */
export function indented(text: string): string {
  return text.replace(/^(?=.)/gm, '  ');
}

/** A path of plain characters for a regular expression. */
export function escapeRegex(path: string): string {
  return path.replaceAll('.', '\\.');
}

// --- paths in the syntax of each program -----------------------------------------------------------------------------

/** No syntax allows a line break in a string, and other control characters in a path are not intended either. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the expression searches for them.
const CONTROL = /[\u0000-\u001f\u007f]/;

function refuse(path: string, syntax: string): never {
  throw exportError(
    `${JSON.stringify(path)} cannot be written in a configuration of ${syntax}`,
    'move the project to a path without such characters',
  );
}

function checked(path: string, syntax: string, refused: RegExp): string {
  if (CONTROL.test(path) || refused.test(path)) refuse(path, syntax);
  return path;
}

/** `"..."`. nginx takes `$` for a variable and has no escape for it. */
export function nginxString(path: string): string {
  return `"${checked(path, 'nginx', /\$/).replace(/["\\]/g, '\\$&')}"`;
}

/** The path of a socket after `unix:`; a colon would end it. */
export function nginxSocket(path: string): string {
  return nginxString(`unix:${checked(path, 'nginx', /:/)}`);
}

/** `"..."`. Only the quote and the backslash have a meaning in it. */
export function lighttpdString(path: string): string {
  return `"${checked(path, 'Lighttpd', /["\\]/)}"`;
}

/** `"..."`. Apache replaces `${NAME}` and `%{...}` in it. */
export function apacheString(path: string): string {
  return `"${checked(path, 'Apache', /["\\$%|]/)}"`;
}

/** The path of a socket after `unix:`. Apache takes it for a URL, which `#` would end. */
export function apacheSocket(path: string): string {
  return apacheString(`unix:${checked(path, 'Apache', /#/)}`);
}

/** For use between quotes. Caddy replaces `{...}`, in its JSON too. */
export function caddyPath(path: string): string {
  return checked(path, 'Caddy', /["\\{}`|]/);
}

/** The path of a socket in a Caddyfile, where a colon would begin a port. */
export function caddySocket(path: string): string {
  return caddyPath(checked(path, 'Caddy', /:/));
}

/** A word without quotes, since HAProxy's quoting differs between directives. */
export function haproxyWord(path: string): string {
  return checked(path, 'HAProxy', /[^A-Za-z0-9._~/@+,=-]/);
}

/** A path at the end of a line in a unit file, where only `%` has a meaning. */
export function unitLine(path: string): string {
  return checked(path, 'systemd', /^\s|\s$|^-|\\$/).replaceAll('%', '%%');
}

/** A word in a list in a unit file, or in a command, where `$` begins a variable too. See systemd.service(5). */
export function unitWord(text: string, { command = false }: { readonly command?: boolean } = {}): string {
  const whole = checked(text, 'systemd', /(?!)/).replace(/["\\]/g, '\\$&').replaceAll('%', '%%');
  return `"${command ? whole.replaceAll('$', '$$$$') : whole}"`;
}
