/** The built-in parts: what each costs on top of the application behind it, over plain HTTP. Needs Linux's /proc. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compareLaunches } from './measure/launches.js';
import { Program, pinned } from './measure/program.js';
import { atLeast, comparison } from './measure/ratio.js';
import { roundsOf } from './measure/rounds.js';

const LAUNCHES = roundsOf(5);
const ROUNDS = 3;
/** The server and the load have a processor each, where there are two. */
const hasTwo = cpus().length > 1 && existsSync('/usr/bin/taskset');
const OF_SERVER = hasTwo ? '0' : undefined;
const OF_LOAD = hasTwo ? '1' : undefined;

const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const APPS = path('gateway/apps.js');
const HELLO = `[app:hello]
use = call:${APPS}:make
app = hello
[server:main]
use = npm:paster#http
port = 0
`;

/** The logging of a production file: every line goes to one file. */
const LOGGING = `[loggers]
keys = root
[handlers]
keys = file
[formatters]
keys = generic
[logger_root]
level = INFO
handlers = file
[handler_file]
class = FileHandler
args = (r"%(here)s/requests.log", "a")
formatter = generic
[formatter_generic]
format = %(asctime)s %(levelname)-5.5s [%(name)s] %(message)s
`;

/**
 * `sections` of the INI file in front of "Hello World", and the `path` of the requests. The requests/s are compared with those of
 * "Hello World" alone, or of the program that `baseline` names; `goal` is the share that must be left.
 */
const PARTS = [
  {
    name: 'urlmap with 1,000 prefixes',
    sections: `[composite:main]\nuse = npm:paster#urlmap\n${Array.from({ length: 1000 }, (_, i) => `/section/${i} = hello\n`).join('')}`,
    path: '/section/500/page',
    goal: 0.95,
  },
  {
    name: 'translogger, its lines in a file',
    sections: filtered('use = npm:paster#translogger', 1),
    path: '/',
    goal: 0.92,
  },
  {
    name: 'translogger, by the logging sections into a file',
    sections: filtered('use = npm:paster#translogger\nsetup_console_handler = false', 1) + LOGGING,
    path: '/',
    goal: 0.92,
  },
  {
    name: 'a pipeline of 5 empty filters',
    sections: filtered(`use = call:${APPS}:makeEmptyFilter`, 5),
    path: '/',
    goal: 0.97,
  },
  {
    name: 'metrics beside it: requests and connections are counted',
    sections: `[composite:main]\nuse = call:${APPS}:makeFirst\napp = hello\nbeside = metrics\n[app:metrics]\nuse = npm:paster#metrics\n`,
    path: '/',
    goal: 0.97,
  },
  {
    name: 'cascade, the second of two responses',
    sections:
      '[composite:main]\nuse = npm:paster#cascade\napp1 = none\napp2 = hello\n' +
      '[composite:none]\nuse = npm:paster#urlmap\n/nowhere = hello\n',
    path: '/section/500/page',
  },
  {
    name: 'static, a file of 2 KiB',
    sections: '[app:main]\nuse = npm:paster#static\ndocument_root = %(here)s/files\ncache_max_age = 3600\n',
    path: '/small.txt',
    baseline: 'serve-static',
    goal: 0.9,
  },
];

/** "Hello World" behind `count` filters of one kind. */
function filtered(use, count) {
  return `[pipeline:main]\npipeline = ${'filter '.repeat(count)}hello\n[filter:filter]\n${use}\n`;
}

/** @returns {Promise<import('./report/table.js').Row[]>} */
export async function measure() {
  const directory = mkdtempSync(join(tmpdir(), 'paster-bench-'));
  mkdirSync(join(directory, 'files'));
  writeFileSync(join(directory, 'files/small.txt'), 'x'.repeat(2048));
  const serveStatic = [process.execPath, path('parts/serve-static.js'), join(directory, 'files')];
  const baselines = {
    'Hello World alone': (url) => paster(directory, 'alone', '[app:main]\nuse = hello\n', url),
    'serve-static': (url) => start(serveStatic, url),
  };
  try {
    const rows = [];
    for (const part of PARTS) rows.push(...(await compare(directory, baselines, part)));
    return rows;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function paster(directory, name, sections, url) {
  const file = join(directory, `${name}.ini`);
  const output = join(directory, `${name}.log`);
  writeFileSync(file, `${sections}${HELLO}`);
  // Each launch begins with empty logs.
  for (const log of [output, join(directory, 'requests.log')]) rmSync(log, { force: true });
  const command = [process.execPath, path('../bin/paster.js'), 'serve', file];
  // The server logs into a file, as in production, and no other process has to read it.
  return start(['sh', '-c', 'exec "$@" 2>>"$0"', output, ...command], url);
}

async function start(command, url) {
  let origin;
  const program = await Program.start(pinned(command, OF_SERVER), {
    ready: {
      test(line) {
        origin ??= /^serving on (\S+)$/.exec(line)?.[1];
        return origin !== undefined;
      },
    },
  });
  return { program, url: origin + url };
}

async function compare(directory, baselines, { name, sections, path: url, goal, baseline = 'Hello World alone' }) {
  const found = await compareLaunches(
    { alone: () => baselines[baseline](url), part: () => paster(directory, 'part', sections, url) },
    { launches: LAUNCHES, rounds: ROUNDS, ofLoad: OF_LOAD },
  );
  const what = `${name}: requests/s / ${baseline}`;
  return [
    goal === undefined
      ? comparison(what, found, 'perSecond', 'part', 'alone')
      : atLeast(what, found, 'perSecond', 'part', 'alone', goal),
    comparison('  processor time per request', found, 'cpu', 'part', 'alone'),
  ];
}
