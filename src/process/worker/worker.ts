/**
 * The life of a worker process: waits for the boot message, serves, sends heartbeats, and ends on a stop message or when the
 * supervisor is gone. It does not exit the process: the entry does, with the status from here. A worker whose event loop is
 * blocked receives nothing; the supervisor kills it.
 */
import type { Server, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { setServingAddress } from '../../net/address.ts';
import { closeAll, stopAccepting } from '../../net/direct/waiting.ts';
import { adoptListener, type Listener } from '../../net/listener.ts';
import { isDoneWithin } from '../../timer.ts';
import { WORKER_BOOT_FAILED, WORKER_DONE, WORKER_ORPHANED } from '../ipc/child-exit.ts';
import { attach, detach, type PassedConnection, type PassSocket } from '../ipc/connection-handover.ts';
import { packError } from '../ipc/error-transfer.ts';
import {
  type BootMessage,
  type PreloadMessage,
  REPORT_MODULES,
  type StopMessage,
  WORKER_NUMBER,
} from '../ipc/messages.ts';
import type { Unit } from '../preload/loaded-module.ts';
import type { Preloader, UnitImporter } from '../preload/preloader.ts';
import { endWithin } from '../program/last-task.ts';
import { ConnectionShare } from './accept-balancer.ts';
import { type Order, type Reporter, SupervisorChannel } from './supervisor-channel.ts';
import { SupervisorControl, type WorkerControl } from './worker-control.ts';

/** A server that a worker has started: the part of `Running` that is needed here. */
export interface WorkerRunning {
  readonly finished?: Promise<void> | undefined;
  /** Whether it ends when nothing is left in the process that it could wait for. */
  readonly endsWhenIdle?: boolean | undefined;
  /** Bytes of memory that its child processes hold. */
  childMemory?(): number;
  /** `handOver` takes connections that another worker can continue; without it they are closed. */
  close(options: { graceful: boolean; timeout: number; handOver?: PassSocket }): Promise<void>;
  /** Takes a connection that `server` of another worker has handed over. Absent: nothing is handed over. */
  adopt?(socket: Socket, server?: string): void;
  /** Gives up some kept connections, so that their clients move to other workers; 0: no more. Absent: they stay. */
  spread?(count: number, handOver: PassSocket): void;
}

/**
 * Starts the program. `open` begins to accept on the inherited sockets. Call it when the application is loaded, and add the
 * handlers in the same turn: from then on this worker gets connections.
 */
export type WorkerStart<Boot> = (
  boot: Boot,
  open: () => Promise<readonly Listener[]>,
  control: WorkerControl,
) => Promise<WorkerRunning>;

/**
 * Loads what every application needs, and nothing of the application. `rehearsal` is there for a worker that may take its
 * time: whether it has to boot now, and should stop, and the worker's number.
 */
export type WorkerWarming<Boot> = (
  boot: Boot,
  rehearsal?: { isOver(): boolean; readonly number: number },
) => Promise<unknown>;

/** Prepares the process for what `boot` loads, and returns what imports a package exactly as the program would. */
export type WorkerPreparation<Boot> = (boot: Boot, units: readonly Unit[]) => Promise<UnitImporter>;

/** Seconds that a worker without a supervisor may take to finish its requests, and the limit after which it ends anyway. */
const ORPHAN_DRAIN_S = 1;
const ORPHAN_LIMIT_S = 1.5;
/** How long the server may take beyond its own limit before the process ends anyway. */
const STOP_MARGIN_S = 0.5;
/**
 * How long a worker waits until the other workers have closed their copies of the sockets too. A client whose connection is closed
 * makes another one at once, and the kernel resets those that wait for `accept` when the last copy is closed: with two workers,
 * 4 of 30,391 requests in 58 stops.
 */
const ALL_CLOSED_MS = 50;

/**
 * Runs a worker until its end.
 * @returns The exit status for the process.
 */
export function runWorker<Boot>(
  start: WorkerStart<Boot>,
  reporter: Reporter,
  spare: { readonly warm?: WorkerWarming<Boot>; readonly prepare?: WorkerPreparation<Boot> } = {},
): Promise<number> {
  const channel = new SupervisorChannel<Boot>(reporter);
  // Until an order gives it time, the supervisor waits for its end.
  endWithin(0);
  return Promise.race([work(channel, start, spare), channel.crashed]);
}

async function work<Boot>(
  channel: SupervisorChannel<Boot>,
  start: WorkerStart<Boot>,
  { warm, prepare }: { readonly warm?: WorkerWarming<Boot>; readonly prepare?: WorkerPreparation<Boot> },
): Promise<number> {
  const number = Number(process.env[WORKER_NUMBER]);
  delete process.env[WORKER_NUMBER];
  channel.send({ paster: 'loaded' });
  let first = await channel.next();
  if (first.paster === 'warm') {
    // What fails now fails again when it is needed, and that error is reported.
    const rehearsal = first.rehearses ? { isOver: () => channel.isBootWaiting, number } : undefined;
    await warm?.(first.boot, rehearsal).catch(() => {});
    first = await channel.next();
  }
  let preloader: Preloader | undefined;
  if (first.paster === 'preload') {
    preloader = await preloaderFor(first, channel);
    // If it cannot be prepared, it cannot be started either, and that error is reported.
    const importUnit = await prepare?.(first.boot, first.units).catch(() => undefined);
    if (importUnit) void preloader.run(importUnit);
    first = await channel.next();
    if (first.paster === 'boot') await preloader.stop();
    const readsConfiguration = first.paster === 'boot' && !first.isConfigurationSame;
    const unfit = preloader.late ?? (readsConfiguration ? preloader.variableSetter : undefined);
    if (unfit) {
      await channel.send({ paster: 'conflict', conflict: unfit });
      return WORKER_BOOT_FAILED;
    }
  }
  if (first.paster !== 'boot') return first.paster === 'orphaned' ? WORKER_ORPHANED : WORKER_DONE;

  const stopping = new AbortController();
  const onEvaluated = () => preloader?.evaluated();
  const control = new SupervisorControl(channel, first, { stopped: stopping.signal, number, onEvaluated });
  const end = channel.next();
  void end.then(() => stopping.abort());
  void end.then((order) => endWithin(order.paster === 'stop' ? order.timeout : 0));
  // While the program loads, the channel must not keep the process alive: then a program that waits for nothing is noticed.
  process.channel?.unref();
  const share = first.place && new ConnectionShare(first.place, () => channel.reporter.isBusy());
  setServingAddress(first.sockets[0]?.address);
  const listeners: Listener[] = [];
  const open = async () => {
    const conflict = preloader?.conflict();
    if (conflict && !first.failure) {
      await channel.send({ paster: 'conflict', conflict });
      throw new Error(`${conflict.name} has changed after packages were imported`);
    }
    if (first.asksToOpen) await channel.askToOpen();
    // The version that has failed has shown it already.
    if (first.failure) preloader?.output.drop();
    else preloader?.output.show();
    listeners.push(...(await openInherited(first, share)));
    // What it accepts while it sends its last data would be cut off.
    void channel.crashed.then(() => closeAll(serversOf(listeners)));
    return listeners;
  };
  const booting = start(first.boot, open, control).finally(() => process.channel?.ref());
  let running: WorkerRunning | 'stopped';
  try {
    // If it accepts connections already, it serves them first. What it runs is stopped below.
    const stopped = end.then(async () => (listeners.length > 0 || control.hasBegun ? await booting : 'stopped'));
    running = await Promise.race([booting, stopped]);
  } catch (error) {
    await channel.send({ paster: 'failed', error: packError(error) });
    return WORKER_BOOT_FAILED;
  }
  if (running === 'stopped') {
    booting.catch(() => {});
    return WORKER_DONE;
  }
  if (first.limits.reportsUntilReady) for (const name of Object.keys(REPORT_MODULES)) delete process.env[name];
  channel.childMemory = () => running.childMemory?.() ?? 0;
  control.begin(share);
  channel.isServing = true;
  channel.onConnection((connection) => adopt(running, connection, share));
  channel.onSpread((count) => running.spread?.(count, (socket, server) => handBack(socket, server, channel)));
  const isStoppedBefore = control.hasBegun && stopping.signal.aborted;
  if (!isStoppedBefore) channel.send({ paster: 'ready' });
  if (running.endsWhenIdle) process.channel?.unref();
  const { finished } = running;
  const order = await (finished ? Promise.race([end, finished.then(() => FINISHED)]) : end);
  control.end();
  share?.close();
  if (order.paster === 'stop' && order.graceful && (!order.handOver || order.cause === 'signal')) {
    // A server that has ended by itself would not answer what waits.
    if (order.cause === 'finished') closeAll(serversOf(listeners));
    else await stopAccepting(serversOf(listeners), order.timeout);
    await sleep(ALL_CLOSED_MS);
  }
  return await close(running, order, channel);
}

async function preloaderFor<Boot>(
  { units, writtenVariables, observed }: PreloadMessage<Boot>,
  channel: SupervisorChannel<Boot>,
): Promise<Preloader> {
  // Loaded late: the first worker starts without it, and without the parts of Node that it observes.
  const { Preloader } = await import('../preload/preloader.ts');
  return new Preloader({
    units,
    writtenVariables,
    observed,
    onImport: (index) => void channel.send({ paster: 'preloading', index }),
    onImported: (index, effects) => void channel.send({ paster: 'imported', index, effects }),
  });
}

const FINISHED: StopMessage = { paster: 'stop', graceful: true, timeout: 0, handOver: false, cause: 'finished' };

async function close<Boot>(
  running: WorkerRunning,
  order: Order<Boot>,
  channel: SupervisorChannel<Boot>,
): Promise<number> {
  if (order.paster !== 'stop') {
    const closed = running.close({ graceful: true, timeout: ORPHAN_DRAIN_S }).catch(() => {});
    await isDoneWithin(ORPHAN_LIMIT_S, closed);
    return WORKER_ORPHANED;
  }
  const { graceful, timeout, handOver, cause } = order;
  if (handOver) channel.onConnection((connection) => channel.pass(connection));
  const closing = running.close(
    handOver
      ? { graceful, timeout, handOver: (socket, server) => handBack(socket, server, channel) }
      : { graceful, timeout },
  );
  channel.send({ paster: 'draining', cause });
  const closed = closing.then(() => channel.allPassed());
  const ended = Promise.race([closed, hurry(running, channel)]).catch(() => {});
  const hasEnded = await isDoneWithin(timeout + STOP_MARGIN_S, ended, { keepsProcess: !running.endsWhenIdle });
  if (!hasEnded && graceful) await channel.send({ paster: 'unfinished', seconds: timeout });
  return WORKER_DONE;
}

/** Resolves early on an order that is not graceful, or when the supervisor dies while this worker drains. */
async function hurry<Boot>(running: WorkerRunning, channel: SupervisorChannel<Boot>): Promise<void> {
  for (;;) {
    const order = await channel.next();
    if (order.paster === 'orphaned') return sleep(ORPHAN_LIMIT_S * 1000);
    // systemd sends TERM to every process, and the supervisor stops its workers too: then none of them goes on.
    if (order.paster === 'stop' && order.graceful) {
      if (!order.handOver) void running.close({ graceful: true, timeout: order.timeout });
      continue;
    }
    endWithin(0);
    return running.close({ graceful: false, timeout: 0 });
  }
}

function handBack<Boot>(socket: Socket, server: string | undefined, channel: SupervisorChannel<Boot>): void {
  const connection = detach(socket, server);
  // After the message that this worker drains, which is sent in this turn.
  if (connection) queueMicrotask(() => channel.pass(connection));
}

function adopt(running: WorkerRunning, connection: PassedConnection, share: ConnectionShare | undefined): void {
  // The old server and the new one may speak different protocols.
  if (!running.adopt) {
    connection.close();
    return;
  }
  const socket = attach(connection);
  if (share) socket.once('close', share.adopt());
  running.adopt(socket, connection.server);
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

function serversOf(listeners: readonly Listener[]): Server[] {
  return listeners.map(({ server }) => server);
}
