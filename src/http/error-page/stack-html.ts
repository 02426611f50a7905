/** The stack of an error as HTML: the project's own frames with their source, and the others folded between them. */
import { relative } from 'node:path';
import type { ErrorFrame } from '../../diagnostics/error-frames.ts';
import { type ExcerptLine, sourceExcerpt } from '../../diagnostics/source-excerpt.ts';
import { workingDirectory } from '../../working-directory.ts';
import { escapeHtml } from '../html.ts';

/** How the page asks the server to open an editor. */
export interface EditorLinks {
  /** The path of the request (POST) that opens a place in the editor. */
  readonly url: string;
  /** Proves to the server that it has offered this place itself. */
  readonly keyOf: (place: string) => string;
}

/** Consecutive frames that are all shown, or all folded. */
interface Stretch {
  readonly isFolded: boolean;
  readonly frames: ErrorFrame[];
}

/** @param directory a directory of the project whose sources may be shown, besides the working directory's */
export async function stackHtml(
  frames: readonly ErrorFrame[],
  directory: string | undefined,
  editor: EditorLinks | undefined,
): Promise<string> {
  if (frames.length === 0) return '';
  let isFirst = true;
  const parts: string[] = [];
  for (const { isFolded, frames: stretch } of stretchesOf(frames)) {
    if (isFolded) {
      parts.push(`<li><details class="others"><summary>${countOf(stretch)}</summary>
<ol>${stretch.map((frame) => `<li>${placeHtml(frame, editor)}</li>`).join('\n')}</ol></details></li>`);
      continue;
    }
    for (const frame of stretch) {
      const excerpt = await sourceExcerpt(frame, directory);
      parts.push(`<li>${placeHtml(frame, editor)}${excerpt ? excerptHtml(frame, excerpt, isFirst) : ''}</li>`);
      if (excerpt) isFirst = false;
    }
  }
  return `<section aria-label="Stack"><ol class="stack">${parts.join('\n')}</ol></section>`;
}

function stretchesOf(frames: readonly ErrorFrame[]): Stretch[] {
  const stretches: Stretch[] = [];
  for (const frame of frames) {
    const isFolded = frame.origin !== 'project';
    const last = stretches.at(-1);
    if (last?.isFolded === isFolded) last.frames.push(frame);
    else stretches.push({ isFolded, frames: [frame] });
  }
  return stretches;
}

const ORIGINS = { node: 'Node', paster: 'paster', package: 'packages', project: 'the project' };

function countOf(frames: readonly ErrorFrame[]): string {
  const names = [...new Set(frames.map(({ origin }) => ORIGINS[origin]))];
  const [last = '', ...others] = names.reverse();
  const of = others.length > 0 ? `${others.reverse().join(', ')} and ${last}` : last;
  return `${frames.length} ${frames.length === 1 ? 'frame' : 'frames'} in ${of}`;
}

function placeHtml({ file, line, column, name, origin }: ErrorFrame, editor: EditorLinks | undefined): string {
  const fromHere = relative(workingDirectory(), file);
  const path = origin === 'node' || fromHere.startsWith('..') || fromHere === '' ? file : fromHere;
  const text = escapeHtml(`${path}:${line}:${column}`);
  const place = `${file}:${line}:${column}`;
  const link =
    editor && origin !== 'node'
      ? `<button type="button" title="Open in your editor" data-place="${escapeHtml(place)}" data-key="${escapeHtml(editor.keyOf(place))}">${text}</button>`
      : `<span class="path">${text}</span>`;
  return `<p class="place">${name === undefined ? '' : `<code>${escapeHtml(name)}</code> `}${link}</p>`;
}

/** The first excerpt of the page is shown; the reader opens the others. */
function excerptHtml(frame: ErrorFrame, lines: readonly ExcerptLine[], isOpen: boolean): string {
  const language = languageOf(frame.file);
  const width = String(lines.at(-1)?.number ?? 0).length;
  const rows = lines.map(({ number, text, isMarked }) => {
    const row = `<span class="line">${String(number).padStart(width)} | </span>${highlightLine(text, language)}`;
    if (!isMarked) return `<span class="row">${row}</span>`;
    // Tabs stay tabs, so that the mark is below its column.
    const indent = text.slice(0, Math.min(frame.column - 1, text.length)).replace(/[^\t]/g, ' ');
    return `<mark class="row">${row}</mark><span class="row caret" aria-hidden="true"><span class="line">${' '.repeat(width)} | </span>${indent}^</span>`;
  });
  const code = `<pre tabindex="0"><code>${rows.join('')}</code></pre>`;
  return isOpen ? code : `<details class="source"><summary>Source</summary>${code}</details>`;
}

// --- colours for a line of JavaScript, TypeScript or an INI file, without regard to the lines around it

type Language = 'script' | 'ini' | 'text';

function languageOf(file: string): Language {
  if (/\.[mc]?[jt]sx?$/.test(file)) return 'script';
  return /\.ini$/.test(file) ? 'ini' : 'text';
}

const KEYWORDS = [
  'as async await break case catch class const continue default delete do else enum export extends false finally for from',
  'function if implements import in instanceof interface let new null of return static super switch this throw true try type',
  'typeof undefined var void while yield',
];

/** Comments, strings, keywords and numbers: in this order, since a string may hold a keyword. */
const SCRIPT_TOKEN = new RegExp(
  [
    '(?<comment>//.*|/\\*.*?(?:\\*/|$))',
    '(?<string>"(?:[^"\\\\]|\\\\.)*"?|\'(?:[^\'\\\\]|\\\\.)*\'?|`(?:[^`\\\\]|\\\\.)*`?)',
    `(?<keyword>(?<![\\w$.])(?:${KEYWORDS.join(' ').replaceAll(' ', '|')})(?![\\w$]))`,
    '(?<number>(?<![\\w$])\\d[\\w.]*)',
  ].join('|'),
  'g',
);

const INI_TOKEN = /(?<comment>^\s*[#;].*)|(?<keyword>^\[.*)|(?<string>^[^\s=:][^=:]*(?=[=:]))/g;

/** HTML of a line. */
function highlightLine(text: string, language: Language): string {
  if (language === 'text') return escapeHtml(text);
  let html = '';
  let end = 0;
  for (const match of text.matchAll(language === 'script' ? SCRIPT_TOKEN : INI_TOKEN)) {
    const [kind] = Object.entries(match.groups ?? {}).find(([, found]) => found !== undefined) ?? ['text'];
    html += `${escapeHtml(text.slice(end, match.index))}<span class="${kind}">${escapeHtml(match[0])}</span>`;
    end = match.index + match[0].length;
  }
  return html + escapeHtml(text.slice(end));
}
