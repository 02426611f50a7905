/**
 * A profile as a page: the calls as a flame graph, and the functions that take the longest. A script zooms, searches and folds;
 * without it the page shows the same graph. The page holds the profile itself, so that it can be passed on as one file.
 */
import type { Profiler } from 'node:inspector';
import { basename, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { escapeHtml, htmlPage } from '../../http/html.ts';
import { isOwnFile } from '../../own-files.ts';
import { workingDirectory } from '../../working-directory.ts';
import { SCRIPT, STYLE } from './profile-assets.ts';

const WIDTH = 1000;
const ROW_HEIGHT = 20;
const CHARACTER_WIDTH = 6.6;
/** A call narrower than this could be seen only after much zooming, and is left out. */
const MIN_WIDTH = 0.1;
/** The least own time of a function in the table, in milliseconds: less would be shown as 0.00 ms. */
const MIN_SHOWN = 0.005;

/**
 * @param limit how many functions are listed
 * @param file the name of the profile if it is saved from the page
 */
export function profilePage(title: string, profile: Profiler.Profile, limit: number, file: string): string {
  const calls = callTree(profile);
  const total = calls.reduce((sum, call) => sum + call.total, 0);
  const whole = (profile.endTime - profile.startTime) / 1000;
  return htmlPage(
    `Profile of ${title}`,
    `<h1>${escapeHtml(title)}</h1>
<p>${formatMs(total)} of the processor within ${formatMs(whole)}. Each bar is a function, below it what it calls.</p>
<div class="tools" hidden>
<label>Search <input id="search" type="search" autocomplete="off" spellcheck="false"></label>
<label><input id="fold" type="checkbox" checked> Fold Node and paster</label>
<button id="reset" type="button">Whole profile</button>
<button id="save" type="button" data-name="${escapeHtml(basename(file))}">Save .cpuprofile</button>
</div>
<p class="soft"><span class="key application"></span>application <span class="key package"></span>packages
<span class="key paster"></span>paster <span class="key node"></span>Node <span class="key engine"></span>engine</p>
<div class="flames" id="flames" tabindex="0" role="application" aria-label="Flame graph: arrow keys move, Enter zooms in, Escape shows the whole profile" aria-describedby="chosen">${flames(calls, total)}</div>
<p id="chosen" class="soft" role="status"></p>
<h2>Functions by their own time</h2>
<div class="flames" tabindex="0" role="region" aria-label="Functions"><table id="functions"><thead><tr><th>own time</th><th>with calls</th><th>function</th><th>where</th></tr></thead>
<tbody>${functionCosts(calls)
      .filter(({ self }) => self >= MIN_SHOWN)
      .slice(0, limit)
      .map(tableRow)
      .join('\n')}</tbody></table></div>
<p class="soft">A saved .cpuprofile opens in <a href="https://www.speedscope.app/" rel="noreferrer">speedscope</a> and in the developer tools of browsers.</p>
<script type="application/octet-stream" id="profile">${gzipSync(JSON.stringify(profile)).toString('base64')}</script>`,
    { style: STYLE, script: SCRIPT },
  );
}

/** Callers come before what they call: `data-caller` is the index of the caller's bar. */
function flames(calls: readonly Call[], total: number): string {
  const bars: string[] = [];
  let depth = 0;
  const draw = (call: Call, x: number, level: number, caller: number): void => {
    const width = (call.total / total) * WIDTH;
    if (width < MIN_WIDTH) return;
    depth = Math.max(depth, level + 1);
    const index = bars.length;
    bars.push(bar(call, x, level * ROW_HEIGHT, width, caller));
    let inner = x;
    for (const each of call.calls) {
      draw(each, inner, level + 1, index);
      inner += (each.total / total) * WIDTH;
    }
  };
  let x = 0;
  for (const call of calls) {
    draw(call, x, 0, -1);
    x += (call.total / total) * WIDTH;
  }
  return `<svg viewBox="0 0 ${WIDTH} ${Math.max(ROW_HEIGHT, depth * ROW_HEIGHT)}" role="img" aria-label="flame graph">${bars.join('\n')}</svg>`;
}

function bar(call: Call, x: number, y: number, width: number, caller: number): string {
  const room = Math.floor((width - 6) / CHARACTER_WIDTH);
  const label = call.name.length <= room ? call.name : room > 3 ? `${call.name.slice(0, room - 1)}…` : '';
  const place = `x="${x.toFixed(2)}" y="${y}" width="${width.toFixed(2)}" height="${ROW_HEIGHT - 1}"`;
  return `<g class="${categoryOf(call)}" data-caller="${caller}"><title>${escapeHtml(tooltip(call))}</title><rect ${place}/><text x="${(x + 3).toFixed(2)}" y="${y + 14}">${escapeHtml(label)}</text></g>`;
}

function tooltip(call: FunctionCost): string {
  return `${call.name}\n${whereOf(call)}\n${formatMs(call.total)}, own time ${formatMs(call.self)}`;
}

function tableRow(cost: FunctionCost): string {
  return `<tr class="${categoryOf(cost)}"><td>${formatMs(cost.self)}</td><td>${formatMs(cost.total)}</td>
<td>${escapeHtml(cost.name)}</td><td>${escapeHtml(whereOf(cost))}</td></tr>`;
}

function categoryOf({ file }: FunctionCost): string {
  if (file === '') return 'engine';
  if (file.startsWith('node:')) return 'node';
  const path = file.startsWith('file://') ? fileURLToPath(file) : file;
  if (isOwnFile(path)) return 'paster';
  return path.includes('/node_modules/') ? 'package' : 'application';
}

/** The file, relative to the working directory if it is below that, and the line. */
function whereOf({ file, line }: FunctionCost): string {
  if (file === '' || file.startsWith('node:')) return file;
  const path = file.startsWith('file://') ? fileURLToPath(file) : file;
  const fromHere = relative(workingDirectory(), path);
  return `${fromHere.startsWith('..') ? path : fromHere}:${line}`;
}

function formatMs(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : 1)} ms`;
}

// --- the calls of a profile as a tree, and what each function costs

/** A function, as called by its parent in the tree. Times are in milliseconds. */
interface Call {
  readonly name: string;
  /** The path or URL of the file; empty for what is not JavaScript. */
  readonly file: string;
  readonly line: number;
  /** Time in the function itself. */
  readonly self: number;
  /** Time in the function and in what it calls. */
  readonly total: number;
  readonly calls: readonly Call[];
}

/** A function, from wherever it is called. */
type FunctionCost = Omit<Call, 'calls'>;

/** Entries that are no work of the request. */
const NOT_WORK: ReadonlySet<string> = new Set(['(idle)', '(program)']);

/** The calls at the top of the tree, those that take the longest first. */
function callTree(profile: Profiler.Profile): Call[] {
  const { nodes, samples = [], timeDeltas = [] } = profile;
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const self = new Map<number, number>();
  samples.forEach((id, index) => {
    // A delta is the time since the previous sample, so a sample lasts until the next one's delta.
    self.set(id, (self.get(id) ?? 0) + Math.max(0, timeDeltas[index + 1] ?? 0) / 1000);
  });
  const callOf = (node: Profiler.ProfileNode): Call => {
    const calls = (node.children ?? []).flatMap((id) => byId.get(id) ?? []).map(callOf);
    const { functionName, url, lineNumber } = node.callFrame;
    const own = self.get(node.id) ?? 0;
    return {
      name: functionName || '(anonymous)',
      file: url,
      line: lineNumber + 1,
      self: own,
      total: calls.reduce((sum, { total }) => sum + total, own),
      calls: calls.sort(longestFirst),
    };
  };
  const [root] = nodes;
  if (root === undefined) return [];
  return callOf(root).calls.filter(({ name, total }) => !NOT_WORK.has(name) && total > 0);
}

/** Functions by the time in themselves, the most expensive first. Recursive calls do not count twice. */
function functionCosts(calls: readonly Call[]): FunctionCost[] {
  const found = new Map<string, { -readonly [K in keyof FunctionCost]: FunctionCost[K] }>();
  const visit = (call: Call, callers: ReadonlySet<string>): void => {
    const { calls: inner, ...cost } = call;
    const key = `${call.name} ${call.file}:${call.line}`;
    const known = found.get(key);
    if (known === undefined) found.set(key, { ...cost });
    else {
      known.self += cost.self;
      if (!callers.has(key)) known.total += cost.total;
    }
    const below = new Set(callers).add(key);
    for (const each of inner) visit(each, below);
  };
  for (const call of calls) visit(call, new Set());
  return [...found.values()].sort((one, other) => other.self - one.self);
}

function longestFirst(one: Call, other: Call): number {
  return other.total - one.total;
}
