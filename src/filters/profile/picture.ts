/** A profile as a page: who calls whom and how long it takes, as a flame graph, and the functions that take the longest. */
import type { Profiler } from 'node:inspector';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { escapeHtml, htmlPage } from '../../http/html.ts';
import { isOwnFile } from '../../own-files.ts';
import { workingDirectory } from '../../working-directory.ts';
import { type Call, type Cost, callTree, costs } from './call-tree.ts';

const WIDTH = 1000;
const ROW = 20;
const CHARACTER = 6.6;
/** A call narrower than this is left out: nobody can see it. */
const LEAST_WIDTH = 1;

/** @param limit how many functions are listed. */
export function profilePage(title: string, profile: Profiler.Profile, limit: number): string {
  const calls = callTree(profile);
  const total = calls.reduce((sum, call) => sum + call.total, 0);
  const whole = (profile.endTime - profile.startTime) / 1000;
  return htmlPage(
    `Profile of ${title}`,
    `<style>${STYLE}</style>
<h1>${escapeHtml(title)}</h1>
<p>${milliseconds(total)} of the processor within ${milliseconds(whole)}. Each bar is a function, below it what it calls.</p>
<p class="soft"><span class="key application"></span> the application <span class="key package"></span> packages, paster among them
<span class="key node"></span> Node <span class="key engine"></span> the engine</p>
<div class="flames">${flames(calls, total)}</div>
<h2>Functions by the time in themselves</h2>
<div class="flames"><table><thead><tr><th>itself</th><th>with calls</th><th>function</th><th>where</th></tr></thead>
<tbody>${costs(calls).slice(0, limit).map(row).join('\n')}</tbody></table></div>`,
  );
}

function flames(calls: readonly Call[], total: number): string {
  const bars: string[] = [];
  let depth = 0;
  const draw = (call: Call, x: number, level: number): void => {
    const width = (call.total / total) * WIDTH;
    if (width < LEAST_WIDTH) return;
    depth = Math.max(depth, level + 1);
    bars.push(bar(call, x, level * ROW, width));
    let inner = x;
    for (const each of call.calls) {
      draw(each, inner, level + 1);
      inner += (each.total / total) * WIDTH;
    }
  };
  let x = 0;
  for (const call of calls) {
    draw(call, x, 0);
    x += (call.total / total) * WIDTH;
  }
  return `<svg viewBox="0 0 ${WIDTH} ${Math.max(ROW, depth * ROW)}" role="img" aria-label="flame graph">${bars.join('\n')}</svg>`;
}

function bar(call: Call, x: number, y: number, width: number): string {
  const room = Math.floor((width - 6) / CHARACTER);
  const label = call.name.length <= room ? call.name : room > 3 ? `${call.name.slice(0, room - 1)}…` : '';
  const place = `x="${x.toFixed(2)}" y="${y}" width="${width.toFixed(2)}" height="${ROW - 1}"`;
  return `<g class="${originOf(call)}"><title>${escapeHtml(describe(call))}</title><rect ${place}/>${
    label && `<text x="${(x + 3).toFixed(2)}" y="${y + 14}">${escapeHtml(label)}</text>`
  }</g>`;
}

function describe(call: Cost): string {
  return `${`${call.name} ${whereOf(call)}`.trim()}\n${milliseconds(call.total)}, ${milliseconds(call.self)} of it itself`;
}

function row(cost: Cost): string {
  return `<tr class="${originOf(cost)}"><td>${milliseconds(cost.self)}</td><td>${milliseconds(cost.total)}</td>
<td>${escapeHtml(cost.name)}</td><td>${escapeHtml(whereOf(cost))}</td></tr>`;
}

function originOf({ file }: Cost): string {
  if (file === '') return 'engine';
  if (file.startsWith('node:')) return 'node';
  const path = file.startsWith('file://') ? fileURLToPath(file) : file;
  return path.includes('/node_modules/') || isOwnFile(path) ? 'package' : 'application';
}

/** The file as seen from the working directory. */
function whereOf({ file, line }: Cost): string {
  if (file === '' || file.startsWith('node:')) return file;
  const path = file.startsWith('file://') ? fileURLToPath(file) : file;
  const fromHere = relative(workingDirectory(), path);
  return `${fromHere.startsWith('..') ? path : fromHere}:${line}`;
}

function milliseconds(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : 1)} ms`;
}

const STYLE = `
main { max-width: 80rem; }
h2 { font-size: 1.1rem; margin: 1.5rem 0 .5rem; }
.flames { overflow-x: auto; }
svg { display: block; width: 100%; min-width: 46rem; font: 11px ui-monospace, monospace; }
svg text { fill: #1c2024; pointer-events: none; }
rect { stroke: none; }
g:hover rect { opacity: .8; }
.key { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-left: .6em; }
.application rect { fill: #f3a95f; } .key.application { background: #f3a95f; }
.package rect { fill: #9cc3ef; } .key.package { background: #9cc3ef; }
.node rect { fill: #a9d8b0; } .key.node { background: #a9d8b0; }
.engine rect { fill: #c9ccd3; } .key.engine { background: #c9ccd3; }
table { border-collapse: collapse; font: .85em ui-monospace, monospace; min-width: 100%; }
th { text-align: left; color: var(--soft); font-weight: 600; }
th, td { padding: .2rem .9rem .2rem 0; white-space: nowrap; border-bottom: 1px solid var(--line); }
`;
