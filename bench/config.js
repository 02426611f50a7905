/** The configuration: a large INI file against CPython's configparser, its growth, and what starting paster costs. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import { interleave, median, ownTimes, roundsOf, spread, wholeTime } from './measure/rounds.js';

const PYTHON = '/usr/bin/python3';
const CHAIN = 10;
const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const NODE = process.execPath;

/** Sections in chains of ten, each using the one before it, with references to [DEFAULT], to itself and nested ones. */
function largeFile(sections) {
  const lines = ['[DEFAULT]', 'root = /srv/site', 'data = %(root)s/data', 'percent = 100%%', ''];
  for (let index = 0; index < sections; index++) {
    lines.push(
      `[app:a${index}]`,
      index % CHAIN === 0 ? 'use = call:./app.js:make' : `use = a${index - 1}`,
      `name = part ${index}`,
      `path = %(data)s/%(name)s`,
      `cache = %(path)s/cache`,
      `title = Number ${index} of the site`,
      'words = one two',
      '  three four',
      '',
    );
  }
  return lines.join('\n');
}

/** @returns {Promise<import('./report/table.js').Row[]>} */
export async function measure() {
  const directory = mkdtempSync(join(tmpdir(), 'paster-bench-'));
  try {
    const [small, large, one] = ['small.ini', 'large.ini', 'one.ini'].map((name) => join(directory, name));
    writeFileSync(small, largeFile(10_000));
    writeFileSync(large, largeFile(100_000));
    writeFileSync(one, '[app:main]\nuse = call:./app.js:make\n');
    writeFileSync(join(directory, 'package.json'), '{"type": "module"}\n');
    writeFileSync(join(directory, 'app.js'), 'export const make = () => (req, res) => res.end();\n');
    const resolve = await bundle('config/resolve.ts', directory);
    return [...parsing(resolve, small), ...growth(resolve, small, large), ...startUp(), ...oneApp(directory)];
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Bundles a program in the same way as dist/, which has no file for what is measured here. @returns the file */
async function bundle(program, directory) {
  const file = join(directory, 'program.js');
  const bundled = await rolldown({ input: path(program), platform: 'node', external: /^[^./]/ });
  await bundled.write({ file, codeSplitting: false });
  return file;
}

function parsing(resolve, file) {
  const run = [resolve, file, String(CHAIN)];
  const programs = { paster: () => ownTimes(NODE, run), chains: () => ownTimes(NODE, [...run, 'all']) };
  if (existsSync(PYTHON)) programs.python = () => ownTimes(PYTHON, [path('config/python.py'), file]);
  const { paster, chains, python } = interleave(programs, roundsOf(15));
  const row = (what, measure, times, goal) => {
    const [ours, theirs] = [times, python].map((each) => each?.map((round) => round[measure]));
    const ratio = theirs && median(theirs) / median(ours);
    return {
      what,
      figure: ratio ? `${ratio.toFixed(2)} x` : 'no python3',
      goal: goal ? `>= ${goal} x` : '',
      met: ratio && goal ? ratio >= goal : undefined,
      detail: theirs ? `${spread(ours)} to ${spread(theirs)}` : spread(ours),
    };
  };
  return [
    row('10,000 sections: configparser / paster', 'time', paster, 3),
    row('the same, processor time', 'cpu', paster),
    row('the same and 1,000 apps through chains of ten', 'time', chains),
  ];
}

function growth(resolve, small, large) {
  const run = (file) => () => ownTimes(NODE, [resolve, file, String(CHAIN), 'all']).time;
  const times = interleave({ small: run(small), large: run(large) }, roundsOf(5));
  const ratio = median(times.large) / median(times.small);
  return [
    {
      what: '100,000 sections / 10,000',
      figure: `${ratio.toFixed(1)} x`,
      goal: '<= 15 x',
      met: ratio <= 15,
      detail: `${spread(times.large)} to ${spread(times.small)}`,
    },
  ];
}

function startUp() {
  const paster = path('../bin/paster.js');
  const times = interleave(
    {
      node: () => wholeTime(NODE, ['-e', '0']),
      '--help': () => wholeTime(NODE, [paster, '--help']),
      '--version': () => wholeTime(NODE, [paster, '--version']),
    },
    roundsOf(21),
  );
  return ['--help', '--version'].map((option) => {
    const ratio = median(times[option]) / median(times.node);
    return {
      what: `paster ${option} / node -e 0`,
      figure: `${ratio.toFixed(2)} x`,
      goal: '<= 1.4 x',
      met: ratio <= 1.4,
      detail: `${spread(times[option])} to ${spread(times.node)}`,
    };
  });
}

function oneApp(directory) {
  const module = (source) => ['--input-type=module', '-e', source];
  const literal = (text) => JSON.stringify(text);
  const direct = `const { make } = await import(${literal(join(directory, 'app.js'))}); make({}, {});`;
  const loaded =
    `const { loadApp } = await import(${literal(path('../dist/index.js'))}); ` +
    `await loadApp('config:one.ini', { relativeTo: ${literal(directory)} });`;
  const times = interleave(
    { direct: () => wholeTime(NODE, module(direct)), loaded: () => wholeTime(NODE, module(loaded)) },
    roundsOf(21),
  );
  const difference = median(times.loaded) - median(times.direct);
  return [
    {
      what: 'loading a one-app INI - importing the app',
      figure: `+${difference.toFixed(1)} ms`,
      goal: '<= +15 ms',
      met: difference <= 15,
      detail: `${spread(times.loaded)} to ${spread(times.direct)}`,
    },
  ];
}
