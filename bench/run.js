/** `node bench/run.js [NAME...] [--save]`: runs the benchmarks of that name (default: all) against dist/. See README.md. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, type } from 'node:os';
import { fileURLToPath } from 'node:url';
import { formatTable } from './table.js';

const NOT_BENCHMARKS = ['run', 'table', 'measure', 'program'];
const here = fileURLToPath(new URL('.', import.meta.url));
const known = readdirSync(here)
  .filter((file) => file.endsWith('.js'))
  .map((file) => file.slice(0, -'.js'.length))
  .filter((name) => !NOT_BENCHMARKS.includes(name));

const args = process.argv.slice(2);
const save = args.includes('--save');
const asked = args.filter((arg) => !arg.startsWith('--'));
const unknown = [...asked.filter((name) => !known.includes(name)), ...args.filter((arg) => /^--(?!save$)/.test(arg))];

if (unknown.length > 0) {
  process.stderr.write(`bench: unknown: ${unknown.join(', ')} (there are: ${known.join(', ')}, --save)\n`);
  process.exitCode = 2;
} else if (!existsSync(new URL('../dist/index.js', import.meta.url))) {
  process.stderr.write('bench: there is no dist/: npm run build\n');
  process.exitCode = 2;
} else {
  for (const name of asked.length > 0 ? asked : known) await run(name);
}

/** What the figures were measured on and with, and how busy it was: the mean number of processes that wanted to run. */
function describeMachine() {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  const python = spawnSync('/usr/bin/python3', ['--version'], { encoding: 'utf8' }).stdout?.trim() || 'no python3';
  const processors = `${cpus().length} x ${cpus()[0]?.model ?? 'an unknown processor'}`;
  const load = `load ${loadavg()[0]?.toFixed(1)}`;
  return `paster ${version}, Node ${process.version}, ${python}; ${processors}, ${type()} ${release()}, ${load}`;
}

/** @param {string} name */
async function run(name) {
  const { measure } = await import(`./${name}.js`);
  const machine = describeMachine();
  process.stdout.write(`${name} (${machine})\n`);
  const rows = await measure();
  process.stdout.write(`${formatTable(rows)}\n`);
  if (!save) return;
  const results = new URL('results/', import.meta.url);
  mkdirSync(results, { recursive: true });
  const file = new URL(`${name}.json`, results);
  writeFileSync(file, `${JSON.stringify({ machine, date: new Date().toISOString(), rows }, undefined, 2)}\n`);
  process.stdout.write(`saved in ${fileURLToPath(file)}\n`);
}
