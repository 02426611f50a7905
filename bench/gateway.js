/** The gateway: paster's FastCGI server against node:http and other FastCGI servers, all of them behind one nginx. */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hasWrk } from './gateway/load.js';
import { idleConnection, uploadGrowth } from './gateway/memory.js';
import { startNginx } from './gateway/nginx.js';
import { startPeers } from './gateway/peers.js';
import { compareLaunches, compareRounds, round } from './measure/launches.js';
import { freePort, Program, pinned } from './measure/program.js';
import { atLeast, atMost, comparison } from './measure/ratio.js';
import { median, QUICK, roundsOf } from './measure/rounds.js';

const ROUNDS = roundsOf(5);
const ROUND_S = 2;
const UPLOAD = QUICK ? 2 ** 28 : 2 ** 30;
const IDLE = 1000;
const MIB = 2 ** 20;
const KIB = 2 ** 10;

const path = (name) => fileURLToPath(new URL(name, import.meta.url));

/**
 * With two processors, nginx has one to itself, and the measured server shares the other one with the load, which costs least: so
 * the server is what the requests wait for.
 */
const hasTwo = cpus().length > 1 && spawnSync('taskset', ['--version']).error === undefined;
const OF_SERVER = hasTwo ? '0' : undefined;
const OF_NGINX = hasTwo ? `1-${cpus().length - 1}` : undefined;

/** @returns {Promise<import('./report/table.js').Row[]>} */
export async function measure() {
  const lacking = !existsSync('/proc/self/stat')
    ? 'no /proc'
    : spawnSync('nginx', ['-v']).error !== undefined
      ? 'no nginx'
      : undefined;
  if (lacking !== undefined) return [{ what: 'the gateway', figure: lacking, goal: '', met: undefined, detail: '' }];
  const directory = mkdtempSync(join(tmpdir(), 'paster-bench-'));
  // If root starts nginx, its workers run as another user.
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
      // node-fastcgi 2.0.0 responds only to the first request of a kept connection, so it is measured without them.
      if (name !== 'node_fastcgi') upstreams.push({ name, protocol: 'fastcgi', socket: this.socketOf(name), script });
    }
    for (const name of ['paster_hello', ...peers.map((peer) => peer.name)]) {
      const script = peers.find((peer) => peer.name === name)?.script;
      upstreams.push({ name: `once_${name}`, protocol: 'fastcgi', socket: this.socketOf(name), keep: false, script });
    }
    upstreams.push({ name: 'once_http_hello', protocol: 'http', socket: this.socketOf('http_hello'), keep: false });
    this.#port = await freePort();
    this.#nginx = await startNginx(this.#directory, this.#port, upstreams, OF_NGINX);
  }

  async #node(name, app, where) {
    this.programs.set(name, await startNode(app, where));
  }

  async #paster(name, app, server) {
    this.programs.set(name, await this.#startPaster(name, app, server));
  }

  #startPaster(name, app, server) {
    const file = join(this.#directory, `${name}.ini`);
    writeFileSync(
      file,
      `[app:main]\nuse = call:${path('gateway/apps.js')}:make\napp = ${app}\n[server:main]\n${server}\n`,
    );
    const flags = app === 'memory' ? ['--expose-gc'] : [];
    const command = [process.execPath, ...flags, path('../bin/paster.js'), 'serve', file];
    return Program.start(pinned(command, OF_SERVER), { ready: /^serving on / });
  }

  /** Starts "Hello World" on its own port, without nginx. */
  async directly(kind) {
    const port = await freePort();
    const program =
      kind === 'node'
        ? await startNode('hello', String(port))
        : await this.#startPaster('direct_paster', 'hello', `use = npm:paster#http\nport = ${port}`);
    return { program, url: `http://127.0.0.1:${port}/` };
  }

  url(name) {
    return `http://127.0.0.1:${this.#port}/${name}`;
  }

  /** `compareRounds` of contestants, each as [name, program, URL]. */
  compare(...contestants) {
    const turns = contestants.map(([name, program, url]) => [
      name,
      () => round(this.programs.get(program), url, ROUND_S, OF_SERVER),
    ]);
    return compareRounds(Object.fromEntries(turns), ROUNDS);
  }

  async close() {
    for (const program of [this.#nginx, ...this.programs.values()]) await program?.stop();
  }
}

function startNode(app, where) {
  return Program.start(pinned([process.execPath, path('gateway/node-http.js'), app, where], OF_SERVER), {
    ready: /^ready$/,
  });
}

// --- figures --------------------------------------------------------------------------------------------------------

const CALLED = {
  paster: 'paster, FastCGI',
  http: 'node:http, proxy_pass',
  go: 'Go net/http/fcgi',
  php: 'php-fpm',
  c: 'a C responder',
};

async function smallAnswers(stage) {
  const others = ['go', 'php', 'c'].filter((name) => stage.programs.has(name));
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
      comparison(`  ${name}: CPU / node:http`, found, 'cpu', name, 'http'),
      comparison(`  ${name}: requests/s / node:http`, found, 'perSecond', name, 'http'),
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
    comparison('  requests/s / node:http', found, 'perSecond', 'paster', 'http'),
  ];
}

async function withoutKeeping(stage) {
  const others = ['node_fastcgi', 'go', 'php', 'c'].filter((name) => stage.programs.has(name));
  const found = await stage.compare(
    ['http', 'http_hello', stage.url('once_http_hello')],
    ['paster', 'paster_hello', stage.url('once_paster_hello')],
    ...others.map((name) => [name, name, stage.url(`once_${name}`)]),
  );
  const floor = stage.programs.has('c') ? [comparison('  c: CPU / node:http', found, 'cpu', 'c', 'http')] : [];
  return [
    atMost('FastCGI without keep_conn: CPU / node:http', found, 'cpu', 'paster', 'http', 0.6),
    ...floor,
    comparison('  requests/s / node:http', found, 'perSecond', 'paster', 'http'),
    ...others.map((name) =>
      name === 'node_fastcgi'
        ? atLeast('  requests/s / node-fastcgi', found, 'perSecond', 'paster', name, 2)
        : comparison(`  requests/s / ${name}`, found, 'perSecond', 'paster', name),
    ),
  ];
}

/** Without nginx, the load has its processor. */
async function http(stage) {
  const found = await compareLaunches(
    { http: () => stage.directly('node'), paster: () => stage.directly('paster') },
    { launches: roundsOf(5), rounds: 3, ofLoad: OF_NGINX },
  );
  return [
    atLeast('HTTP, no web server: requests/s / node:http', found, 'perSecond', 'paster', 'http', 0.97),
    comparison('  CPU / node:http', found, 'cpu', 'paster', 'http'),
  ];
}

async function largeAnswers(stage) {
  const found = await stage.compare(
    ['http', 'http_megabyte', stage.url('http_megabyte')],
    ['paster', 'paster_megabyte', stage.url('paster_megabyte')],
  );
  return [
    atLeast('FastCGI, 1 MiB responses: throughput / node:http', found, 'perSecond', 'paster', 'http', 0.9),
    comparison('  CPU / node:http', found, 'cpu', 'paster', 'http'),
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
