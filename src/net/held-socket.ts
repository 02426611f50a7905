/**
 * Sockets that the supervisor holds for its workers. It never accepts on them itself: it keeps the descriptor, which
 * each worker inherits, so that connections wait in the kernel's queue whenever no worker is there to take them.
 *
 * Node's public way to open a socket accepts on it; `net._createServerHandle`, which its cluster module uses, does not.
 * The socket has to listen before there is a worker: only then does the kernel report a TCP address that is in use, a Unix
 * socket that does not listen looks stale to a program that starts at the same moment, and clients would be refused. In this
 * process Node would begin to accept, so another one calls `listen`: the first worker, and a short-lived child (40 ms) for a
 * socket that a reload adds.
 */
import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { getSystemErrorName } from 'node:util';
import { RunError } from '../errors.ts';
import { fstatSocket } from '../files/socket-stat.ts';
import type { Address, DescriptorAddress, TcpAddress, UnixAddress } from './address.ts';
import { bindError } from './bind-errors.ts';
import type { InheritedListener, ShareableSocket } from './inherited-sockets.ts';
import { type BindOptions, DEFAULT_BACKLOG } from './listener.ts';
import {
  canWaitForConnections,
  createServerHandle,
  isServerHandle,
  type ServerHandle,
  serverHandleOf,
  whenConnectionWaits,
} from './node-internals/handles.ts';
import { OwnedFile } from './socket-publication.ts';
import { SocketFile } from './unix-socket.ts';

/** An open socket that other processes accept on. */
export interface HeldSocket extends ShareableSocket {
  readonly fd: number;
  /** Whether it listened before this process had it. */
  readonly wasListening: boolean;
  /** Calls a function once a connection waits to be accepted, and accepts nothing. @returns what ends the wait */
  whenConnectionWaits(onWaiting: () => void): () => void;
  /** Closes it and removes the socket file if that is still this process's. Workers that have inherited it keep it. */
  close(): Promise<void>;
}

/** Makes a socket listen in another process. @returns whether it listens */
export type ListenElsewhere = (fd: number, backlog: number) => Promise<boolean>;

/** A socket that workers can inherit already, and that connections cannot reach before `listen`. */
export interface BoundSocket extends HeldSocket {
  /** @param elsewhere makes it listen in a process that has inherited it. Without it, or if it fails, a child does so. */
  listen(elsewhere?: ListenElsewhere): Promise<void>;
}

/** Opens a socket without accepting on it. */
export async function holdSocket(address: Address, options: BindOptions = {}): Promise<HeldSocket> {
  const socket = await bindSocket(address, options);
  try {
    await socket.listen();
  } catch (error) {
    await socket.close();
    throw error;
  }
  return socket;
}

/** The same, but it does not listen yet: workers can start meanwhile. */
export async function bindSocket(address: Address, options: BindOptions = {}): Promise<BoundSocket> {
  const backlog = options.backlog ?? DEFAULT_BACKLOG;
  const throwBindError = (error: unknown): never => {
    throw bindError(error, address);
  };
  const { inherited } = options;
  const socket = inherited ? holdInherited(inherited) : await bindKind(address, backlog, options).catch(throwBindError);
  return { ...socket, listen: (elsewhere) => socket.listen(elsewhere).catch(throwBindError) };
}

async function bindKind(address: Address, backlog: number, options: BindOptions): Promise<BoundSocket> {
  switch (address.kind) {
    case 'tcp':
      return await bindTcp(address, backlog, options.ipv6Only ? IPV6_ONLY : 0);
    case 'unix':
      return await bindUnix(address, backlog, options);
    case 'fd':
      return holdDescriptor(address, backlog);
  }
}

async function bindTcp(address: TcpAddress, backlog: number, flags: number): Promise<BoundSocket> {
  const { address: host, family } = await process.getBuiltinModule('node:dns/promises').lookup(address.host);
  const handle = createHandle(host, address.port, family === 6 ? 6 : 4, flags);
  const name: { port?: number } = {};
  // libuv reports EADDRINUSE only when the name is asked for.
  const status = handle.getsockname?.(name) ?? 0;
  if (status !== 0) {
    handle.close();
    throw systemError(status);
  }
  return {
    address: { kind: 'tcp', host: address.host, port: name.port ?? address.port },
    fd: handle.fd,
    backlog,
    wasListening: false,
    ownedFile: () => undefined,
    listen: (elsewhere) => listenIn(elsewhere, handle.fd, backlog),
    whenConnectionWaits: (onWaiting) => whenConnectionWaits(handle, onWaiting),
    close: () => closeHandle(handle),
  };
}

async function bindUnix(address: UnixAddress, backlog: number, options: BindOptions): Promise<BoundSocket> {
  const bind = (path: string) => createHandle(path, -1, -1);
  const file = await SocketFile.bind(address.path, options, bind, (handle) => handle.close());
  const handle = file.bound;
  let published: OwnedFile | undefined;
  return {
    address,
    fd: handle.fd,
    backlog,
    wasListening: false,
    ownedFile: () => published,
    async listen(elsewhere) {
      await listenIn(elsewhere, handle.fd, backlog);
      published = await file.publish();
    },
    whenConnectionWaits: (onWaiting) => whenConnectionWaits(handle, onWaiting),
    close() {
      if (published) published.remove();
      else file.discard();
      return closeHandle(handle);
    },
  };
}

function holdDescriptor(address: DescriptorAddress, backlog: number): BoundSocket {
  if (!fstatSocket(address.fd).isSocket()) throw bindError(undefined, address);
  return holdInherited({ address, fd: address.fd, backlog });
}

/** A socket that listens already: another process has opened it. */
function holdInherited({ address, fd, backlog, file: claim }: InheritedListener): BoundSocket {
  const file = claim && address.kind === 'unix' ? new OwnedFile(address.path, claim, false) : undefined;
  let open = true;
  /** Made when it is first needed, which few servers do. It owns the descriptor then. */
  let handle: ServerHandle | undefined;
  return {
    address,
    fd,
    backlog,
    wasListening: true,
    ownedFile: () => file,
    listen: () => Promise.resolve(),
    whenConnectionWaits(onWaiting) {
      handle ??= serverHandleOf(fd);
      if (!handle) throw noHandles();
      return whenConnectionWaits(handle, onWaiting);
    },
    async close() {
      file?.remove();
      if (open && handle) await closeHandle(handle);
      else if (open) closeSync(fd);
      open = false;
    },
  };
}

/** Whether a connection waits to be accepted. False if this Node cannot tell. */
export async function hasWaiting(sockets: readonly HeldSocket[]): Promise<boolean> {
  if (sockets.length === 0 || !canWaitForConnections()) return false;
  let waits = false;
  const note = (): void => {
    waits = true;
  };
  const ends = sockets.map((socket) => socket.whenConnectionWaits(note));
  // Between two turns of the event loop, Node looks for connections.
  await turn();
  await turn();
  for (const end of ends) end();
  return waits;
}

/** Closes sockets, except those that stay. */
export function closeSockets(sockets: readonly HeldSocket[], kept: readonly HeldSocket[] = []): Promise<unknown> {
  return Promise.all(sockets.filter((socket) => !kept.includes(socket)).map((socket) => socket.close()));
}

/** Closes a socket that this process has taken over and does not use, and removes its file. */
export async function closeInherited(inherited: InheritedListener): Promise<void> {
  const socket = holdInherited(inherited);
  socket.ownedFile()?.take();
  await socket.close();
}

async function listenIn(elsewhere: ListenElsewhere | undefined, fd: number, backlog: number): Promise<void> {
  if (!(await elsewhere?.(fd, backlog))) await listenInChild(fd, backlog);
}

// It closes before the event loop turns, so that it accepts nothing and the program ends by itself.
const LISTEN = `
const [backlog] = process.argv.slice(1);
const server = require('node:net').createServer();
server.on('error', (error) => {
  process.stderr.write(error.code);
  process.exitCode = 1;
});
server.listen({ fd: 3 }, Number(backlog), () => server.close());
`;

/** Calls `listen(2)` in a child: listening is a property of the socket, not of the process, and outlives the child. */
function listenInChild(fd: number, backlog: number): Promise<void> {
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

/** libuv's UV_TCP_IPV6ONLY. */
const IPV6_ONLY = 1;

/** Binds without listening. */
function createHandle(address: string, port: number, type: 4 | 6 | -1, flags = 0): ServerHandle {
  const handle = createServerHandle()?.(address, port, type, undefined, flags);
  if (typeof handle === 'number') throw systemError(handle);
  if (!isServerHandle(handle)) throw noHandles();
  return handle;
}

function noHandles(): RunError {
  return new RunError('PASTER_NO_HANDLES', `Node ${process.version} cannot open a listening socket for workers`, {
    hint: 'leave out "workers", or use Node 20, 22, 24 or 26',
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
