/** `node bench/run.js [NAME...] [--save]`: runs the benchmarks of that name (default: all) against dist/. See README.md. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { formatTable } from './table.js';

const NOT_BENCHMARKS = ['run', 'table', 'measure'];
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

/** @param {string} name */
async function run(name) {
  const { measure } = await import(`./${name}.js`);
  const machine = `Node ${process.version}, ${cpus().length} x ${cpus()[0]?.model ?? 'an unknown processor'}`;
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
