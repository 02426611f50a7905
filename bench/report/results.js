/** Saves results in results/: a JSON file for each benchmark, and one page and one picture of all of them. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { drawPicture } from './picture.js';
import { verdict } from './table.js';

const RESULTS = new URL('../results/', import.meta.url);

/** @typedef {{ name: string, machine: string, date: string, quick: boolean, rows: import('./table.js').Row[] }} Result */

/** @param {Result} result */
export function saveResult(result) {
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(new URL(`${result.name}.json`, RESULTS), `${JSON.stringify(result, undefined, 2)}\n`);
}

/** Writes the page and the picture from the saved results of these benchmarks. @returns {string} the directory */
export function writePages(names) {
  const results = names.flatMap(readResult);
  writeFileSync(new URL('results.svg', RESULTS), drawPicture(results));
  writeFileSync(new URL('results.md', RESULTS), formatPage(results));
  return fileURLToPath(RESULTS);
}

/** @returns {Result[]} one, or none if it was never saved */
function readResult(name) {
  try {
    return [JSON.parse(readFileSync(new URL(`${name}.json`, RESULTS), 'utf8'))];
  } catch (error) {
    if (error.code === 'ENOENT') return [];
    throw error;
  }
}

/** @param {readonly Result[]} results */
export function formatPage(results) {
  const parts = results.map(
    ({ name, machine, date, quick, rows }) => `## ${name}

\`npm run bench -- ${name}${quick ? ' --quick' : ''}\`, ${date.slice(0, 10)}: ${machine}

| what | figure | goal | | median (least - most) |
| --- | --- | --- | --- | --- |
${rows.map(({ what, figure, goal, met, detail }) => `| ${[what, figure, goal, verdict(met), detail].map(cell).join(' | ')} |`).join('\n')}
`,
  );
  return `# Figures

Made by \`npm run bench\`; [README.md](../README.md) says how each is measured.

![The figures against their goals](results.svg)

${parts.join('\n')}`;
}

/** An indented text belongs to the row before it. */
function cell(text) {
  return text.replace(/^ +/, '– ').replaceAll('|', '\\|');
}
