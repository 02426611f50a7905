/** The configuration: a large INI file against CPython's configparser, its growth, and what starting paster costs. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { interleave, median, ownTime, spread, wholeTime } from './measure.js';

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

/** @returns {Promise<import('./table.js').Row[]>} */
export async function measure() {
  const directory = mkdtempSync(join(tmpdir(), 'paster-bench-'));
  try {
    const [small, large, one] = ['small.ini', 'large.ini', 'one.ini'].map((name) => join(directory, name));
    writeFileSync(small, largeFile(10_000));
    writeFileSync(large, largeFile(100_000));
    writeFileSync(one, '[app:main]\nuse = call:./app.js:make\n');
    writeFileSync(join(directory, 'package.json'), '{"type": "module"}\n');
    writeFileSync(join(directory, 'app.js'), 'export const make = () => (req, res) => res.end();\n');
    return [...parsing(small), ...growth(small, large), ...startUp(), ...oneApp(directory)];
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function parsing(file) {
  const resolve = [path('config/resolve.js'), file, String(CHAIN)];
  const programs = { paster: () => ownTime(NODE, resolve), chains: () => ownTime(NODE, [...resolve, 'all']) };
  if (existsSync(PYTHON)) programs.python = () => ownTime(PYTHON, [path('config/python.py'), file]);
  const { paster, chains, python } = interleave(programs, 9);
  const row = (what, times, goal) => {
    const ratio = python && median(python) / median(times);
    return {
      what,
      figure: ratio ? `${ratio.toFixed(2)} x` : 'no python3',
      goal: goal ? `>= ${goal} x` : '',
      met: ratio && goal ? ratio >= goal : undefined,
      detail: python ? `${spread(times)} to ${spread(python)}` : spread(times),
    };
  };
  return [
    row('10,000 sections: configparser / paster', paster, 3),
    row('the same and 1,000 apps through chains of ten', chains),
  ];
}

function growth(small, large) {
  const run = (file) => () => ownTime(NODE, [path('config/resolve.js'), file, String(CHAIN), 'all']);
  const times = interleave({ small: run(small), large: run(large) }, 3);
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
    21,
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
    21,
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
