/** The built-in parts: what each costs on top of the application behind it, over plain HTTP. Linux's /proc. */

import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { load } from './gateway/load.js';
import { median, roundsOf, takeTurns } from './measure.js';
import { Program, pinned } from './program.js';

const ROUNDS = roundsOf(7);
const ROUND_S = 2;
/** The server and the load have a processor each, where there are two. */
const hasTwo = cpus().length > 1 && existsSync('/usr/bin/taskset');
const OF_SERVER = hasTwo ? '0' : undefined;
const OF_LOAD = hasTwo ? '1' : undefined;

const APPS = fileURLToPath(new URL('gateway/apps.js', import.meta.url));
const HELLO = `[app:hello]
use = call:${APPS}:make
app = hello
[server:main]
use = npm:paster#http
port = 0
`;

/** What a file of production says of logging: every line of the root into one file. */
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
 * Each is compared with "Hello World" alone, or with the program that `beside` names: sections beside it, the URL to ask
 * for, and the share of requests/s that is left.
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
    name: 'cascade, the second of two answers',
    sections:
      '[composite:main]\nuse = npm:paster#cascade\napp1 = none\napp2 = hello\n' +
      '[composite:none]\nuse = npm:paster#urlmap\n/nowhere = hello\n',
    path: '/section/500/page',
  },
  {
    name: 'static, a file of 2 KiB',
    sections: '[app:main]\nuse = npm:paster#static\ndocument_root = %(here)s/files\ncache_max_age = 3600\n',
    path: '/small.txt',
    beside: 'serve-static',
    goal: 0.9,
  },
];

/** "Hello World" behind as many of one filter. */
function filtered(use, count) {
  return `[pipeline:main]\npipeline = ${'filter '.repeat(count)}hello\n[filter:filter]\n${use}\n`;
}

/** @returns {Promise<import('./table.js').Row[]>} */
export async function measure() {
  const directory = mkdtempSync(join(tmpdir(), 'paster-bench-'));
  mkdirSync(join(directory, 'files'));
  writeFileSync(join(directory, 'files/small.txt'), 'x'.repeat(2048));
  const beside = {
    'Hello World alone': await paster(directory, 'alone', '[app:main]\nuse = hello\n'),
    'serve-static': await start([
      process.execPath,
      fileURLToPath(new URL('parts/serve-static.js', import.meta.url)),
      join(directory, 'files'),
    ]),
  };
  try {
    const rows = [];
    for (const [index, part] of PARTS.entries()) {
      const program = await paster(directory, `part${index}`, part.sections);
      try {
        rows.push(...(await compare(beside, program, part)));
      } finally {
        await program.stop();
      }
    }
    return rows;
  } finally {
    for (const program of Object.values(beside)) await program.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

function paster(directory, name, sections) {
  const file = join(directory, `${name}.ini`);
  writeFileSync(file, `${sections}${HELLO}`);
  const command = [process.execPath, fileURLToPath(new URL('../bin/paster.js', import.meta.url)), 'serve', file];
  // What it logs is written to a file, as in production, and not read by anybody beside it.
  return start(['sh', '-c', 'exec "$@" 2>>"$0"', join(directory, `${name}.log`), ...command]);
}

async function start(command) {
  let origin;
  const program = await Program.start(pinned(command, OF_SERVER), {
    ready: {
      test(line) {
        origin ??= /^serving on (\S+)$/.exec(line)?.[1];
        return origin !== undefined;
      },
    },
  });
  return Object.assign(program, { origin });
}

async function compare(others, program, { name, path, goal, beside = 'Hello World alone' }) {
  const round = (of) => async () => {
    const before = of.cpu();
    const { requests, perSecond } = await load(of.origin + path, ROUND_S, OF_LOAD);
    return { perSecond, cpu: (of.cpu() - before) / requests };
  };
  const programs = { alone: round(others[beside]), part: round(program) };
  // The first one is only to warm up.
  await takeTurns(programs, 1);
  const found = await takeTurns(programs, ROUNDS);
  const ratio = (measure) =>
    median(found.part.map((each) => each[measure])) / median(found.alone.map((each) => each[measure]));
  const spread = (measure, digits) =>
    ['part', 'alone']
      .map((which) => {
        const values = found[which].map((each) => each[measure]);
        const [middle, least, most] = [median(values), Math.min(...values), Math.max(...values)];
        return `${middle.toFixed(digits)} (${least.toFixed(digits)} - ${most.toFixed(digits)})`;
      })
      .join(' to ');
  return [
    {
      what: `${name}: requests/s / ${beside}`,
      figure: `${ratio('perSecond').toFixed(3)} x`,
      goal: goal ? `>= ${goal} x` : '',
      met: goal ? ratio('perSecond') >= goal : undefined,
      detail: spread('perSecond', 0),
    },
    {
      what: '  processor time per request, us',
      figure: `${ratio('cpu').toFixed(3)} x`,
      goal: '',
      met: undefined,
      detail: spread('cpu', 1),
    },
  ];
}
