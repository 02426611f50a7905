/** Draws the figures as an SVG: those with a goal in relation to it, and those of several programs side by side. */

const WIDTH = 960;
const LABELS = 500;
const BARS = 300;
const LINE = 22;
/** The length of the bar of a figure that just meets its goal, as a share of the longest bar. */
const GOAL_AT = 0.7;

const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #1f2328; }
  .title { font-size: 15px; font-weight: 600; }
  .figure { font-variant-numeric: tabular-nums; }
  .met, .ours { fill: #1a7f37; } .missed { fill: #cf222e; } .other { fill: #8c959f; }
  .goal { stroke: #1f2328; stroke-dasharray: 3 3; } .page { fill: #ffffff; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .goal { stroke: #e6edf3; } .page { fill: #0d1117; }
    .met, .ours { fill: #3fb950; } .missed { fill: #f85149; } .other { fill: #6e7681; }
  }
`;

/** @param {readonly { name: string, rows: readonly import('./table.js').Row[] }[]} results */
export function drawPicture(results) {
  const page = new Page();
  const rows = results.flatMap((result) => result.rows);
  page.title('Figures and their goals (dashed): a bar that ends before the line meets its goal');
  const top = page.height;
  for (const { what, figure, goal, met } of rows.filter((row) => row.met !== undefined)) {
    page.bar(what.trim(), shareOfGoal(figure, goal) * GOAL_AT, `${figure} (${goal})`, met ? 'met' : 'missed');
  }
  page.goalLine(top);
  for (const [title, bars] of charts(rows)) {
    page.title(title);
    const most = Math.max(...bars.map(({ value }) => value));
    for (const { label, value, unit } of bars) {
      const kind = label.startsWith('paster') ? 'ours' : 'other';
      page.bar(label, value / most, `${value < 100 ? value.toFixed(1) : value.toFixed(0)} ${unit}`, kind);
    }
  }
  return page.toString();
}

/** The bars of the programs, by the title of their chart. */
function charts(rows) {
  const found = new Map();
  for (const bar of rows.flatMap(({ bars }) => bars ?? []))
    found.set(bar.title, [...(found.get(bar.title) ?? []), bar]);
  return found;
}

/** 1 if the figure just meets the goal, less if it is better. */
function shareOfGoal(figure, goal) {
  const [reached, limit] = [figure, goal].map((text) => Number(/-?[\d.]+/.exec(text)?.[0]));
  if (goal.startsWith('>=')) return limit / reached;
  // If the goal is 0, any other figure has a bar beyond the line.
  return limit === 0 ? Number(reached > 0) * 2 : reached / limit;
}

class Page {
  height = 16;
  #shapes = '';

  title(text) {
    this.height += 26;
    this.#text(16, text, 'title');
    this.height += 12;
  }

  /** @param {number} share of the longest bar */
  bar(label, share, figure, kind) {
    this.height += LINE;
    const width = Math.max(1, Math.min(share, 1) * BARS);
    this.#text(16, label, 'label');
    this.#shapes += `<rect x="${LABELS}" y="${this.height - 12}" width="${width.toFixed(1)}" height="14" rx="2" class="${kind}"/>\n`;
    this.#text(LABELS + BARS + 10, figure, 'figure');
  }

  /** Through all bars since `top`. */
  goalLine(top) {
    const x = LABELS + GOAL_AT * BARS;
    this.#shapes += `<path d="M${x} ${top + 6}V${this.height + 6}" class="goal"/>\n`;
  }

  #text(x, text, kind) {
    this.#shapes += `<text x="${x}" y="${this.height}" class="${kind}">${escapeXml(text)}</text>\n`;
  }

  toString() {
    const height = this.height + 20;
    return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}">
<title>The figures of paster and their goals</title>
<style>${STYLE}</style>
<rect width="${WIDTH}" height="${height}" class="page"/>
${this.#shapes}</svg>
`;
  }
}

function escapeXml(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
