/**
 * Draws the lines of a terminal as an animated SVG: CSS keyframes and no script, light or dark as the reader prefers. A reader
 * who prefers reduced motion, or a viewer that animates nothing, gets the last frame.
 */
import type { Line } from './recording.ts';

const CELL = { width: 8.4, height: 19, base: 14 };
const MARGIN = 16;
/** Seconds for which the last frame is shown before the animation starts again. */
const REST = 4;

const STYLE = `
:root{--back:#fbfbfa;--front:#24292f;--edge:#d0d7de;--dim:#6e7781;--c1:#b3261e;--c2:#1a7f37;--c3:#8a5a00;--c4:#0969da;--c5:#8250df;--c6:#0f6f78}
@media (prefers-color-scheme:dark){:root{--back:#161b22;--front:#e6edf3;--edge:#30363d;--dim:#8b949e;--c1:#ff7b72;--c2:#56d364;--c3:#e3b341;--c4:#79c0ff;--c5:#d2a8ff;--c6:#76e3ea}}
text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:var(--front);white-space:pre}
.back{fill:var(--back);stroke:var(--edge)}
.bold{font-weight:600}.dim{fill:var(--dim)}
${[1, 2, 3, 4, 5, 6].map((n) => `.colour-${n}{fill:var(--c${n})}`).join('')}
`;

export interface PictureOptions {
  readonly columns: number;
  readonly rows: number;
  readonly title: string;
  readonly description: string;
}

export function svgOf(lines: readonly Line[], { columns, rows, title, description }: PictureOptions): string {
  const width = Math.ceil(columns * CELL.width) + 2 * MARGIN;
  const height = rows * CELL.height + 2 * MARGIN;
  const times = [...new Set(lines.flatMap(({ pieces }) => pieces.map(({ time }) => time)))].sort((a, b) => a - b);
  const end = (times.at(-1) ?? 0) + REST;
  const share = (time: number): string => `${Number(((100 * time) / end).toFixed(2))}%`;
  const names = new Map(times.map((time, index) => [time, `t${index.toString(36)}`]));

  const appear = times
    .filter((time) => time > 0)
    .map((time) => {
      const name = names.get(time);
      return `@keyframes ${name}{0%{visibility:hidden}${share(time)},to{visibility:visible}}.${name}{animation-name:${name}}`;
    });
  const scrolled = Math.max(0, lines.length - rows) * CELL.height;
  const text = lines.map((line, index) => textOf(line, index, names)).filter((line) => line !== '');
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title description">
<title id="title">${escaped(title)}</title>
<desc id="description">${escaped(description)}</desc>
<style>${STYLE}.all{transform:translateY(${-scrolled}px)}
@media (prefers-reduced-motion:no-preference){
tspan,.all{animation:${end.toFixed(2)}s step-end infinite}.all{animation-name:scroll}
@keyframes scroll{${scrolling(lines, rows, share)}}
${appear.join('\n')}
}</style>
<rect class="back" x=".5" y=".5" width="${width - 1}" height="${height - 1}" rx="8"/>
<clipPath id="window"><rect width="${width - 2 * MARGIN}" height="${rows * CELL.height}"/></clipPath>
<g clip-path="url(#window)" transform="translate(${MARGIN} ${MARGIN})">
<g class="all">
${text.join('\n')}
</g>
</g>
</svg>
`;
}

function textOf({ pieces }: Line, index: number, names: ReadonlyMap<number, string>): string {
  if (pieces.length === 0) return '';
  const y = index * CELL.height + CELL.base;
  const spans = pieces.map(({ column, text, time, classes: styles }) => {
    const classes = [time > 0 ? names.get(time) : '', styles].filter((name) => name !== '').join(' ');
    const length = [...text].length;
    // Columns stay aligned whatever the font.
    const fixed = length > 3 ? ` textLength="${rounded(length * CELL.width)}"` : '';
    return `<tspan x="${rounded(column * CELL.width)}"${fixed}${classes === '' ? '' : ` class="${classes}"`}>${escaped(text)}</tspan>`;
  });
  return `<text y="${y}">${spans.join('')}</text>`;
}

/** The keyframes that keep the newest line in view. */
function scrolling(lines: readonly Line[], rows: number, share: (time: number) => string): string {
  const frames = new Map<string, number>([['0%', 0]]);
  lines.forEach(({ time }, index) => {
    if (index >= rows) frames.set(share(time), index - rows + 1);
  });
  return [...frames].map(([at, by]) => `${at}{transform:translateY(${-by * CELL.height}px)}`).join('');
}

function rounded(number: number): number {
  return Number(number.toFixed(1));
}

function escaped(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}
