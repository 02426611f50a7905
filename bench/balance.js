/** How connections spread over two workers, and what spreading costs those that come and go. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { median } from './measure.js';

/** Another build to measure, for a comparison. */
const PASTER = process.env.BENCH_PASTER ?? fileURLToPath(new URL('../bin/paster.js', import.meta.url));
const CONNECTIONS = 32;
const SHORT = 10_000;
const CLIENTS = 32;
const ROUNDS = 10;
const GOAL = 0.35;

const APP = `export default (req, res) => {
  res.setHeader('content-length', String(process.pid).length);
  res.end(String(process.pid));
};
`;

/** A GET in each protocol, on a connection that stays open, or on one that ends with the answer. */
const REQUESTS = {
  http: (keep) => Buffer.from(`GET / HTTP/1.1\r\nHost: a\r\n${keep ? '' : 'Connection: close\r\n'}\r\n`),
  fastcgi: fastcgiRequest,
};

/** @returns {Promise<import('./table.js').Row[]>} */
export async function measure() {
  const rows = [];
  for (const type of Object.keys(REQUESTS)) {
    await withServer(type, async (path) => {
      for (const [what, pause] of [
        ['burst', 0],
        ['trickle, 5 ms', 5],
      ]) {
        const least = [];
        for (let round = 0; round < ROUNDS; round++) {
          least.push(await leastShare(path, REQUESTS[type](true), pause));
          await sleep(500);
        }
        const percent = (share) => `${Math.round(share * 100)} %`;
        rows.push({
          what: `${type}, ${what} of ${CONNECTIONS}: the lesser worker's share, worst of ${ROUNDS}`,
          figure: percent(Math.min(...least)),
          goal: `>= ${percent(GOAL)}`,
          met: Math.min(...least) >= GOAL,
          detail: `${percent(median(least))} (${percent(Math.min(...least))} - ${percent(Math.max(...least))})`,
        });
      }
      const rates = [];
      for (let round = 0; round < 5; round++) rates.push(await shortRate(path, REQUESTS[type](false)));
      rows.push({
        what: `${type}, ${SHORT} connections with a request each, ${CLIENTS} at a time`,
        figure: `${Math.round(median(rates))}/s`,
        goal: '',
        met: undefined,
        detail: `${Math.round(median(rates))}/s (${Math.round(Math.min(...rates))} - ${Math.round(Math.max(...rates))})`,
      });
    });
  }
  return rows;
}

async function withServer(type, use) {
  const directory = mkdtempSync(join(tmpdir(), 'paster-bench-'));
  const path = join(directory, 'socket');
  writeFileSync(join(directory, 'app.mjs'), APP);
  const args = ['serve', 'module:./app.mjs', '-s', type, '--socket', path, '-w', '2'];
  const child = spawn(process.execPath, [PASTER, ...args], {
    cwd: directory,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    let output = '';
    for await (const text of child.stdout) {
      output += text;
      if (output.includes('serving on')) break;
    }
    await use(path);
  } finally {
    child.kill('SIGTERM');
    await once(child, 'exit');
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Opens all, asks each who serves it, and closes them when all are there. */
async function leastShare(path, request, pause) {
  const sockets = [];
  const pids = [];
  for (let index = 0; index < CONNECTIONS; index++) {
    const socket = connect(path);
    sockets.push(socket);
    pids.push(answer(socket, request));
    if (pause > 0) await sleep(pause);
  }
  const counts = new Map();
  for (const pid of await Promise.all(pids)) counts.set(pid, (counts.get(pid) ?? 0) + 1);
  for (const socket of sockets) socket.destroy();
  return counts.size < 2 ? 0 : Math.min(...counts.values()) / CONNECTIONS;
}

async function answer(socket, request) {
  socket.write(request);
  const [data] = await once(socket, 'data');
  const pid = /(?:\r\n\r\n)(\d+)/.exec(data.toString('latin1'))?.[1];
  if (pid === undefined) throw new Error(`no pid in ${JSON.stringify(data.toString('latin1'))}`);
  return pid;
}

async function shortRate(path, request) {
  let left = SHORT;
  const start = performance.now();
  const client = async () => {
    while (left-- > 0) {
      const socket = connect(path);
      const ended = once(socket, 'close');
      await answer(socket, request);
      socket.resume();
      await ended;
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  return (SHORT * 1000) / (performance.now() - start);
}

function fastcgiRequest(keep) {
  const record = (type, content) =>
    Buffer.concat([Buffer.from([1, type, 0, 1, content.length >> 8, content.length & 255, 0, 0]), content]);
  const variables = { REQUEST_METHOD: 'GET', REQUEST_URI: '/', PATH_INFO: '/', SERVER_PROTOCOL: 'HTTP/1.1' };
  const pairs = Object.entries(variables).map(([name, value]) =>
    Buffer.concat([Buffer.from([name.length, value.length]), Buffer.from(name + value)]),
  );
  return Buffer.concat([
    record(1, Buffer.from([0, 1, keep ? 1 : 0, 0, 0, 0, 0, 0])),
    record(4, Buffer.concat(pairs)),
    record(4, Buffer.alloc(0)),
    record(5, Buffer.alloc(0)),
  ]);
}
