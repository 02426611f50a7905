/**
 * Where a Unix socket's file comes from and goes to. A socket is bound under a temporary name beside its path, given
 * its mode and owner, and only then moved to its path: nobody ever sees it with other permissions, and libuv, which
 * deletes the name that it has bound when it closes a socket, has nothing to delete.
 *
 * Whatever stands at the path already is asked first: a live socket is never taken over, a stale one is replaced, and
 * what is not a socket is never touched.
 */
import { chmodSync, chownSync, linkSync, lstatSync, renameSync, unlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { platform } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { ConfigError, errorCode, errorMessage, RunError } from '../errors.ts';
import { groupId, userId } from './account.ts';

/** What `[server:*]` says about a socket file. `mode` wins over `umask`; both are numbers already, not digits. */
export interface FileOptions {
  readonly mode?: number | undefined;
  readonly umask?: number | undefined;
  readonly owner?: string | number | undefined;
  readonly group?: string | number | undefined;
}

/** A file's identity: the socket that was made under this name, and no other. */
interface Identity {
  readonly dev: bigint;
  readonly ino: bigint;
  // Inode numbers are used again at once on some file systems.
  readonly mtimeNs: bigint;
}

const DEFAULT_MODE = 0o660;
const PROBE_LIMIT_MS = 2000;
const MAX_TRIES = 20;
/** `sun_path` less its closing zero byte. */
const LONGEST_PATH = platform() === 'darwin' ? 103 : 107;

/** Refuses a path that the kernel would cut short. */
export function checkPathLength(path: string): void {
  const bytes = Buffer.byteLength(path);
  if (bytes <= LONGEST_PATH) return;
  throw new ConfigError(
    'PASTER_SOCKET_PATH',
    `the socket path ${path} is too long: ${bytes} bytes, ${LONGEST_PATH} are possible`,
    { hint: 'use a directory nearer to the root, such as /run/NAME', setting: 'socket' },
  );
}

/** Gives a socket that is bound under a temporary name its owner and mode. The owner first: chown can clear bits. */
export function setPermissions(file: string, options: FileOptions): void {
  if (options.owner !== undefined) {
    giveAway(file, 'socket_owner', options.owner, userId(options.owner, 'socket_owner'), KEEP);
  }
  if (options.group !== undefined) {
    giveAway(file, 'socket_group', options.group, KEEP, groupId(options.group, 'socket_group'));
  }
  chmodSync(file, socketMode(options));
}

/** The mode that a socket file gets. */
export function socketMode({ mode, umask }: FileOptions): number {
  return mode ?? (umask === undefined ? DEFAULT_MODE : 0o777 & ~umask);
}

/** For chown: as it is. */
const KEEP = -1;

function giveAway(file: string, setting: string, whom: string | number, uid: number, gid: number): void {
  try {
    chownSync(file, uid, gid);
  } catch (cause) {
    throw new RunError('PASTER_SOCKET_OWNER', `cannot give the socket to ${whom}: ${errorMessage(cause)}`, {
      hint: 'only root can give files away; a group that this user is a member of works without',
      setting,
      cause,
    });
  }
}

/**
 * Calls `bind` with names in the directory of `path` until one is free. Not longer than the path itself, so that a
 * path of the full length still works.
 */
export async function bindUnderTemporaryName<T>(
  path: string,
  bind: (file: string) => T | Promise<T>,
): Promise<{ file: string; bound: T }> {
  for (let tries = 1; ; tries++) {
    const file = join(dirname(path), temporaryName(Buffer.byteLength(basename(path))));
    // A path as short as `s` is soon met by chance.
    if (file === join(path)) continue;
    try {
      return { file, bound: await bind(file) };
    } catch (error) {
      if (errorCode(error) !== 'EADDRINUSE' || tries >= MAX_TRIES) throw error;
    }
  }
}

/**
 * Moves a listening socket from its temporary name to its path. It has to listen already: another process that starts
 * at the same moment would take it for stale.
 * @returns removes the file, if it is still this one and this is still the process that made it.
 */
export async function publish(temporary: string, path: string): Promise<() => void> {
  const identity = identify(temporary);
  if (!identity) throw new RunError('PASTER_SOCKET_LOST', `the socket for ${path} was deleted while it was made`);
  try {
    for (let tries = 1; ; tries++) {
      if (place(temporary, path)) break;
      const found = identify(path);
      if (found) {
        refuseUnlessSocket(path);
        await refuseIfLive(path);
        discardStale(path, found);
      }
      if (tries === MAX_TRIES) throw inUse(path);
    }
  } finally {
    removeQuietly(temporary);
  }
  const maker = process.pid;
  return () => {
    if (process.pid !== maker) return;
    const found = identify(path);
    if (found && same(found, identity)) removeQuietly(path);
  };
}

export function removeQuietly(file: string): void {
  try {
    unlinkSync(file);
  } catch {
    // Gone already, or in a directory that has become read-only: nothing that could be done about it here.
  }
}

/** `link` and not `rename`: it fails when the name is taken, whoever was quicker. */
function place(temporary: string, path: string): boolean {
  try {
    linkSync(temporary, path);
    return true;
  } catch (error) {
    const code = errorCode(error);
    if (code === 'EEXIST') return false;
    // File systems without hard links (some mounts of containers and macOS): the race is lost, the rest still holds.
    if (code === 'EPERM' || code === 'ENOTSUP' || code === 'EOPNOTSUPP' || code === 'EMLINK') {
      if (identify(path)) return false;
      renameSync(temporary, path);
      return true;
    }
    throw error;
  }
}

function refuseUnlessSocket(path: string): void {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (!stat || stat.isSocket()) return;
  const kind = stat.isDirectory() ? 'a directory' : stat.isSymbolicLink() ? 'a symbolic link' : 'a file';
  throw new RunError('PASTER_SOCKET_NOT_A_SOCKET', `${path} is ${kind}, not a socket: it is left alone`, {
    hint: 'move it away, or use another socket path',
  });
}

async function refuseIfLive(path: string): Promise<void> {
  const code = await probe(path);
  switch (code) {
    case 'ECONNREFUSED':
    case 'ENOENT':
      return;
    case 'EACCES':
    case 'EPERM':
      throw new RunError('PASTER_SOCKET_FORBIDDEN', `cannot tell whether a server listens on ${path}: no permission`, {
        hint: 'it belongs to another user; remove it by hand if nothing uses it',
      });
    default:
      // Connected, or alive in some other way: a full backlog (EAGAIN), a datagram socket (EPROTOTYPE), no answer.
      throw inUse(path);
  }
}

function inUse(path: string): RunError {
  return new RunError('PASTER_LISTEN_EADDRINUSE', `the socket ${path} is in use by another program`, {
    hint: 'stop that one, or use another path: --socket PATH',
  });
}

/** The errno of an attempt to connect; undefined when somebody listens. */
function probe(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const done = (code: string | undefined) => {
      socket.destroy();
      resolve(code);
    };
    socket.setTimeout(PROBE_LIMIT_MS, () => done('ETIMEDOUT'));
    socket.once('connect', () => done(undefined));
    socket.on('error', (error) => done(errorCode(error) ?? 'UNKNOWN'));
  });
}

/**
 * Takes a stale socket out of the way. It is moved aside and looked at again before it is deleted: between the probe
 * and now another process may have put its own, live one there, and that one goes back.
 */
function discardStale(path: string, probed: Identity): void {
  const aside = join(dirname(path), temporaryName(10));
  try {
    renameSync(path, aside);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return;
    throw error;
  }
  const moved = identify(aside);
  if (moved && !same(moved, probed)) {
    try {
      linkSync(aside, path);
    } catch {
      // A third one has taken the name in the meantime; the next round of `publish` asks that one.
    }
  }
  removeQuietly(aside);
}

function identify(file: string): Identity | undefined {
  const stat = lstatSync(file, { bigint: true, throwIfNoEntry: false });
  return stat && { dev: stat.dev, ino: stat.ino, mtimeNs: stat.mtimeNs };
}

function same(one: Identity, other: Identity): boolean {
  return one.dev === other.dev && one.ino === other.ino && one.mtimeNs === other.mtimeNs;
}

function temporaryName(longest: number): string {
  const length = Math.max(1, Math.min(longest, 10));
  // No digits: Node takes a path of nothing else for a port.
  const letters = Array.from({ length }, () => (10 + Math.floor(Math.random() * 26)).toString(36)).join('');
  return length < 4 ? letters : `.${letters.slice(1)}`;
}
