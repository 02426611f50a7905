/**
 * The page that shows a developer an error: what, where, and the lines around each place of its stack. Youch draws it;
 * here is decided what it gets to see: the texts and the places of the error and of its causes, and nothing else that
 * hangs on them - no properties, no headers, no environment. It loads nothing from anywhere.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { pathToFileURL } from 'node:url';
import { asError, ErrorList, formatError, type Location, PasterError, stackFrames } from '../errors.ts';
import { OWN_CODE } from '../own-files.ts';
import { HIDDEN, isSecretName, withoutSecretLiterals, withoutSecrets, withoutTokens } from '../secrets.ts';
import { workingDirectory } from '../working-directory.ts';
import { escapeHtml } from './html.ts';
import { isSource, readProjectSource } from './project-source.ts';

export interface ErrorPageOptions {
  /** The heading; a text of the program's own, not of a request. */
  readonly title: string;
  /**
   * Makes the page load itself again when something else is there: it asks once a second, and compares this with the
   * header `x-paster-error` of the answer.
   */
  readonly id?: string | undefined;
  /** A sentence below the message; likewise the program's own. */
  readonly note?: string | undefined;
  /** A directory of the project, whose sources may be shown. Default: the working directory, whose project's are as well. */
  readonly directory?: string | undefined;
  /** What stands below the stack, without secrets already: cards of tables of names and values. */
  readonly details?: ErrorDetails;
}

/** By card, by table, the names and values of its rows. */
export type ErrorDetails = Readonly<Record<string, Readonly<Record<string, readonly (readonly [string, string])[]>>>>;

/** The header that an answer with such a page carries. */
export const ERROR_ID_HEADER = 'x-paster-error';

/** A whole HTML page; to be answered with `cache-control: no-store`, and to people only who may read the sources. */
export async function errorPage(
  error: unknown,
  { title, id, note, directory = workingDirectory(), details = {} }: ErrorPageOptions,
): Promise<string> {
  // Drawn once in a while, and only for developers: what nobody looks at is not loaded.
  const { Youch } = await import('youch');
  const youch = new Youch();
  const configuration = new Set(locationsOf(error).map(([{ file }]) => file));
  youch.defineSourceLoader(async ({ fileName = '' }) => {
    const load = configuration.has(fileName) && !isSource(fileName) ? loadConfiguration : loadSource;
    const contents = await load(fileName, directory).catch(() => undefined);
    return contents === undefined ? undefined : { contents };
  });
  youch.useTransformer(({ frames }) => {
    // Where Youch writes these into attributes it does not escape them; a message may pretend to be a stack.
    for (const frame of frames) {
      frame.fileName &&= asAttribute(frame.fileName);
      frame.functionName &&= asAttribute(frame.functionName);
    }
  });
  youch.templates.injectStyles(STYLE);
  for (const [card, tables] of Object.entries(details)) {
    for (const [table, rows] of Object.entries(tables)) {
      // Youch escapes values, not names.
      youch.metadata.group(card, { [table]: rows.map(([name, value]) => ({ key: escapeHtml(name), value })) });
    }
  }
  const nonce = randomBytes(16).toString('base64');
  const page = await youch.toHTML(Object.assign(readable(error), { hint: note }), { title, cspNonce: nonce });
  const script = id === undefined ? '' : `<script nonce="${nonce}">${reloadScript(id)}</script>`;
  return page
    .replace('<head>', () => `<head><meta http-equiv="content-security-policy" content="${policy(nonce)}">`)
    .replace('</body>', () => `${script}</body>`);
}

/** Youch's one handler that is an attribute. */
const HANDLER = createHash('sha256').update('copyErrorMessage(this)').digest('base64');

/** Should markup of an error ever become part of the page, it can neither run nor load anything. */
function policy(nonce: string): string {
  const scripts = `'nonce-${nonce}' 'unsafe-hashes' 'sha256-${HANDLER}'`;
  return `default-src 'none'; script-src ${scripts}; style-src 'unsafe-inline'; img-src data:; connect-src 'self'`;
}

/** A text without the characters that end an attribute or begin a tag: others that look like them. */
function asAttribute(text: string): string {
  return text.replaceAll('"', '”').replaceAll('<', '‹').replaceAll('>', '›');
}

/** The same, so that it can be shown: its text, and its places as a stack. */
function readable(thrown: unknown): Error {
  const error = asError(thrown);
  const message = withoutSecrets(error instanceof PasterError ? formatError(error) : error.message);
  const shown = new Error(message);
  shown.name = error instanceof PasterError ? 'paster' : error.name;
  // Without the message, which may hold lines that look like places.
  shown.stack = frames(error).join('\n');
  return shown;
}

const MAX_CAUSES = 8;
const OWN_FILES = `${pathToFileURL(OWN_CODE).href}/`;

/** The places of an error and of its causes, as lines of a stack. */
function frames(error: Error): string[] {
  const places = locationsOf(error).map(([location, section]) => frameOf(location, section));
  // Where paster itself noticed a mistake of its user's is of no interest.
  let cause: unknown = error instanceof PasterError ? error.cause : error;
  for (let depth = 0; cause instanceof Error && depth < MAX_CAUSES; depth++) {
    const stack = stackFrames(cause).filter((line) => !line.includes(OWN_FILES));
    places.push(...stack.filter((line) => !places.some((place) => lineOf(place) === lineOf(line))));
    cause = cause.cause;
  }
  return places;
}

/** The places in configuration files that paster blames, with their sections. */
function locationsOf(error: unknown): (readonly [Location, string | undefined])[] {
  const own = error instanceof ErrorList ? error.errors : [error];
  return own.flatMap((each) => {
    return each instanceof PasterError && each.location ? [[each.location, each.section] as const] : [];
  });
}

function frameOf({ file, line, column }: Location, section: string | undefined): string {
  return `    at ${section ? `[${section}]` : 'configuration'} (${file}:${line}:${column})`;
}

/** The file and the line of a frame, without the column. */
function lineOf(frame: string): string {
  return /\(?(?:file:\/\/)?([^\s(]+:\d+):\d+\)?$/.exec(frame)?.[1] ?? frame;
}

// --- what is not to be seen ------------------------------------------------------------------------------------------

async function loadSource(file: string, directory: string): Promise<string | undefined> {
  if (file.startsWith('node:')) return undefined;
  const text = await readProjectSource(file, directory);
  return text && withoutTokens(text).split('\n').map(withoutSecretLiterals).join('\n');
}

/** A file of variables, such as `.env`, is all secrets. */
async function loadConfiguration(file: string): Promise<string | undefined> {
  if (/^\.|\.env\b/.test(basename(file))) return undefined;
  return withoutSecretSettings(withoutTokens(await readFile(file, 'utf8')));
}

const INI_LINE = /^([^=:\s#;[][^=:]*?)(\s*[=:]\s*)(\S.*)?$/;

/** The text of an INI file without the values, of one line or several, whose keys say that they are secrets. */
function withoutSecretSettings(text: string): string {
  let isSecret = false;
  const shown = text.split('\n').map((line) => {
    // They may be within a value.
    if (/^\s*(?:[#;]|$)/.test(line)) return line;
    if (/^\s+\S/.test(line)) return isSecret ? line.replace(/\S.*/, HIDDEN) : line;
    const [, key = '', equals = '', value] = INI_LINE.exec(line) ?? [];
    isSecret = isSecretName(key);
    return isSecret && value !== undefined ? `${key}${equals}${HIDDEN}` : withoutSecretLiterals(line);
  });
  return shown.join('\n');
}

// --- what Youch does not do ------------------------------------------------------------------------------------------

/** A telephone is narrower than its frames and messages; what has several lines keeps them. */
const STYLE = `
@media (max-width: 600px) { #error-message { font-size: 1rem; } }
#error-message span:nth-child(2) { white-space: pre-wrap; overflow-wrap: anywhere; min-width: 0; }
.stack-frame-location { overflow-wrap: anywhere; min-width: 0; text-align: left; }
@media (max-width: 600px) {
  #layout { padding-left: 12px; padding-right: 12px; max-width: 100%; }
  .stack-frame-contents, .stack-frame-location, #stack-frames-header { flex-wrap: wrap; }
  .stack-frame-filepath { max-width: 100%; white-space: normal; direction: ltr; }
  .card-table td { display: block; padding: 2px 12px 8px; border: 0; overflow-wrap: anywhere; }
  .card-table td.table-key { padding: 8px 12px 0; border-top: 1px solid var(--border); }
  .card-table tr:first-child td.table-key { border-top: 0; }
}
html:not(.dark) { --subtitle-fg: #1b6b48; --links-fg: #1b6b48; }
.card-table td.table-key { color: var(--surface-fg); }
.card-table td.table-value { color: var(--title-fg); }
`;

function reloadScript(id: string): string {
  return `
setInterval(async () => {
  const response = await fetch(location.href, { headers: { accept: 'text/html' } }).catch(() => undefined);
  if (response && response.headers.get('${ERROR_ID_HEADER}') !== ${JSON.stringify(id)}) location.reload();
}, 1000);
`;
}
