/** Starts a server with two workers, and measures it until it ends. */
import { readFileSync } from 'node:fs';
import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { ask, firstAnswer } from '../process/ask.js';

const WORKERS = 2;
const RELOADS = 10;
/** Clients of each kind, with new connections and with kept ones. */
const CLIENTS = 4;
const REQUESTS = 4000;
const LATENCY_MS = 5000;
const FAST_CLIENTS = 8;
/** Between a response and the client's next request. */
const REST_MS = 5;
const SETTLE_MS = 500;
const PATIENCE_MS = 20_000;
/** How long a client waits for a server that crashes. */
const LOST_MS = 1000;

/** @returns what MEASURES of bench/peers.js picks from */
export async function life(peer, port) {
  return { ...(await withWorkers(peer, port)), ...(peer.restarts ? { crash: await crash(peer, port) } : {}) };
}

async function withWorkers(peer, port) {
  const began = performance.now();
  const program = await peer.start(WORKERS);
  try {
    await firstAnswer(port);
    const start = performance.now() - began;
    await sleep(SETTLE_MS);
    await requests(port, REQUESTS, true);
    const memory = program.everyProcess().reduce((sum, pid) => sum + proportionalMemory(pid), 0);
    const cpuKept = await cpuOf(program, () => requests(port, REQUESTS, true));
    const cpuNew = await cpuOf(program, () => requests(port, REQUESTS, false));
    const latency = await besideSlow(port);
    return { start, memory, cpuKept, cpuNew, ...latency, ...(peer.reload ? await reloads(peer, program, port) : {}) };
  } finally {
    await program.stop();
  }
}

/** Microseconds of processor time for each request. */
async function cpuOf(program, use) {
  const before = program.cpu();
  await use();
  return (program.cpu() - before) / REQUESTS;
}

async function requests(port, count, keep) {
  let left = count;
  const client = async () => {
    const agent = keep && new Agent({ keepAlive: true, maxSockets: 1 });
    while (left-- > 0) await ask(port, { agent });
    if (agent) agent.destroy();
  };
  await Promise.all(Array.from({ length: FAST_CLIENTS }, client));
}

/** Fast requests on new connections while one client always waits for a slow one, which computes. */
async function besideSlow(port) {
  const until = performance.now() + LATENCY_MS;
  const times = [];
  const slow = async () => {
    while (performance.now() < until) await get(port, '/slow');
  };
  const fast = async () => {
    while (performance.now() < until) {
      const began = performance.now();
      await ask(port);
      times.push(performance.now() - began);
      await sleep(REST_MS);
    }
  };
  await Promise.all([slow(), ...Array.from({ length: FAST_CLIENTS }, fast)]);
  times.sort((one, other) => one - other);
  const percentile = (share) => times[Math.floor(times.length * share)];
  return { p95: percentile(0.95), p99: percentile(0.99) };
}

/** Reloads one after the other under load. A reload has ended when WORKERS new workers have responded. */
async function reloads(peer, program, port) {
  const seen = new Set();
  const outcome = { failedNew: 0, failedKept: 0, answered: 0 };
  let isOver = false;
  const client = async (keep) => {
    const agent = keep && new Agent({ keepAlive: true, maxSockets: 1 });
    while (!isOver) {
      try {
        const { status, body } = await ask(port, { agent, timeout: PATIENCE_MS });
        if (status !== 200) throw new Error(`status ${status}`);
        seen.add(body);
        outcome.answered++;
      } catch {
        outcome[keep ? 'failedKept' : 'failedNew']++;
      }
      await sleep(1);
    }
    if (agent) agent.destroy();
  };
  const clients = Array.from({ length: 2 * CLIENTS }, (_, index) => client(index < CLIENTS));
  try {
    for (let count = 0; count < RELOADS; count++) {
      await sleep(SETTLE_MS);
      const before = seen.size;
      const late = performance.now() + PATIENCE_MS;
      await peer.reload(program);
      while (seen.size < before + WORKERS && performance.now() < late) await sleep(5);
    }
  } finally {
    isOver = true;
    await Promise.all(clients);
  }
  return outcome;
}

/** Milliseconds from the crash of the only worker to the first response of another. */
async function crash(peer, port) {
  const program = await peer.start(1);
  try {
    const before = await firstAnswer(port);
    await sleep(2 * SETTLE_MS);
    const began = performance.now();
    await get(port, '/crash');
    // Another client comes every few milliseconds: a connection that node:cluster has passed to the dead worker is lost.
    return await new Promise((resolve) => {
      const asking = setInterval(async () => {
        const found = await ask(port, { timeout: LOST_MS }).catch(() => undefined);
        if (found?.status !== 200 || found.body === before) return;
        clearInterval(asking);
        resolve(performance.now() - began);
      }, REST_MS);
    });
  } finally {
    await program.stop();
  }
}

/** Sends a request; it may fail. */
async function get(port, path) {
  await ask(port, { path, timeout: LOST_MS }).catch(() => {});
}

/** Bytes of memory, with a process's share of what several processes have in common. */
function proportionalMemory(pid) {
  try {
    return Number(/^Pss:\s*(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]) * 1024;
  } catch {
    // It has ended.
    return 0;
  }
}
