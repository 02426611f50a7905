/** Colours for a line of JavaScript, TypeScript or an INI file. A line is coloured without what is around it. */
import { escapeHtml } from '../html.ts';

export type Language = 'script' | 'ini' | 'text';

export function languageOf(file: string): Language {
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
export function highlightLine(text: string, language: Language): string {
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
