/** Serves one application on one server, or on several at once: from ready to close. */
import type { Server as NetServer, Socket } from 'node:net';
import { errorMessage, PasterError, RunError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { meter } from '../../metrics/meter.ts';
import type { Address, Endpoint } from '../../net/address.ts';
import type { ConnectionObserver } from '../../net/direct/accept.ts';
import { passOn, stopAccepting } from '../../net/direct/waiting.ts';
import type { App, CloseOptions, Running, ServeOptions } from '../../protocol/types.ts';
import type { Context } from '../context.ts';
import { asLoadingStep } from '../loading-step.ts';
import { placeInStack } from '../modules/error-place.ts';
import { guardOverload, type OverloadGuard, type OverloadLimits } from './overload.ts';

/** A listener to serve on; `address` is the address that it was opened with, if known. */
export interface ServedListener {
  readonly server: NetServer;
  readonly address?: Address;
  /** Calls a function for each connection, before the server's own handler. */
  observe(onConnection: ConnectionObserver): void;
  close(): Promise<void>;
}

/** One of the servers that serve an application. */
export interface ServingMember {
  /** The name of its section. */
  readonly name: string;
  readonly server: ServingServer;
}

/** What a server does when it serves. */
export interface ServingServer {
  readonly scheme: string;
  /** @throws ConfigError for a server runner, which takes no listeners */
  refuseRunner(): void;
  /** When its processes refuse requests. `context` is that of the application: where monitoring is mounted. */
  overloadLimits(context: Context | undefined): Promise<OverloadLimits>;
  /** The application with its requests counted or watched, as the meter is set. */
  metered(app: App, listeners: readonly ServedListener[]): App;
  /** Serves an application that is ready and metered. The caller closes both. */
  start(app: App, listeners: readonly ServedListener[], options: ServeOptions): Promise<Running>;
}

export interface ServingOptions {
  /** Default: none. */
  readonly log?: Logger | undefined;
  /** See ServeOptions. */
  readonly isFirst: boolean;
  /** The context of the application: where monitoring is mounted. */
  readonly context?: Context | undefined;
}

/** An application that is served. */
export interface Serving {
  readonly endpoints: readonly Endpoint[];
  /** As `Running.finished`. */
  readonly finished?: Promise<void>;
  /** As `Running.close`. */
  close(options?: Omit<CloseOptions, 'handOver'> & { readonly handOver?: HandOver }): Promise<void>;
  /** As `Running.adopt`. A connection of a server that is not among these closes. */
  adopt(socket: Socket, server?: string): void;
  /** As `Running.spread`: each server gives up its part. */
  spread(count: number, handOver: HandOver): void;
}

/** Takes a connection of one of the servers. */
export type HandOver = (socket: Socket, server: string) => void;

/**
 * Awaits the application's `ready()`, then opens the listeners, and calls the application's `close()` when all servers are
 * closed or one of them cannot start.
 * @param open returns the listeners of each server
 */
export async function serveTogether(
  servers: readonly ServingMember[],
  app: App,
  open: () => Promise<readonly (readonly ServedListener[])[]>,
  options: ServingOptions,
): Promise<Serving> {
  for (const { server } of servers) server.refuseRunner();
  await awaitReady(app);
  const { started, guard } = await start(servers, app, open, options);
  let closed: Promise<void> | undefined;
  let notified: Promise<void> | undefined;
  /** Resolves when the listeners are closed. */
  let stopped: Promise<void> | undefined;
  const finished = started.flatMap(({ running }) => running.finished ?? []);
  const accepting = started.flatMap(({ listeners }) => listeners.map(({ server }) => server));
  const notify = (): Promise<void> => {
    notified ??= notifyDraining(app, options.log);
    return notified;
  };
  const end: Serving['close'] = ({ handOver, ...how } = {}) => {
    // First, so that the servers wait for these connections.
    passOn(accepting);
    const first = closed ? undefined : notify();
    const drained = started.map(({ name, running }) =>
      running.close({
        ...how,
        ...(handOver ? { handOver: countLeaving((socket) => handOver(socket, name)) } : {}),
        ...(first ? { notified: first } : {}),
      }),
    );
    closed ??= Promise.all(drained).then(async () => {
      guard.end();
      await Promise.all(started.flatMap(({ listeners }) => listeners.map((listener) => listener.close())));
      await app.close?.();
    });
    return closed;
  };
  return {
    endpoints: endpointsOf(started),
    ...(finished.length > 0 ? { finished: Promise.all(finished).then(() => {}) } : {}),
    ...connectionExchange(started),
    close(how = {}) {
      const open = accepting.filter(({ listening }) => listening);
      // With `handOver`, another process accepts what waits.
      if (how.graceful === false || how.handOver || open.length === 0) return end(how);
      void notify();
      stopped ??= stopAccepting(open, how.timeout);
      return stopped.then(() => end(how));
    },
  };
}

interface Started extends ServingMember {
  readonly listeners: readonly ServedListener[];
  readonly running: Running;
}

function endpointsOf(started: readonly Started[]): readonly Endpoint[] {
  return started.flatMap(({ server, listeners, running }) =>
    listeners.flatMap((listener, index) => {
      const address: Address | undefined = listener.address ?? running.addresses[index];
      return address ? [{ scheme: server.scheme, address }] : [];
    }),
  );
}

/** How connections come from other processes and go to them. */
function connectionExchange(started: readonly Started[]): Pick<Serving, 'adopt' | 'spread'> {
  return {
    adopt(socket, name) {
      const owner = started.find((each) => each.name === name) ?? (name === undefined ? onlyOne(started) : undefined);
      // Its client makes another connection.
      if (!owner?.running.adopt) return void socket.destroy();
      if (meter().isCounting) meter().connected(socket);
      owner.running.adopt(socket);
    },
    spread(count, handOver) {
      const part = Math.ceil(count / started.length);
      for (const { name, running } of started) {
        running.spread?.(
          part,
          countLeaving((socket) => handOver(socket, name)),
        );
      }
    },
  };
}

/** If a server cannot start, closes the application, so that its resources do not keep the process alive. */
async function start(
  servers: readonly ServingMember[],
  app: App,
  open: () => Promise<readonly (readonly ServedListener[])[]>,
  { log, isFirst, context }: ServingOptions,
): Promise<{ readonly started: readonly Started[]; readonly guard: OverloadGuard }> {
  const limits = await servers[0]?.server.overloadLimits(context);
  let opened: readonly (readonly ServedListener[])[] = [];
  let starting: readonly Promise<Started>[] = [];
  const guard = guardOverload(limits, log);
  try {
    opened = await open();
    // All in one turn: from now on there may be connections.
    starting = servers.map(async ({ name, server }, index) => {
      const listeners = opened[index] ?? [];
      const guarded = guard.around(server.metered(app, listeners));
      const running = await server.start(guarded, listeners, { isFirst, ...(log ? { log } : {}) });
      return { name, server, listeners, running };
    });
    return { started: await Promise.all(starting), guard };
  } catch (error) {
    guard.end();
    await Promise.allSettled([
      ...starting.map(async (each) => (await each).running.close({ graceful: false })),
      ...opened.flat().map((listener) => listener.close()),
      (async () => app.close?.())(),
    ]);
    throw error;
  }
}

function onlyOne<T>(list: readonly T[]): T | undefined {
  return list.length === 1 ? list[0] : undefined;
}

/** @throws RunError if the application's `ready()` fails. */
async function awaitReady(app: App): Promise<void> {
  try {
    if (app.ready) await asLoadingStep({ what: 'the application', location: undefined }, () => app.ready?.());
  } catch (error) {
    if (error instanceof PasterError) throw error;
    throw new RunError('PASTER_NOT_READY', `the application's ready() failed: ${errorMessage(error)}`, {
      cause: error,
      location: placeInStack(error),
    });
  }
}

/** Counts a connection as long as this process has it: until it is handed to another process. */
function countLeaving(handOver: (socket: Socket) => void): (socket: Socket) => void {
  return (socket) => {
    meter().left(socket);
    handOver(socket);
  };
}

/** A failing `drain()` does not keep the server from closing. */
async function notifyDraining(app: App, log: Logger | undefined): Promise<void> {
  try {
    await app.drain?.();
  } catch (error) {
    log?.error(`the application's drain() failed: ${errorMessage(error)}`);
  }
}
