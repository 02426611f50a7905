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
import { SupervisedWorkerControl, type WorkerControl } from './worker-control.ts';

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
 * Loads what every application needs, and nothing of the application. `rehearsal` is passed to a worker that need not boot yet.
 * `isOver` says whether it has to boot now, and so should stop.
 */
export type WorkerWarming<Boot> = (
  boot: Boot,
  rehearsal?: { isOver(): boolean; readonly number: number },
) => Promise<unknown>;

/** Prepares the process for what `boot` loads, and returns a function that imports a package exactly as the program would. */
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

/** What a spare worker can do before it has to boot. */
interface Spare<Boot> {
  readonly warm?: WorkerWarming<Boot>;
  readonly prepare?: WorkerPreparation<Boot>;
}

/**
 * Runs a worker until its end.
 * @returns The exit status for the process.
 */
export function runWorker<Boot>(
  start: WorkerStart<Boot>,
  reporter: Reporter,
  spare: Spare<Boot> = {},
): Promise<number> {
  const channel = new SupervisorChannel<Boot>(reporter);
  // Until an order gives this process time, it must end at once: the supervisor waits for that.
  endWithin(0);
  return Promise.race([work(channel, start, spare), channel.crashed]);
}

async function work<Boot>(
  channel: SupervisorChannel<Boot>,
  start: WorkerStart<Boot>,
  spare: Spare<Boot>,
): Promise<number> {
  const number = Number(process.env[WORKER_NUMBER]);
  delete process.env[WORKER_NUMBER];
  channel.send({ paster: 'loaded' });
  const { order, preloader } = await waitAsSpare(channel, spare, number);
  if (order.paster !== 'boot') return order.paster === 'orphaned' ? WORKER_ORPHANED : WORKER_DONE;
  const conflict = preloader?.lateConflict ?? (order.isConfigurationSame ? undefined : preloader?.variableSetter);
  if (conflict) {
    await channel.send({ paster: 'conflict', conflict });
    return WORKER_BOOT_FAILED;
  }
  return new BootedWorker(channel, order, preloader, number).run(start);
}

/**
 * Does what a spare worker does until it has to boot: it loads what every application needs, and imports packages.
 * @returns the order that ended the wait
 */
async function waitAsSpare<Boot>(
  channel: SupervisorChannel<Boot>,
  { warm, prepare }: Spare<Boot>,
  number: number,
): Promise<{ readonly order: Order<Boot>; readonly preloader: Preloader | undefined }> {
  let order = await channel.next();
  if (order.paster === 'warm') {
    // If something fails now, it fails again when it is needed. That error is reported.
    const rehearsal = order.rehearses ? { isOver: () => channel.hasUrgentOrder, number } : undefined;
    await warm?.(order.boot, rehearsal).catch(() => {});
    order = await channel.next();
  }
  if (order.paster !== 'preload') return { order, preloader: undefined };
  const preloader = await preloaderFor(order, channel);
  // If it cannot be prepared, it cannot be started either, and that error is reported.
  const importUnit = await prepare?.(order.boot, order.units).catch(() => undefined);
  if (importUnit) void preloader.run(importUnit);
  order = await channel.next();
  if (order.paster === 'boot') await preloader.stop();
  return { order, preloader };
}

/** A worker that has been told to load the application, from then until its end. */
class BootedWorker<Boot> {
  readonly #channel: SupervisorChannel<Boot>;
  readonly #boot: BootMessage<Boot>;
  readonly #preloader: Preloader | undefined;
  readonly #share: ConnectionShare | undefined;
  readonly #control: SupervisedWorkerControl<Boot>;
  readonly #listeners: Listener[] = [];
  /** The order that ends it. */
  readonly #end: Promise<Order<Boot>>;

  constructor(
    channel: SupervisorChannel<Boot>,
    boot: BootMessage<Boot>,
    preloader: Preloader | undefined,
    number: number,
  ) {
    this.#channel = channel;
    this.#boot = boot;
    this.#preloader = preloader;
    this.#share = boot.place && new ConnectionShare(boot.place, () => channel.reporter.isBusy());
    const stopping = new AbortController();
    const onEvaluated = () => preloader?.evaluated();
    this.#control = new SupervisedWorkerControl(channel, boot, { stopped: stopping.signal, number, onEvaluated });
    this.#end = channel.next();
    void this.#end.then((order) => {
      stopping.abort();
      endWithin(order.paster === 'stop' ? order.timeout : 0);
    });
  }

  /** Loads the application, and serves until the end. @returns the exit status */
  async run(start: WorkerStart<Boot>): Promise<number> {
    // While the program loads, the channel must not keep the process alive: then a program that waits for nothing is noticed.
    process.channel?.unref();
    setServingAddress(this.#boot.sockets[0]?.address);
    const booting = start(this.#boot.boot, () => this.#open(), this.#control).finally(() => process.channel?.ref());
    let running: WorkerRunning | 'stopped';
    try {
      // If the worker accepts connections already, it serves them first. Code that has begun is stopped below.
      const hasBegun = () => this.#listeners.length > 0 || this.#control.hasBegun;
      const stopped = this.#end.then(async () => (hasBegun() ? await booting : 'stopped'));
      running = await Promise.race([booting, stopped]);
    } catch (error) {
      await this.#channel.send({ paster: 'failed', error: packError(error) });
      return WORKER_BOOT_FAILED;
    }
    if (running === 'stopped') {
      booting.catch(() => {});
      return WORKER_DONE;
    }
    const order = await this.#serve(running);
    return await close(running, order, this.#channel);
  }

  /** Begins to accept connections, unless packages that were imported ahead do not fit the application. */
  async #open(): Promise<readonly Listener[]> {
    const { failure, asksToOpen } = this.#boot;
    const conflict = this.#preloader?.conflict();
    if (conflict && !failure) {
      await this.#channel.send({ paster: 'conflict', conflict });
      throw new Error(`${conflict.name} has changed after packages were imported`);
    }
    if (asksToOpen) await this.#channel.askToOpen();
    // The version that failed has shown this output already.
    if (failure) this.#preloader?.output.drop();
    else this.#preloader?.output.show();
    this.#listeners.push(...(await openInherited(this.#boot, this.#share)));
    // Connections that it accepts while it sends its last data would be cut off.
    void this.#channel.crashed.then(() => closeAll(this.#servers));
    return this.#listeners;
  }

  /** Serves, and stops accepting when it has to end. @returns the order to end */
  async #serve(running: WorkerRunning): Promise<Order<Boot>> {
    const channel = this.#channel;
    const share = this.#share;
    if (this.#boot.limits.reportsUntilReady) for (const name of Object.keys(REPORT_MODULES)) delete process.env[name];
    channel.childMemory = () => running.childMemory?.() ?? 0;
    this.#control.begin(share);
    channel.isServing = true;
    channel.onConnection((connection) => adopt(running, connection, share));
    channel.onSpread((count) => running.spread?.(count, (socket, server) => handBack(socket, server, channel)));
    const isStoppedBefore = this.#control.hasBegun && this.#control.stopped.aborted;
    if (!isStoppedBefore) channel.send({ paster: 'ready' });
    if (running.endsWhenIdle) process.channel?.unref();
    const { finished } = running;
    const order = await (finished ? Promise.race([this.#end, finished.then(() => FINISHED)]) : this.#end);
    this.#control.end();
    share?.close();
    if (order.paster === 'stop' && order.graceful && (!order.handOver || order.cause === 'signal')) {
      // A server that has ended by itself would not respond to what waits.
      if (order.cause === 'finished') closeAll(this.#servers);
      else await stopAccepting(this.#servers, order.timeout);
      await sleep(ALL_CLOSED_MS);
    }
    return order;
  }

  get #servers(): Server[] {
    return this.#listeners.map(({ server }) => server);
  }
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
    const close = () => running.close({ graceful: true, timeout: ORPHAN_DRAIN_S }).catch(() => {});
    await isDoneWithin(ORPHAN_LIMIT_S, close);
    return WORKER_ORPHANED;
  }
  const { graceful, timeout, handOver, cause } = order;
  if (handOver) channel.onConnection((connection) => channel.pass(connection));
  const end = (): Promise<void> => {
    const closing = running.close(
      handOver
        ? { graceful, timeout, handOver: (socket, server) => handBack(socket, server, channel) }
        : { graceful, timeout },
    );
    channel.send({ paster: 'draining', cause });
    const closed = closing.then(() => channel.allPassed());
    return Promise.race([closed, hurry(running, channel)]).catch(() => {});
  };
  const hasEnded = await isDoneWithin(timeout + STOP_MARGIN_S, end, { keepsProcess: !running.endsWhenIdle });
  if (!hasEnded && graceful) await channel.send({ paster: 'unfinished', seconds: timeout });
  return WORKER_DONE;
}

/** Resolves early on an order that is not graceful, or when the supervisor dies while this worker drains. */
async function hurry<Boot>(running: WorkerRunning, channel: SupervisorChannel<Boot>): Promise<void> {
  for (;;) {
    const order = await channel.next();
    if (order.paster === 'orphaned') return sleep(ORPHAN_LIMIT_S * 1000);
    // systemd sends TERM to every process, and the supervisor stops its workers too: then no worker can take over.
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
