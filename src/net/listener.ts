/**
 * Listeners for the process that accepts on them: opened here, or adopted from the supervisor that holds the socket.
 * A server gets `listener.server` and adds its 'connection' handler to it. It must not pass it to the `listen()` of another
 * net.Server: Node supports that only for TCP (on a Unix socket it fails with EEXIST).
 */
import { closeSync, openSync } from 'node:fs';
import { createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import { devNull } from 'node:os';
import { type Address, markOwnServer, type TcpAddress, type UnixAddress } from './address.ts';
import { bindError } from './bind-errors.ts';
import { allowDirectAccept, type ConnectionObserver } from './direct/accept.ts';
import type { InheritedListener, ShareableSocket } from './inherited-sockets.ts';
import { descriptorOf } from './node-internals/handles.ts';
import { OwnedFile } from './socket-publication.ts';
import { type FileOptions, SocketFile } from './unix-socket.ts';

export interface BindOptions extends FileOptions {
  /** Connections that may wait to be accepted; the kernel may allow fewer. */
  readonly backlog?: number | undefined;
  /** Takes no IPv4 connections, which `::` otherwise does. */
  readonly ipv6Only?: boolean | undefined;
  /** The same socket, if a predecessor has opened it: then nothing is bound. */
  readonly inherited?: InheritedListener | undefined;
}

/** An open socket that this process accepts on. */
export interface Listener extends ShareableSocket {
  /** Listens already. Connections that come before the first 'connection' handler is added wait for it. */
  readonly server: Server;
  /** Adds a function to call for each connection, before the server's own handler. To be called before that is added. */
  observe(onConnection: ConnectionObserver): void;
  /** Stops accepting and removes the socket file if this process made it. Open connections stay open. */
  close(): Promise<void>;
}

export const DEFAULT_BACKLOG = 1024;

/** Opens a listener of this process's own. */
export async function openListener(address: Address, options: BindOptions = {}): Promise<Listener> {
  const { inherited } = options;
  if (inherited) return adoptListener(inherited.fd, inherited.address, inherited);
  try {
    switch (address.kind) {
      case 'tcp':
        return await openTcp(address, options);
      case 'unix':
        return await openUnix(address, options);
      case 'fd':
        return await adoptListener(address.fd, address, options);
    }
  } catch (error) {
    throw bindError(error, address);
  }
}

/**
 * A listener on a descriptor that another process has opened: the supervisor, systemd, a web server. `address` is what
 * it was opened as, for messages. Closing it closes this process's copy, and removes the file only if this process has taken it
 * over.
 */
export async function adoptListener(
  fd: number,
  address: Address,
  { backlog = DEFAULT_BACKLOG, file }: Pick<BindOptions, 'backlog'> & Pick<InheritedListener, 'file'> = {},
): Promise<Listener> {
  const server = newServer();
  try {
    await listening(server, { fd, backlog });
  } catch (error) {
    throw bindError(error, address);
  }
  if (fd <= LAST_STANDARD_DESCRIPTOR) closeDescriptorWith(server, fd);
  const owned = file && address.kind === 'unix' ? new OwnedFile(address.path, file, false) : undefined;
  return wrap(server, actualAddress(server, address), backlog, owned);
}

/**
 * Makes the socket of a descriptor listen, and closes the descriptor: other descriptors of the socket listen from then on.
 * Nothing is accepted, since the descriptor closes before the event loop turns.
 */
export function listenOnly(fd: number, backlog: number): Promise<void> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ fd }, backlog, () => server.close(() => resolve()));
  });
}

const LAST_STANDARD_DESCRIPTOR = 2;

/**
 * libuv never closes descriptors 0 to 2. A socket left open there would go on listening, and clients that connect while the
 * last requests are finished would wait in vain. /dev/null replaces it, so that the next file does not get its number.
 */
function closeDescriptorWith(server: Server, fd: number): void {
  const stop = server.close.bind(server);
  let open = true;
  server.close = (callback) => {
    const closed = stop(callback);
    if (open) {
      open = false;
      closeSync(fd);
      openSync(devNull, 'r+');
    }
    return closed;
  };
}

async function openTcp(address: TcpAddress, options: BindOptions): Promise<Listener> {
  const server = newServer();
  const { backlog = DEFAULT_BACKLOG } = options;
  // Exclusive: in a worker of node:cluster this stays a socket of this process.
  await listening(server, {
    host: address.host,
    port: address.port,
    backlog,
    ipv6Only: options.ipv6Only ?? false,
    exclusive: true,
  });
  return wrap(server, actualAddress(server, address), backlog);
}

async function openUnix(address: UnixAddress, options: BindOptions): Promise<Listener> {
  const { backlog = DEFAULT_BACKLOG } = options;
  const bind = async (path: string) => {
    const server = newServer();
    await listening(server, { path, backlog, exclusive: true });
    return server;
  };
  const file = await SocketFile.bind(address.path, options, bind, (server) => server.close());
  const server = file.bound;
  try {
    return wrap(server, address, backlog, await file.publish());
  } catch (error) {
    server.close();
    throw error;
  }
}

function newServer(): Server {
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  markOwnServer(server);
  return server;
}

function listening(server: Server, options: ListenOptions & { fd?: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // The backlog again as an argument: for a descriptor Node reads it only here.
    server.listen(options, options.backlog, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function actualAddress(server: Server, address: Address): Address {
  const actual = server.address();
  if (typeof actual !== 'object' || actual === null) return address;
  // The host stays as it was written: `localhost` says more than the address that it resolved to.
  return { kind: 'tcp', host: address.kind === 'tcp' ? address.host : actual.address, port: actual.port };
}

function wrap(server: Server, address: Address, backlog: number, file?: OwnedFile): Listener {
  const early = holdEarlyConnections(server);
  // A server closes the net.Server that it was given. As in Node, the socket file is removed then, and not when the last
  // connection has ended, which may be long after.
  const stop = server.close.bind(server);
  // Node returns the temporary name, and nothing at all for a descriptor.
  if (address.kind === 'unix') server.address = () => address.path;
  server.close = (callback) => {
    file?.remove();
    return stop(callback);
  };
  return {
    address,
    server,
    backlog,
    get fd() {
      return descriptorOf(server);
    },
    ownedFile: () => file,
    observe: early.observe,
    async close() {
      early.drop();
      if (server.listening) server.close();
      // The descriptor itself is closed in the next turn of the event loop.
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

/**
 * Sockets may be open long before the application is loaded. Connections that come in the meantime are kept and passed to the
 * first 'connection' handler. Observers only look at connections, so they are added together with that handler.
 */
function holdEarlyConnections(server: Server): Pick<Listener, 'observe'> & { readonly drop: () => void } {
  const held = new Set<Socket>();
  const observers: ConnectionObserver[] = [];
  allowDirectAccept(server, observers);
  const ignore = () => {};
  const hold = (socket: Socket) => {
    // A client that resets a waiting connection must not end the process.
    socket.on('error', ignore);
    held.add(socket);
    socket.once('close', () => held.delete(socket));
  };
  const release = (event: string | symbol) => {
    if (event !== 'connection') return;
    server.off('newListener', release);
    server.off('connection', hold);
    for (const observer of observers) server.on('connection', observer);
    // The handler is added when this returns.
    queueMicrotask(() => {
      for (const socket of held) {
        socket.off('error', ignore);
        server.emit('connection', socket);
      }
      held.clear();
    });
  };
  server.on('connection', hold);
  server.on('newListener', release);
  return {
    observe: (onConnection) => void observers.push(onConnection),
    drop() {
      for (const socket of held) socket.destroy();
      held.clear();
    },
  };
}
