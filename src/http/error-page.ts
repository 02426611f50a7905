/** The page that is shown in place of an application that does not load: what, where, and the lines around it. */
import { readFileSync } from 'node:fs';
import { ErrorList, formatError, type Location, PasterError } from '../errors.ts';
import { escapeHtml, htmlPage } from './html.ts';

const LINES_AROUND = 5;

/** Asks again until something else than the error answers, then shows that. */
const RELOAD_SCRIPT = `
setInterval(async () => {
  const response = await fetch(location.href, { headers: { accept: 'text/html' } }).catch(() => undefined);
  if (response && response.headers.get('x-paster-error') !== document.documentElement.dataset.error) location.reload();
}, 1000);
`;

/** @param id Changes whenever another error takes this one's place, so that an open page knows to load again. */
export function errorPage(error: Error, id: string): string {
  const errors = error instanceof ErrorList ? error.errors : [error];
  const body = `<h1>The application does not load</h1>
<p class="soft">The next save that can be loaded brings it back; this page notices by itself.</p>
${errors.map(errorHtml).join('\n')}
<script>document.documentElement.dataset.error = ${JSON.stringify(id)};${RELOAD_SCRIPT}</script>`;
  return htmlPage('The application does not load', body);
}

function errorHtml(error: Error): string {
  const text = error instanceof PasterError ? formatError(error) : `${error.name}: ${error.message}`;
  const location = error instanceof PasterError ? error.location : undefined;
  const cause = error.cause instanceof Error && error.cause.stack ? error.cause.stack : '';
  return `<pre class="error"><span class="bad">${escapeHtml(text)}</span></pre>
${location ? `<pre>${excerpt(location)}</pre>` : ''}
${cause ? `<details><summary class="soft">stack</summary><pre>${escapeHtml(cause)}</pre></details>` : ''}`;
}

/** The lines around a place, the one it is about marked; nothing if the file cannot be read (any more). */
function excerpt({ file, line }: Location): string {
  let lines: string[];
  try {
    lines = readFileSync(file, 'utf8').split('\n');
  } catch {
    return '';
  }
  const first = Math.max(1, line - LINES_AROUND);
  return lines
    .slice(first - 1, line + LINES_AROUND)
    .map((text, index) => {
      const number = first + index;
      const shown = escapeHtml(`${number === line ? '>' : ' '} ${String(number).padStart(4)} | ${text}`);
      return number === line ? `<span class="bad">${shown}</span>` : shown;
    })
    .join('\n');
}
