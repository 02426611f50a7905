/** The gateway: paster's FastCGI server against node:http and other FastCGI servers, all of them behind one nginx. */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hasWrk, load } from './gateway/load.js';
import { idleConnection, uploadGrowth } from './gateway/memory.js';
import { startNginx } from './gateway/nginx.js';
import { startPeers } from './gateway/peers.js';
import { median, QUICK, roundsOf, takeTurns } from './measure.js';
import { freePort, Program, pinned } from './program.js';

const ROUNDS = roundsOf(5);
const ROUND_S = 2;
const UPLOAD = QUICK ? 2 ** 28 : 2 ** 30;
const IDLE = 1000;
const MIB = 2 ** 20;
const KIB = 2 ** 10;

const path = (name) => fileURLToPath(new URL(name, import.meta.url));

/**
 * nginx has a processor to itself where there are two, and the server that is measured shares the first with the load: it
 * costs least, so that the server is what the requests wait for.
 */
const hasTwo = cpus().length > 1 && spawnSync('taskset', ['--version']).error === undefined;
const OF_SERVER = hasTwo ? '0' : undefined;
const OF_NGINX = hasTwo ? `1-${cpus().length - 1}` : undefined;

/** @returns {Promise<import('./table.js').Row[]>} */
export async function measure() {
  const lacking = !existsSync('/proc/self/stat')
    ? 'no /proc'
    : spawnSync('nginx', ['-v']).error !== undefined
      ? 'no nginx'
      : undefined;
  if (lacking !== undefined) return [{ what: 'the gateway', figure: lacking, goal: '', met: undefined, detail: '' }];
  const directory = mkdtempSync(join(tmpdir(), 'paster-bench-'));
  // nginx's workers are another user's where its master is root's.
  chmodSync(directory, 0o755);
  const stage = new Stage(directory);
  try {
    await stage.open();
    return [
      ...(await smallAnswers(stage)),
      ...(await express(stage)),
      ...(await withoutKeeping(stage)),
      ...(await http(stage)),
      ...(await largeAnswers(stage)),
      ...(await memory(stage)),
      { what: 'left out', figure: stage.leftOut.join(', ') || 'nothing', goal: '', met: undefined, detail: '' },
    ];
  } finally {
    await stage.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** All programs, each behind nginx under its own name. They cost nothing while another one is measured. */
class Stage {
  /** @type {Map<string, Program>} */
  programs = new Map();
  leftOut = hasWrk ? [] : ['wrk (a client in Node makes the load)'];
  #directory;
  #nginx;
  #port = 0;

  constructor(directory) {
    this.#directory = directory;
  }

  socketOf = (name) => join(this.#directory, `${name}.sock`);

  async open() {
    const upstreams = [];
    for (const app of ['hello', 'express', 'megabyte']) {
      await this.#node(`http_${app}`, app, this.socketOf(`http_${app}`));
      upstreams.push({ name: `http_${app}`, protocol: 'http', socket: this.socketOf(`http_${app}`) });
    }
    for (const app of ['hello', 'express', 'megabyte', 'slow', 'memory']) {
      const name = `paster_${app}`;
      await this.#paster(name, app, `use = npm:paster#fastcgi\nsocket = ${this.socketOf(name)}\nmode = 666`);
      upstreams.push({ name, protocol: 'fastcgi', socket: this.socketOf(name), stream: app === 'slow' });
    }
    const { peers, leftOut } = await startPeers(this.#directory, this.socketOf, OF_SERVER);
    this.leftOut.push(...leftOut);
    for (const { name, program, script } of peers) {
      this.programs.set(name, program);
      // node-fastcgi 2.0.0 answers the first request of a kept connection only, and is measured without.
      if (name !== 'node_fastcgi') upstreams.push({ name, protocol: 'fastcgi', socket: this.socketOf(name), script });
    }
    for (const name of ['paster_hello', ...peers.map((peer) => peer.name)]) {
      const script = peers.find((peer) => peer.name === name)?.script;
      upstreams.push({ name: `once_${name}`, protocol: 'fastcgi', socket: this.socketOf(name), keep: false, script });
    }
    this.#port = await freePort();
    this.#nginx = await startNginx(this.#directory, this.#port, upstreams, OF_NGINX);
    for (const kind of ['node', 'paster']) {
      const port = await freePort();
      this.direct[kind] = `http://127.0.0.1:${port}/`;
      if (kind === 'node') await this.#node('direct_node', 'hello', String(port));
      else await this.#paster('direct_paster', 'hello', `use = npm:paster#http\nport = ${port}`);
    }
  }

  direct = {};

  async #node(name, app, where) {
    const command = [process.execPath, path('gateway/node-http.js'), app, where];
    this.programs.set(name, await Program.start(pinned(command, OF_SERVER), { ready: /^ready$/ }));
  }

  async #paster(name, app, server) {
    const file = join(this.#directory, `${name}.ini`);
    writeFileSync(
      file,
      `[app:main]\nuse = call:${path('gateway/apps.js')}:make\napp = ${app}\n[server:main]\n${server}\n`,
    );
    const flags = app === 'memory' ? ['--expose-gc'] : [];
    const command = [process.execPath, ...flags, path('../bin/paster.js'), 'serve', file];
    this.programs.set(name, await Program.start(pinned(command, OF_SERVER), { ready: /^serving on / }));
  }

  url(name) {
    return `http://127.0.0.1:${this.#port}/${name}`;
  }

  /** What one round of load costs a program. */
  async round(name, url) {
    // With no nginx between, the load has its processor.
    const direct = Object.values(this.direct).includes(url);
    const program = this.programs.get(name);
    const before = program.cpu();
    const { requests, perSecond } = await load(url, ROUND_S, direct ? OF_NGINX : OF_SERVER);
    return { cpu: (program.cpu() - before) / requests, perSecond };
  }

  /** Rounds of several in turn, by what they are called here: [name, program, URL]. The first round is only to warm up. */
  async compare(...contestants) {
    const turns = contestants.map(([name, program, url]) => [name, () => this.round(program, url)]);
    await takeTurns(Object.fromEntries(turns), 1);
    const results = await takeTurns(Object.fromEntries(turns), ROUNDS);
    return Object.fromEntries(
      Object.entries(results).map(([name, rounds]) => [
        name,
        { cpu: rounds.map((round) => round.cpu), perSecond: rounds.map((round) => round.perSecond) },
      ]),
    );
  }

  async close() {
    for (const program of [this.#nginx, ...this.programs.values()]) await program?.stop();
  }
}

// --- figures --------------------------------------------------------------------------------------------------------

const CALLED = { paster: 'paster, FastCGI', http: 'node:http, proxy_pass', go: 'Go net/http/fcgi', php: 'php-fpm' };

async function smallAnswers(stage) {
  const others = ['go', 'php'].filter((name) => stage.programs.has(name));
  const found = await stage.compare(
    ['http', 'http_hello', stage.url('http_hello')],
    ['paster', 'paster_hello', stage.url('paster_hello')],
    ...others.map((name) => [name, name, stage.url(name)]),
  );
  return [
    {
      ...atMost('FastCGI, Hello World: CPU / node:http', found, 'cpu', 'paster', 'http', 0.75),
      bars: Object.entries(found).map(([name, { cpu }]) => ({
        title: 'Hello World behind one nginx: processor time of a request',
        label: CALLED[name],
        value: median(cpu),
        unit: 'us',
      })),
    },
    atLeast('  requests/s / node:http', found, 'perSecond', 'paster', 'http', 1.2),
    ...others.flatMap((name) => [
      told(`  ${name}: CPU / node:http`, found, 'cpu', name, 'http'),
      told(`  ${name}: requests/s / node:http`, found, 'perSecond', name, 'http'),
    ]),
  ];
}

async function express(stage) {
  const found = await stage.compare(
    ['http', 'http_express', stage.url('http_express')],
    ['paster', 'paster_express', stage.url('paster_express')],
  );
  return [
    atMost('FastCGI, Express 5: CPU / node:http', found, 'cpu', 'paster', 'http', 0.9),
    told('  requests/s / node:http', found, 'perSecond', 'paster', 'http'),
  ];
}

async function withoutKeeping(stage) {
  const others = ['node_fastcgi', 'go', 'php'].filter((name) => stage.programs.has(name));
  const found = await stage.compare(
    ['paster', 'paster_hello', stage.url('once_paster_hello')],
    ...others.map((name) => [name, name, stage.url(`once_${name}`)]),
  );
  return others.map((name) =>
    name === 'node_fastcgi'
      ? atLeast('FastCGI without keep_conn: requests/s / node-fastcgi', found, 'perSecond', 'paster', name, 2)
      : told(`  requests/s / ${name}`, found, 'perSecond', 'paster', name),
  );
}

async function http(stage) {
  const found = await stage.compare(
    ['http', 'direct_node', stage.direct.node],
    ['paster', 'direct_paster', stage.direct.paster],
  );
  return [
    atLeast('HTTP, no web server: requests/s / node:http', found, 'perSecond', 'paster', 'http', 0.97),
    told('  CPU / node:http', found, 'cpu', 'paster', 'http'),
  ];
}

async function largeAnswers(stage) {
  const found = await stage.compare(
    ['http', 'http_megabyte', stage.url('http_megabyte')],
    ['paster', 'paster_megabyte', stage.url('paster_megabyte')],
  );
  return [
    atLeast('FastCGI, 1 MiB answers: throughput / node:http', found, 'perSecond', 'paster', 'http', 0.9),
    told('  CPU / node:http', found, 'cpu', 'paster', 'http'),
  ];
}

async function memory(stage) {
  const growth = await uploadGrowth(stage.url('paster_slow'), UPLOAD, stage.programs.get('paster_slow'));
  const idle = await idleConnection(stage.socketOf('paster_memory'), IDLE);
  return [
    {
      what: `FastCGI, ${UPLOAD / MIB} MiB to a slow application: memory`,
      figure: `+${(growth / MIB).toFixed(1)} MiB`,
      goal: '<= +64 MiB',
      met: growth <= 64 * MIB,
      detail: 'one run',
    },
    {
      what: `FastCGI, ${IDLE.toLocaleString('en')} idle connections: memory of each`,
      figure: `${(idle / KIB).toFixed(1)} KiB`,
      goal: '<= 20 KiB',
      met: idle <= 20 * KIB,
      detail: 'one run',
    },
  ];
}

function told(what, found, measure, one, other) {
  const ratios = pairwise(found[one][measure], found[other][measure]);
  const ratio = median(ratios);
  return {
    what,
    figure: ratios.length > 0 ? `${ratio.toFixed(2)} x` : 'no answers',
    goal: '',
    met: undefined,
    detail: `${spread(found[one][measure], measure)} to ${spread(found[other][measure], measure)}`,
    ratio,
  };
}

function atMost(what, found, measure, one, other, goal) {
  const { ratio, ...row } = told(what, found, measure, one, other);
  return { ...row, goal: `<= ${goal} x`, met: ratio <= goal };
}

function atLeast(what, found, measure, one, other, goal) {
  const { ratio, ...row } = told(what, found, measure, one, other);
  return { ...row, goal: `>= ${goal} x`, met: ratio >= goal };
}

/**
 * Round by round, since what else the machine does lasts for longer than a round. One in which a program has answered
 * nothing says nothing.
 */
function pairwise(ones, others) {
  return ones.map((one, round) => one / others[round]).filter((ratio) => ratio > 0 && Number.isFinite(ratio));
}

function spread(values, measure) {
  const shown = (value) => (measure === 'cpu' && value < 1000 ? value.toFixed(1) : value.toFixed(0));
  const unit = measure === 'cpu' ? 'us' : '/s';
  return `${shown(median(values))} ${unit} (${shown(Math.min(...values))} - ${shown(Math.max(...values))})`;
}
