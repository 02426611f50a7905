/**
 * Sockets that the supervisor holds for its workers. It never accepts on them itself: it keeps the descriptor, which
 * each worker inherits, so that connections wait in the kernel's queue whenever no worker is there to take them.
 *
 * Node can only open a socket to accept on it, but for `net._createServerHandle`, which its own cluster module uses.
 * The socket has to listen before there is a worker: a TCP address that is in use shows only then, a Unix socket that
 * does not listen looks stale to a program that starts at the same moment, and clients would be refused. In this process
 * Node would begin to accept, so a short-lived child does the `listen` (40 ms, once).
 */
import { spawn } from 'node:child_process';
import { lookup } from 'node:dns/promises';
import { closeSync, fstatSync } from 'node:fs';
import net from 'node:net';
import { getSystemErrorName } from 'node:util';
import { RunError } from '../errors.ts';
import type { Address, DescriptorAddress, TcpAddress, UnixAddress } from './address.ts';
import { bindError } from './bind-errors.ts';
import { type BindOptions, DEFAULT_BACKLOG } from './listener.ts';
import { SocketFile } from './unix-socket.ts';

/** An open socket that other processes accept on. */
export interface HeldSocket {
  /** Where it really is, the port filled in. */
  readonly address: Address;
  readonly fd: number;
  readonly backlog: number;
  /** Lets it go, and removes the socket file if it is still this process's. Workers that have it keep it. */
  close(): Promise<void>;
}

/** Opens a socket without accepting on it. */
export async function holdSocket(address: Address, options: BindOptions = {}): Promise<HeldSocket> {
  const backlog = options.backlog ?? DEFAULT_BACKLOG;
  try {
    switch (address.kind) {
      case 'tcp':
        return await holdTcp(address, backlog, options.ipv6Only ? IPV6_ONLY : 0);
      case 'unix':
        return await holdUnix(address, backlog, options);
      case 'fd':
        return holdDescriptor(address, backlog);
    }
  } catch (error) {
    throw bindError(error, address);
  }
}

async function holdTcp(address: TcpAddress, backlog: number, flags: number): Promise<HeldSocket> {
  const { address: host, family } = await lookup(address.host);
  const handle = createHandle(host, address.port, family === 6 ? 6 : 4, flags);
  const name: { port?: number } = {};
  // libuv keeps EADDRINUSE back until somebody asks.
  const status = handle.getsockname?.(name) ?? 0;
  if (status !== 0) {
    handle.close();
    throw systemError(status);
  }
  try {
    await listenElsewhere(handle.fd, backlog);
  } catch (error) {
    handle.close();
    throw error;
  }
  return {
    address: { kind: 'tcp', host: address.host, port: name.port ?? address.port },
    fd: handle.fd,
    backlog,
    close: () => closeHandle(handle),
  };
}

async function holdUnix(address: UnixAddress, backlog: number, options: BindOptions): Promise<HeldSocket> {
  const bind = (path: string) => createHandle(path, -1, -1);
  const file = await SocketFile.bind(address.path, options, bind, (handle) => handle.close());
  const handle = file.bound;
  try {
    await listenElsewhere(handle.fd, backlog);
    const remove = await file.publish();
    return {
      address,
      fd: handle.fd,
      backlog,
      close() {
        remove();
        return closeHandle(handle);
      },
    };
  } catch (error) {
    file.discard();
    handle.close();
    throw error;
  }
}

function holdDescriptor(address: DescriptorAddress, backlog: number): HeldSocket {
  if (!fstatSync(address.fd).isSocket()) throw bindError(undefined, address);
  let open = true;
  return {
    address,
    fd: address.fd,
    backlog,
    async close() {
      if (open) closeSync(address.fd);
      open = false;
    },
  };
}

// Closing at once, before the event loop turns: nothing is accepted here, and the program ends by itself.
const LISTEN = `
const [backlog] = process.argv.slice(1);
const server = require('node:net').createServer();
server.on('error', (error) => {
  process.stderr.write(error.code);
  process.exitCode = 1;
});
server.listen({ fd: 3 }, Number(backlog), () => server.close());
`;

/** Has a child call `listen(2)`: it is a property of the socket, not of the process, and outlives the child. */
function listenElsewhere(fd: number, backlog: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--eval', LISTEN, String(backlog)], {
      stdio: ['ignore', 'ignore', 'pipe', fd],
      env: {},
    });
    let code = '';
    child.stderr?.on('data', (data) => {
      code += data;
    });
    child.once('error', reject);
    child.once('close', (status) => {
      if (status === 0) resolve();
      else if (/^E[A-Z]+$/.test(code)) reject(Object.assign(new Error(code), { code }));
      else reject(new Error(`the process that should listen ended with status ${status}: ${code}`));
    });
  });
}

/** The part of Node's internal TCP and Pipe handles that is used here. */
interface ServerHandle {
  readonly fd: number;
  close(callback?: () => void): void;
  getsockname?(name: object): number;
}

type CreateServerHandle = (address: string, port: number, type: number, fd?: number, flags?: number) => unknown;

/** Binds without listening. The only place that uses Node's private interface. */
/** libuv's UV_TCP_IPV6ONLY. */
const IPV6_ONLY = 1;

function createHandle(address: string, port: number, type: 4 | 6 | -1, flags = 0): ServerHandle {
  const create = '_createServerHandle' in net ? net._createServerHandle : undefined;
  if (typeof create !== 'function') throw noHandles();
  const handle = (create as CreateServerHandle)(address, port, type, undefined, flags);
  if (typeof handle === 'number') throw systemError(handle);
  if (!isServerHandle(handle)) throw noHandles();
  return handle;
}

function isServerHandle(value: unknown): value is ServerHandle {
  return (
    typeof value === 'object' &&
    value !== null &&
    'fd' in value &&
    typeof value.fd === 'number' &&
    value.fd >= 0 &&
    'close' in value &&
    typeof value.close === 'function'
  );
}

function noHandles(): RunError {
  return new RunError('PASTER_NO_HANDLES', `Node ${process.version} offers no way to hold a socket for workers`, {
    hint: 'leave out "workers", or use Node 20, 22 or 24',
  });
}

function systemError(status: number): Error {
  const code = getSystemErrorName(status);
  return Object.assign(new Error(code), { code });
}

function closeHandle(handle: ServerHandle): Promise<void> {
  return new Promise((resolve) => {
    // A handle that is closed already never calls back.
    if (handle.fd < 0) resolve();
    else handle.close(resolve);
  });
}
