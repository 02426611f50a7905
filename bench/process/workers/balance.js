/** How connections spread over two workers, and what short connections cost. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Program } from '../../measure/program.js';
import { median, roundsOf, spread } from '../../measure/rounds.js';
import { inDirectory, serve } from '../site.js';

const CONNECTIONS = 32;
/** Connections with one request each. */
const SHORT = 10_000;
const CLIENTS = 32;
const ROUNDS = roundsOf(10);
/** The share of the connections that each of the two workers must have. */
const GOAL = 0.35;

const APP = `export default (req, res) => {
  res.setHeader('content-length', String(process.pid).length);
  res.end(String(process.pid));
};
`;

/** A GET in each protocol, on a connection that stays open, or on one that ends with the response. */
const REQUESTS = {
  http: (keep) => Buffer.from(`GET / HTTP/1.1\r\nHost: a\r\n${keep ? '' : 'Connection: close\r\n'}\r\n`),
  fastcgi: fastcgiRequest,
};

/** @returns {Promise<import('../../report/table.js').Row[]>} */
export async function balance() {
  const rows = [];
  for (const type of Object.keys(REQUESTS)) {
    await withServer(type, async (path, program) => {
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
      const costs = [];
      for (let round = 0; round < 5; round++) {
        const before = program.cpu();
        rates.push(await shortRate(path, REQUESTS[type](false)));
        costs.push((program.cpu() - before) / SHORT);
      }
      rows.push({
        what: `${type}, ${SHORT} connections with a request each, ${CLIENTS} at a time: CPU of the workers for each`,
        figure: `${Math.round(median(costs))} us`,
        goal: '',
        met: undefined,
        detail: `${spread(costs, 'us')}, at ${spread(rates, '/s')}`,
      });
    });
  }
  return rows;
}

function withServer(type, use) {
  return inDirectory({ 'app.js': APP }, async (directory) => {
    const path = join(directory, 'socket');
    const command = serve('module:./app.js', '-s', type, '--socket', path, '-w', '2');
    const program = await Program.start(command, { cwd: directory, ready: /^serving on / });
    try {
      await use(path, program);
    } finally {
      await program.stop();
    }
  });
}

/** Opens connections, and closes them when all have a worker. @returns the share of the worker that has fewer of them */
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
  const pid = /\r\n\r\n(\d+)/.exec(data.toString('latin1'))?.[1];
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
