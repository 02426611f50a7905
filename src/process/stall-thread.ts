/**
 * A second thread in a worker with a `worker_timeout`. When the main thread has stood still for nearly that long, it
 * writes down what the worker has in hand and where its JavaScript is, shortly before the supervisor kills the process.
 * A main thread that waits for the system (execSync) does not stop to be looked at; that is said.
 */
import { writeSync } from 'node:fs';
import { type Debugger, type InspectorNotification, Session } from 'node:inspector';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { workerData } from 'node:worker_threads';
import { printable } from '../errors.ts';
import { StallTable } from './stall-table.ts';

/** What the thread is started with. */
export interface StallThreadData {
  readonly buffer: SharedArrayBuffer;
  /** When the supervisor kills, in milliseconds of silence. */
  readonly limit: number;
}

/** Early enough to be done before the end, late enough that hardly anybody comes back from there. */
const PART = 0.8;
const FRAMES = 20;

const { buffer, limit } = workerData as StallThreadData;
const PAUSE_MS = Math.min(1000, limit / 20);
const table = new StallTable(buffer);
const pid = process.pid;

// Ends with the process: it does not keep it alive.
for (;;) {
  const before = performance.now();
  await sleep(PAUSE_MS);
  // If this thread slept as well (a suspended machine), the other one cannot be blamed for its silence.
  const blameless = performance.now() - before > PAUSE_MS + limit / 2;
  if (blameless || table.silence < limit * PART) continue;
  writeRecord();
  await writeStack();
  // Once for each time that it stands still.
  while (table.silence >= limit * PART) await sleep(PAUSE_MS);
}

function writeRecord(): void {
  const { inHand, more } = table.read();
  const lines = inHand.map(({ what, milliseconds }) => `  ${what}, for ${(milliseconds / 1000).toFixed(1)} s`);
  if (more > 0) lines.push(`  and ${more} more`);
  const held = lines.length === 0 ? 'no request in hand' : 'these requests in hand:';
  write([
    `paster: error: worker ${pid} has stood still for ${(table.silence / 1000).toFixed(1)} s, with ${held}`,
    ...lines,
  ]);
}

async function writeStack(): Promise<void> {
  const session = new Session();
  session.connectToMainThread();
  const paused = new Promise<InspectorNotification<Debugger.PausedEventDataType>>((resolve) => {
    session.once('Debugger.paused', resolve);
  });
  // The frames of an ECMAScript module come without its URL; the list of scripts has it.
  const urls = new Map<string, string>();
  session.on('Debugger.scriptParsed', ({ params }) => urls.set(params.scriptId, params.url));
  session.post('Debugger.enable');
  session.post('Debugger.pause');
  const event = await Promise.race([paused, sleep((limit * (1 - PART)) / 2)]);
  const frames = event?.params.callFrames.slice(0, FRAMES).map((frame) => describe(frame, urls));
  write(
    frames
      ? ['it is here:', ...frames]
      : ['it waits for the system, in something like execSync: there is no stack to show'],
  );
  if (event) session.post('Debugger.resume');
  session.disconnect();
}

function describe({ functionName, location }: Debugger.CallFrame, urls: ReadonlyMap<string, string>): string {
  const url = urls.get(location.scriptId) ?? '';
  const file = url.startsWith('file:') ? fileURLToPath(url) : url;
  return `  at ${functionName || '<anonymous>'} (${file}:${location.lineNumber + 1}:${(location.columnNumber ?? 0) + 1})`;
}

/** Straight to the descriptor: the streams of a thread go through the main thread, which stands still. */
function write(lines: readonly string[]): void {
  try {
    writeSync(table.output, lines.map((line) => `${printable(line)}\n`).join(''));
  } catch {
    // A terminal that is gone, a full disk.
  }
}
