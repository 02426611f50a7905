/** Results as a table for the terminal. */

/**
 * What a benchmark found: a figure and its goal, if it has one. `met` is undefined if nothing could be compared.
 * `bars`: the picture shows them together with the others of the same title.
 * @typedef {{ what: string, figure: string, goal: string, met: boolean | undefined, detail: string, bars?: Bar[] }} Row
 * @typedef {{ title: string, label: string, value: number, unit: string }} Bar
 */

/** @param {readonly Row[]} rows */
export function formatTable(rows) {
  const lines = [
    ['what', 'figure', 'goal', '', 'median (least - most)'],
    ...rows.map(({ what, figure, goal, met, detail }) => [what, figure, goal, verdict(met), detail]),
  ];
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** @param {boolean | undefined} met */
export function verdict(met) {
  if (met === undefined) return '';
  return met ? 'met' : 'MISSED';
}
