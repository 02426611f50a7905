/**
 * The entry of a second thread in a worker, which looks into the main thread while that may be blocked: for `paster control`, and
 * with a `worker_timeout` shortly before the supervisor kills the worker. It does not keep the process alive.
 */
import { writeSync } from 'node:fs';
import { Session } from 'node:inspector';
import { setTimeout as sleep } from 'node:timers/promises';
import { workerData } from 'node:worker_threads';
import { printable } from '../../printable.ts';
import { mainThread } from './inspection.ts';
import { serveInspections } from './inspection-pipe.ts';
import { StallTable } from './stall-table.ts';

/** What the thread is started with. */
export interface InspectionThreadData {
  /** The pipe to the supervisor. */
  readonly fd: number;
  /** With a `worker_timeout`. */
  readonly stalls: StallLimits | undefined;
}

interface StallLimits {
  readonly buffer: SharedArrayBuffer;
  /** Milliseconds of silence after which the supervisor kills the process. */
  readonly limit: number;
}

/** The part of the limit after which to write: early enough to finish, and late enough that few workers recover. */
const PART = 0.8;

/**
 * When the main thread has been blocked for nearly `limit` milliseconds, writes the requests in flight and the main thread's stack
 * to standard error. A main thread that waits for the system (execSync) cannot be paused; then a line says so. Never resolves.
 */
async function watchForStalls({ buffer, limit }: StallLimits): Promise<never> {
  const pause = Math.min(1000, limit / 20);
  const table = new StallTable(buffer);
  for (;;) {
    const before = performance.now();
    await sleep(pause);
    // If this thread slept too, the machine was suspended.
    const wasSuspended = performance.now() - before > pause + limit / 2;
    if (wasSuspended || table.silence < limit * PART) continue;
    writeRecord(table);
    await writeStack(table, (limit * (1 - PART)) / 2);
    // Once for each time that the main thread is blocked.
    while (table.silence >= limit * PART) await sleep(pause);
  }
}

function writeRecord(table: StallTable): void {
  const { requests, more } = table.read();
  const lines = requests.map(({ what, milliseconds }) => `  ${what}, for ${(milliseconds / 1000).toFixed(1)} s`);
  if (more > 0) lines.push(`  and ${more} more`);
  const held = lines.length === 0 ? 'no request in flight' : 'these requests in flight:';
  const blocked = (table.silence / 1000).toFixed(1);
  write(table, [`paster: error: worker ${process.pid} has been blocked for ${blocked} s, with ${held}`, ...lines]);
}

async function writeStack(table: StallTable, limit: number): Promise<void> {
  const session = new Session();
  session.connectToMainThread();
  const found = await mainThread(session, limit);
  write(
    table,
    found
      ? ['it is here:', ...found.frames.map((frame) => `  ${frame}`)]
      : ['it waits for the system, in something like execSync: there is no stack to show'],
  );
  session.disconnect();
}

/** Writes to the descriptor: the streams of a thread go through the main thread, which is blocked. */
function write({ output }: StallTable, lines: readonly string[]): void {
  try {
    writeSync(output, lines.map((line) => `${printable(line)}\n`).join(''));
  } catch {
    // The terminal is gone, or the disk is full.
  }
}

const { fd, stalls } = workerData as InspectionThreadData;
serveInspections(fd);
if (stalls) await watchForStalls(stalls);
