/**
 * The page that shows a developer an error: its message, its stack, and the source around each place. It shows the messages and
 * places of the error and of its causes, but no other properties, headers or environment. The page loads nothing.
 */
import { randomBytes } from 'node:crypto';
import { causesOf, errorFrames } from '../../diagnostics/error-frames.ts';
import { asError, ErrorList, errorMessage, errorStack, formatError, PasterError } from '../../errors.ts';
import { withoutSecrets } from '../../secrets.ts';
import { escapeHtml } from '../html.ts';
import { type EditorLinks, stackHtml } from './stack-html.ts';
import { ERROR_PAGE_STYLE } from './style.ts';

export interface ErrorPageOptions {
  /** What has failed, above the error's message. Must not come from a request. */
  readonly title: string;
  /**
   * Makes the page reload itself when the response changes: once a second it compares this with the header `x-paster-error` of a new
   * response.
   */
  readonly id?: string | undefined;
  /** A sentence below the message. */
  readonly note?: string | undefined;
  /** A directory of the project whose sources may be shown, besides that of the working directory. */
  readonly directory?: string | undefined;
  /** Shown below the stack: cards of tables of names and values, without secrets. */
  readonly details?: ErrorDetails;
  /** Makes places of the stack buttons that open an editor. */
  readonly editor?: EditorLinks | undefined;
  /** The path of a script that reloads the page; then `id` is not needed. */
  readonly reloadScript?: string | undefined;
}

/** The names and values of rows, by card and table. */
export type ErrorDetails = Readonly<Record<string, Readonly<Record<string, readonly (readonly [string, string])[]>>>>;

/** The header of a response with such a page. */
export const ERROR_ID_HEADER = 'x-paster-error';

/** Makes the HTML page. Send it with `cache-control: no-store`, and only to people who may read the sources. */
export async function errorPage(error: unknown, options: ErrorPageOptions): Promise<string> {
  const { title, id, note, directory, details = {}, editor, reloadScript } = options;
  const { name, message, hint } = headlineOf(error);
  const nonce = randomBytes(16).toString('base64');
  const stack = await stackHtml(errorFrames(error), directory, editor);
  const causes = causeLines(error);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="content-security-policy" content="${policy(nonce)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>${escapeHtml(`${firstLine(message)} - ${title}`)}</title>
<style nonce="${nonce}">${ERROR_PAGE_STYLE}</style>
</head>
<body>
<main>
<header>
<p class="what"><span class="name">${escapeHtml(name)}</span> ${escapeHtml(title)}</p>
<h1${message.length > 160 ? ' class="long"' : ''}>${escapeHtml(message)}</h1>
${hint === undefined ? '' : `<p class="hint">${escapeHtml(hint)}</p>`}
${causes.map((line) => `<p class="cause"><span>Caused by</span> ${escapeHtml(line)}</p>`).join('\n')}
${note === undefined ? '' : `<p class="note">${escapeHtml(note)}</p>`}
<p class="actions"><button type="button" id="copy">Copy as text</button> <span id="status" role="status"></span></p>
</header>
${stack}
<details class="card"><summary>As text</summary><pre id="text" tabindex="0">${escapeHtml(textOf(error))}</pre></details>
${Object.entries(details).map(card).join('\n')}
</main>
<script nonce="${nonce}">${editor ? `const editor = ${scriptText(editor.url)};${OPEN_SCRIPT}` : ''}${COPY_SCRIPT}${SCROLL_SCRIPT}
${id === undefined || reloadScript !== undefined ? '' : pollingScript(id)}</script>
${reloadScript === undefined ? '' : `<script nonce="${nonce}" async data-error src="${escapeHtml(reloadScript)}"></script>`}
</body>
</html>
`;
}

/** If markup of an error ever became part of the page, it could neither run nor load anything. */
function policy(nonce: string): string {
  const own = `'nonce-${nonce}'`;
  return `default-src 'none'; script-src ${own}; style-src ${own}; img-src data:; connect-src 'self'`;
}

/** A text as an expression in a script within HTML. */
function scriptText(text: string): string {
  return JSON.stringify(text).replaceAll('<', '\\u003c');
}

// --- the error -------------------------------------------------------------------------------------------------------

interface Headline {
  readonly name: string;
  readonly message: string;
  readonly hint: string | undefined;
}

/** The name and the message that the failing code has given, without the place: that is in the stack below. */
function headlineOf(thrown: unknown): Headline {
  const error = thrown instanceof ErrorList && thrown.errors.length === 1 ? thrown.errors[0] : thrown;
  if (error instanceof ErrorList) {
    return { name: `${error.errors.length} errors`, message: formatError(error), hint: undefined };
  }
  if (!(error instanceof PasterError)) return { ...nameAndMessage(error), hint: undefined };
  // An error in the user's own module or factory has the message of that error.
  const { cause } = error;
  if (cause instanceof Error && cause.message !== '' && error.message.includes(cause.message)) {
    return { ...nameAndMessage(cause), hint: error.hint && withoutSecrets(error.hint) };
  }
  const section = error.section === undefined ? 'Configuration' : `[${error.section}]`;
  return { name: section, message: errorMessage(error), hint: error.hint && withoutSecrets(error.hint) };
}

function nameAndMessage(thrown: unknown): { name: string; message: string } {
  const { name } = asError(thrown);
  const message = errorMessage(thrown);
  return { name: withoutSecrets(name), message: message === '' ? name : message };
}

/** The names and messages of the causes that the headline does not show. */
function causeLines(error: unknown): string[] {
  const shown = headlineOf(error).message;
  return causesOf(error)
    .slice(1)
    .map((cause) => `${asError(cause).name}: ${errorMessage(cause)}`)
    .filter((line) => !line.endsWith(shown));
}

/** As the terminal shows it, and then the stacks. */
function textOf(error: unknown): string {
  const [own, ...causes] = causesOf(error);
  const first = own instanceof PasterError ? formatError(own) : errorStack(own);
  return [first, ...causes.map(errorStack)].join('\ncaused by: ');
}

const LONGEST_TITLE = 120;

function firstLine(text: string): string {
  const [line = ''] = text.split('\n');
  return line.length > LONGEST_TITLE ? `${line.slice(0, LONGEST_TITLE)}...` : line;
}

function card([title, tables]: [string, ErrorDetails[string]]): string {
  const sections = Object.entries(tables).map(([table, rows]) => {
    const cells = rows.map(([name, value]) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd>`);
    return `<h2>${escapeHtml(table)}</h2>\n<dl>${cells.join('\n')}</dl>`;
  });
  return `<details class="card"><summary>${escapeHtml(title)}</summary>${sections.join('\n')}</details>`;
}

// --- scripts ---------------------------------------------------------------------------------------------------------

const COPY_SCRIPT = `
document.getElementById('copy').addEventListener('click', async () => {
  const status = document.getElementById('status');
  try {
    await navigator.clipboard.writeText(document.getElementById('text').textContent);
    status.textContent = 'Copied.';
  } catch {
    status.textContent = 'The browser does not allow it; the text is below.';
  }
});
`;

/** On a small screen the marked column would be out of sight. */
const SCROLL_SCRIPT = `
for (const caret of document.querySelectorAll('.caret')) {
  const code = caret.closest('pre');
  const text = document.createRange();
  text.selectNodeContents(caret);
  const hidden = text.getBoundingClientRect().right - code.getBoundingClientRect().right;
  if (hidden > 0) code.scrollLeft = hidden + code.clientWidth / 3;
}
`;

const OPEN_SCRIPT = `
for (const button of document.querySelectorAll('button[data-place]')) button.addEventListener('click', async () => {
  const status = document.getElementById('status');
  const { place, key } = button.dataset;
  status.textContent = '';
  try {
    const response = await fetch(editor, {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ place, key }),
    });
    status.textContent = response.ok ? 'Opened in your editor.' : await response.text();
  } catch {
    status.textContent = 'The server does not respond.';
  }
});
`;

function pollingScript(id: string): string {
  return `
setInterval(async () => {
  const response = await fetch(location.href, { headers: { accept: 'text/html' } }).catch(() => undefined);
  if (response && response.headers.get('${ERROR_ID_HEADER}') !== ${scriptText(id)}) location.reload();
}, 1000);
`;
}
