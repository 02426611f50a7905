/**
 * The worker's side: runs in the child. Waits until it is told what to serve, serves, says that it lives, and ends when
 * it is told to or when the supervisor is gone. It never exits the process: the entry does, with the status from here.
 * A worker whose event loop stands still hears nothing; it is the supervisor that kills it.
 */
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { RestartReason, ServerStatus } from '../metrics/server-status.ts';
import { adoptListener, type Listener } from '../net/listener.ts';
import { attach, detach, type PassedConnection } from '../net/passed-connection.ts';
import { OWN_CODE } from '../own-files.ts';
import { timerMs } from '../timer.ts';
import { ConnectionShare } from './balance.ts';
import { Channel, type Order, type Reporter } from './channel.ts';
import { packError, unpackError } from './error-transfer.ts';
import { WORKER_BOOT_FAILED, WORKER_DONE, WORKER_ORPHANED } from './exit-codes.ts';
import type { BootMessage, StopMessage, WorkerLimits } from './messages.ts';
import { StallTable } from './stall-table.ts';
import type { StallThreadData } from './stall-thread.ts';

const STALL_THREAD = join(OWN_CODE, 'process/stall-thread.js');

/** What a worker's program has started: the part of a server's `Running` that is needed here. */
export interface WorkerRunning {
  readonly finished?: Promise<void> | undefined;
  /** `handOver` takes connections that may go on with somebody else, in the place of closing them. */
  close(options: { graceful: boolean; timeout: number; handOver?: (socket: Socket) => void }): Promise<void>;
  /** Takes a connection that somebody else has handed over. Absent: there are no such connections. */
  adopt?(socket: Socket): void;
}

/** What a worker's program can say to its supervisor. */
export interface WorkerControl {
  /** Aborted when this worker is told to end, or has nobody to work for any more. */
  readonly stopped: AbortSignal;
  /** Serve this error in the application's place: the version on disk does not load. */
  readonly failure: Error | undefined;
  /** Whether this is the first of the workers, or its successor: for what only one of them can have. */
  readonly isFirst: boolean;
  /** Adds files to those whose change causes a reload. */
  watch(files: readonly string[]): void;
  /** Likewise for what absolute patterns match, in the place of the patterns that were said before. */
  watchPatterns(patterns: readonly string[]): void;
  /**
   * Takes a request in hand, to be named if this worker has to be killed; returns what to call when it is done. Absent
   * where no `worker_timeout` is set.
   */
  readonly hold: ((what: string) => () => void) | undefined;
  /** To be called once a request, for `max_requests`. */
  countRequest(): void;
  /** Asks for a successor; this worker serves until that one is ready. `kind` is what it is counted by. */
  replace(reason: string, kind: RestartReason): void;
  /** How the whole server is. @throws Error where there is no supervisor any more, or it does not answer. */
  ask(): Promise<ServerStatus>;
  /** Called on USR1. It returns the descriptor that goes for standard error from then on, if there is a new one. */
  onReopenLogs(callback: () => number | undefined): void;
}

/**
 * Starts the program. `open` begins to accept on the inherited sockets: to be called when the application is loaded,
 * and followed by the handlers in the same turn, since from then on this worker takes connections from the others.
 */
export type WorkerStart<Boot> = (
  boot: Boot,
  open: () => Promise<readonly Listener[]>,
  control: WorkerControl,
) => Promise<WorkerRunning>;

/** Seconds that an orphan may still answer what it holds, and after which it ends in any case. */
const ORPHAN_DRAIN_S = 1;
const ORPHAN_LIMIT_MS = 1500;
/** On top of what the server takes for itself, before the process ends without it. */
const STOP_MARGIN_S = 0.5;
const MEMORY_CHECK_MS = 2000;
/** So much of what is counted is lost with a worker that is killed. */
const REPORT_MS = 1000;
const ASK_AGAIN_MS = 10_000;
const MIB = 1024 * 1024;

/**
 * Works for a supervisor until the end.
 * @param reporter says how this process is, whenever somebody wants to know
 * @returns The exit status for the process.
 */
export function runWorker<Boot>(start: WorkerStart<Boot>, reporter: Reporter): Promise<number> {
  const channel = new Channel<Boot>(reporter);
  return Promise.race([work(channel, start), channel.crashed]);
}

async function work<Boot>(channel: Channel<Boot>, start: WorkerStart<Boot>): Promise<number> {
  channel.say({ paster: 'loaded' });
  const first = await channel.next();
  if (first.paster !== 'boot') return first.paster === 'orphaned' ? WORKER_ORPHANED : WORKER_DONE;

  const stopping = new AbortController();
  const control = new Control(channel, first, stopping.signal);
  const end = channel.next();
  void end.then(() => stopping.abort());
  // While it waits for nobody else, a program that waits for nothing is to notice.
  process.channel?.unref();
  const share = first.place && new ConnectionShare(first.place);
  const booting = start(first.boot, () => openInherited(first, share), control).finally(() => process.channel?.ref());
  let running: WorkerRunning | 'stopped';
  try {
    running = await Promise.race([booting, end.then(() => 'stopped' as const)]);
  } catch (error) {
    await channel.say({ paster: 'failed', error: packError(error) });
    return WORKER_BOOT_FAILED;
  }
  if (running === 'stopped') {
    booting.catch(() => {});
    return WORKER_DONE;
  }
  control.begin();
  channel.isServing = true;
  channel.onConnection((connection) => adopt(running, connection, share));
  channel.say({ paster: 'ready' });
  const { finished } = running;
  const order = await (finished ? Promise.race([end, finished.then(() => FINISHED)]) : end);
  control.end();
  share?.close();
  return await close(running, order, channel);
}

const FINISHED: StopMessage = { paster: 'stop', graceful: true, timeout: 0, handOver: false, cause: 'finished' };

async function close<Boot>(running: WorkerRunning, order: Order<Boot>, channel: Channel<Boot>): Promise<number> {
  if (order.paster !== 'stop') {
    await within(ORPHAN_LIMIT_MS, running.close({ graceful: true, timeout: ORPHAN_DRAIN_S }));
    return WORKER_ORPHANED;
  }
  const { graceful, timeout, handOver, cause } = order;
  if (handOver) channel.onConnection((connection) => channel.pass(connection));
  const closing = running.close(
    handOver ? { graceful, timeout, handOver: (socket) => giveBack(socket, channel) } : { graceful, timeout },
  );
  channel.say({ paster: 'draining', cause });
  const closed = closing.then(() => channel.passed());
  await within(timerMs(timeout + STOP_MARGIN_S), Promise.race([closed, hurry(running, channel)]));
  return WORKER_DONE;
}

/** A harsher order, or a supervisor that dies while this one drains, cuts it short. */
async function hurry<Boot>(running: WorkerRunning, channel: Channel<Boot>): Promise<void> {
  for (;;) {
    const order = await channel.next();
    if (order.paster === 'orphaned') return delay(ORPHAN_LIMIT_MS);
    // Told twice: by the supervisor, and by who sends TERM to every process there is, as systemd does.
    if (order.paster === 'stop' && order.graceful) continue;
    return running.close({ graceful: false, timeout: 0 });
  }
}

function giveBack<Boot>(socket: Socket, channel: Channel<Boot>): void {
  const connection = detach(socket);
  // After the word that this worker drains, which is being said in this turn.
  if (connection) queueMicrotask(() => channel.pass(connection));
}

function adopt(running: WorkerRunning, connection: PassedConnection, share: ConnectionShare | undefined): void {
  // The server that hands over and the one that is given may speak different protocols by now.
  if (!running.adopt) {
    connection.close();
    return;
  }
  const socket = attach(connection);
  if (share) socket.once('close', share.adopt());
  running.adopt(socket);
}

async function openInherited<Boot>(
  { sockets }: BootMessage<Boot>,
  share: ConnectionShare | undefined,
): Promise<Listener[]> {
  const listeners = await Promise.all(
    sockets.map(({ fd, address, backlog }) => adoptListener(fd, address, { backlog })),
  );
  if (share) for (const listener of listeners) listener.observe((socket) => socket.once('close', share.accept()));
  share?.open();
  return listeners;
}

class Control<Boot> implements WorkerControl {
  readonly stopped: AbortSignal;
  readonly failure: Error | undefined;
  readonly isFirst: boolean;
  readonly hold: ((what: string) => () => void) | undefined;
  readonly #stalls: StallTable | undefined;
  readonly #channel: Channel<Boot>;
  readonly #limits: WorkerLimits;
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #lastRequest: number;
  #requests = 0;
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(channel: Channel<Boot>, { failure, limits, isFirst }: BootMessage<Boot>, stopped: AbortSignal) {
    this.stopped = stopped;
    this.failure = failure && unpackError(failure);
    this.#channel = channel;
    this.#limits = limits;
    this.isFirst = isFirst;
    const { maxRequests = 0, maxRequestsJitter = 0, stallMs } = limits;
    const stalls = stallMs === undefined ? undefined : new StallTable();
    this.#stalls = stalls;
    this.hold = stalls && ((what) => stalls.take(what));
    // 0 is "no limit", as flup and gunicorn have it.
    this.#lastRequest =
      maxRequests > 0 ? maxRequests + Math.floor(Math.random() * (maxRequestsJitter + 1)) : Number.POSITIVE_INFINITY;
  }

  watch(files: readonly string[]): void {
    if (files.length > 0) void this.#channel.say({ paster: 'watch', files });
  }

  watchPatterns(patterns: readonly string[]): void {
    void this.#channel.say({ paster: 'patterns', patterns });
  }

  countRequest(): void {
    if (++this.#requests >= this.#lastRequest) {
      this.replace(`has answered ${this.#lastRequest} requests`, 'max_requests');
    }
  }

  replace(reason: string, kind: RestartReason): void {
    // Asked again now and then: the successor may have failed to start.
    const now = performance.now();
    if (now - this.#askedAt < ASK_AGAIN_MS) return;
    this.#askedAt = now;
    void this.#channel.say({ paster: 'replace', reason, kind });
  }

  ask(): Promise<ServerStatus> {
    return this.#channel.ask();
  }

  onReopenLogs(callback: () => number | undefined): void {
    this.#channel.onReopen(() => {
      const output = callback();
      if (this.#stalls && output !== undefined) this.#stalls.output = output;
    });
  }

  begin(): void {
    const { heartbeatMs, stallMs, maxMemory = 0 } = this.#limits;
    if (heartbeatMs !== undefined) {
      this.#every(heartbeatMs, () => {
        this.#stalls?.beat();
        void this.#channel.say({ paster: 'beat' });
      });
    }
    if (this.#stalls && stallMs !== undefined) watchForStalls({ buffer: this.#stalls.buffer, limit: stallMs });
    this.#stalls?.beat();
    if (maxMemory > 0) {
      this.#every(MEMORY_CHECK_MS, () => {
        const used = Math.round(process.memoryUsage.rss() / MIB);
        if (used > maxMemory) this.replace(`uses ${used} MiB of memory`, 'max_memory');
      });
    }
    if (this.#channel.reporter.isCounting) this.#every(REPORT_MS, () => this.#channel.report());
  }

  end(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  #every(milliseconds: number, action: () => void): void {
    const timer = setInterval(action, milliseconds);
    timer.unref();
    this.#timers.push(timer);
  }
}

/** Its failure is no reason not to serve: the supervisor kills what stands still all the same. */
function watchForStalls(workerData: StallThreadData): void {
  const thread = new Worker(STALL_THREAD, { workerData, execArgv: [] });
  thread.on('error', () => {});
  thread.unref();
}

function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}

async function within(milliseconds: number, work: Promise<unknown>): Promise<void> {
  await Promise.race([work.catch(() => {}), delay(milliseconds)]);
}
