/** Numbers, tables and lists of the status page. Whatever text comes in is escaped here. */
import { escapeHtml } from '../../../http/html.ts';

/** A cell: its content as HTML, and its class. */
export interface Cell {
  readonly html: string;
  readonly className?: string;
}

export function textCell(value: string, className = ''): Cell {
  return { html: escapeHtml(value), className };
}

export function numberCell(value: string | number, className = ''): Cell {
  return { html: escapeHtml(String(value)), className: `num ${className}`.trim() };
}

/** A table; on a telephone each row becomes a card, in which the heading is in front of each value. */
export function table(headings: readonly string[], rows: readonly (readonly Cell[])[], empty: string): string {
  if (rows.length === 0) return `<p class="soft">${escapeHtml(empty)}</p>`;
  const [first = []] = rows;
  const head = headings.map((heading, index) => {
    const isNumber = first[index]?.className?.startsWith('num');
    return `<th scope="col"${isNumber ? ' class="num"' : ''}>${escapeHtml(heading)}</th>`;
  });
  const body = rows.map((cells) => {
    const columns = cells.map(({ html, className = '' }, index) => {
      const label = escapeHtml(headings[index] ?? '');
      return `<td${className === '' ? '' : ` class="${className}"`} data-label="${label}"><span>${html}</span></td>`;
    });
    return `<tr>${columns.join('')}</tr>`;
  });
  return `<table><thead><tr>${head.join('')}</tr></thead><tbody>${body.join('\n')}</tbody></table>`;
}

/** A list of terms with their values, as text. */
export function facts(rows: readonly (readonly [term: string, value: string])[]): string {
  const items = rows.map(([term, value]) => `<dt>${escapeHtml(term)}</dt><dd>${escapeHtml(value)}</dd>`);
  return `<dl class="facts">${items.join('')}</dl>`;
}

const BYTE_UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

export function byteCount(count: number): string {
  let [value, unit] = [count, 0];
  while (value >= 1024 && unit < BYTE_UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${BYTE_UNITS[unit]}`;
}

/** `12.3 ms`, `1.20 s`. */
export function latency(seconds: number | undefined): string {
  if (seconds === undefined) return '–';
  return seconds < 1 ? `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms` : `${seconds.toFixed(2)} s`;
}

export function rate(count: number): string {
  return count === 0 ? '0' : count < 10 ? count.toFixed(1) : String(Math.round(count));
}
