/** `npm run bench -- [NAME...] [--quick] [--save]`: runs the benchmarks of that name (default: all) against dist/. See README.md. */
import { existsSync } from 'node:fs';
import { QUICK } from './measure/rounds.js';
import { describeMachine } from './report/machine.js';
import { saveResult, writePages } from './report/results.js';
import { formatTable } from './report/table.js';

const BENCHMARKS = ['config', 'gateway', 'process', 'parts', 'overload', 'peers'];
const OPTIONS = ['--quick', '--save'];

const args = process.argv.slice(2);
const asked = args.filter((arg) => !arg.startsWith('--'));
const unknown = args.filter((arg) => !BENCHMARKS.includes(arg) && !OPTIONS.includes(arg));

if (unknown.length > 0) {
  const there = [...BENCHMARKS, ...OPTIONS].join(', ');
  process.stderr.write(`bench: unknown: ${unknown.join(', ')} (there are: ${there})\n`);
  process.exitCode = 2;
} else if (!existsSync(new URL('../dist/index.js', import.meta.url))) {
  process.stderr.write('bench: there is no dist/: npm run build\n');
  process.exitCode = 2;
} else {
  // Without names and --quick, the results are those that are published.
  const save = args.includes('--save') || (asked.length === 0 && !QUICK);
  for (const name of asked.length > 0 ? asked : BENCHMARKS) {
    const { measure } = await import(`./${name}.js`);
    const machine = describeMachine();
    process.stdout.write(`${name}${QUICK ? ', quick' : ''} (${machine})\n`);
    const rows = await measure();
    process.stdout.write(`${formatTable(rows)}\n\n`);
    if (save) saveResult({ name, machine, date: new Date().toISOString(), quick: QUICK, rows });
  }
  if (save) process.stdout.write(`saved in ${writePages(BENCHMARKS)}\n`);
}
