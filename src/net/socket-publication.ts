/**
 * Gives a bound Unix socket the name that clients know, and takes the name away again. What is at the path already is asked
 * first: a live socket is never taken over, a stale one is replaced, and a file that is not a socket is left alone.
 */
import { linkSync, lstatSync, renameSync, unlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { errorCode, RunError } from '../errors.ts';
import { asUser, type FileUser } from '../user-files.ts';

/** A file's identity: the socket that was made under this name, and no other. */
interface Identity {
  readonly dev: bigint;
  readonly ino: bigint;
  // Inode numbers are used again at once on some file systems.
  readonly mtimeNs: bigint;
}

const PROBE_LIMIT_MS = 2000;
const MAX_TRIES = 20;

/**
 * Moves a listening socket from its temporary name to its path.
 * @param user with whose rights root does it
 * @returns removes the file, if it is still this one and this is still the process that made it.
 */
export async function publish(temporary: string, path: string, user: FileUser | undefined): Promise<() => void> {
  const identity = asUser(user, () => identify(temporary));
  if (!identity) throw lost(path);
  try {
    for (let tries = 1; ; tries++) {
      const found = asUser(user, () => (place(temporary, path) ? undefined : (identify(path) ?? 'gone')));
      if (found === undefined) break;
      if (found !== 'gone') {
        asUser(user, () => refuseUnlessSocket(path));
        await refuseIfLive(path, user);
        asUser(user, () => discardStale(path, found));
      }
      if (tries === MAX_TRIES) throw inUse(path);
    }
  } finally {
    asUser(user, () => removeQuietly(temporary));
  }
  const maker = process.pid;
  return () => {
    if (process.pid !== maker) return;
    asUser(user, () => {
      const found = identify(path);
      if (found && same(found, identity)) removeQuietly(path);
    });
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

async function refuseIfLive(path: string, user: FileUser | undefined): Promise<void> {
  const code = await probe(path, user);
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
function probe(path: string, user: FileUser | undefined): Promise<string | undefined> {
  return new Promise((resolve) => {
    // Node connects to a path before this returns.
    const socket = asUser(user, () => connect(path));
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

export function temporaryName(longest: number): string {
  const length = Math.max(1, Math.min(longest, 10));
  // No digits: Node takes a path of nothing else for a port.
  const letters = Array.from({ length }, () => (10 + Math.floor(Math.random() * 26)).toString(36)).join('');
  return length < 4 ? letters : `.${letters.slice(1)}`;
}

export function lost(path: string): RunError {
  return new RunError('PASTER_SOCKET_LOST', `the socket for ${path} was deleted while it was made`);
}
