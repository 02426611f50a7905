/**
 * Gives a bound Unix socket its path, and removes it again. An existing file at the path is examined first: a socket that
 * another program listens on is never replaced, a stale one is, and a file that is not a socket is left alone.
 */
import { linkSync, lstatSync, renameSync, unlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { errorCode, RunError } from '../errors.ts';
import { lstatSocket } from '../files/socket-stat.ts';
import { asUser, type FileUser } from '../files/user-files.ts';

/** Distinguishes the socket that was made under a name from a later one. */
interface FileIdentity {
  readonly dev: string;
  readonly ino: string;
  // Some file systems reuse inode numbers at once.
  readonly mtimeNs: string;
}

/** The right to remove the file of a socket, as plain data for another process. */
export interface FileClaim extends FileIdentity {
  readonly user: FileUser | undefined;
}

/** The file of a socket, which one process may remove: the one that made it, or a later one that has taken it over. */
export class OwnedFile {
  readonly claim: FileClaim;
  readonly #path: string;
  #owner: number | undefined;

  /** @param isTaken whether this process may remove it already */
  constructor(path: string, claim: FileClaim, isTaken: boolean) {
    this.#path = path;
    this.claim = claim;
    this.#owner = isTaken ? process.pid : undefined;
  }

  /** From now on this process may remove it. */
  take(): void {
    this.#owner = process.pid;
  }

  /** From now on another process may remove it. */
  leave(): void {
    this.#owner = undefined;
  }

  /** Removes the file, if it is still the same one and this is the process that may. */
  remove(): void {
    if (process.pid !== this.#owner) return;
    asUser(this.claim.user, () => {
      const found = identify(this.#path);
      if (found && isSameFile(found, this.claim)) removeIfPossible(this.#path);
    });
  }
}

const PROBE_LIMIT_MS = 2000;
const MAX_TRIES = 20;

/**
 * Moves a listening socket from its temporary name to its path.
 * @param user the user whose rights root takes on for it
 */
export async function publish(temporary: string, path: string, user: FileUser | undefined): Promise<OwnedFile> {
  const identity = asUser(user, () => identify(temporary));
  if (!identity) throw socketLost(path);
  try {
    for (let tries = 1; ; tries++) {
      const found = asUser(user, () => (linkUnlessTaken(temporary, path) ? undefined : (identify(path) ?? 'gone')));
      if (found === undefined) break;
      if (found !== 'gone') {
        asUser(user, () => refuseUnlessSocket(path));
        await refuseIfLive(path, user);
        asUser(user, () => discardStale(path, found));
      }
      if (tries === MAX_TRIES) throw inUse(path);
    }
  } finally {
    asUser(user, () => removeIfPossible(temporary));
  }
  return new OwnedFile(path, { ...identity, user }, true);
}

export function removeIfPossible(file: string): void {
  try {
    unlinkSync(file);
  } catch {
    // Removed already, or in a directory that has become read-only: nothing can be done about it here.
  }
}

/** By `link` and not `rename`, since it fails if another process has taken the name meanwhile. */
function linkUnlessTaken(temporary: string, path: string): boolean {
  try {
    linkSync(temporary, path);
    return true;
  } catch (error) {
    const code = errorCode(error);
    if (code === 'EEXIST') return false;
    // File systems without hard links (some mounts of containers and macOS): two processes at the same moment can collide.
    if (code === 'EPERM' || code === 'ENOTSUP' || code === 'EOPNOTSUPP' || code === 'EMLINK') {
      if (identify(path)) return false;
      renameSync(temporary, path);
      return true;
    }
    throw error;
  }
}

function refuseUnlessSocket(path: string): void {
  const stat = lstatSocket(path);
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
      // Connected, or in use in another way: a full backlog (EAGAIN), a datagram socket (EPROTOTYPE), no response.
      throw inUse(path);
  }
}

function inUse(path: string): RunError {
  return new RunError('PASTER_LISTEN_EADDRINUSE', `the socket ${path} is in use by another program`, {
    hint: 'stop that one, or use another path: --socket PATH',
    setting: 'socket',
  });
}

/** The error code of an attempt to connect; undefined if a program listens. */
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
 * Removes a stale socket. It is renamed and examined again before it is deleted: since the probe another process may have
 * put its own socket there, which then gets its name back.
 */
function discardStale(path: string, probed: FileIdentity): void {
  const aside = join(dirname(path), temporaryName(10));
  try {
    renameSync(path, aside);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return;
    throw error;
  }
  const moved = identify(aside);
  if (moved && !isSameFile(moved, probed)) {
    try {
      linkSync(aside, path);
    } catch {
      // A third process has taken the name meanwhile; the next attempt of `publish` probes its socket.
    }
  }
  removeIfPossible(aside);
}

function identify(file: string): FileIdentity | undefined {
  const stat = lstatSync(file, { bigint: true, throwIfNoEntry: false });
  return stat && { dev: String(stat.dev), ino: String(stat.ino), mtimeNs: String(stat.mtimeNs) };
}

function isSameFile(one: FileIdentity, other: FileIdentity): boolean {
  return one.dev === other.dev && one.ino === other.ino && one.mtimeNs === other.mtimeNs;
}

export function temporaryName(longest: number): string {
  const length = Math.max(1, Math.min(longest, 10));
  // No digits: Node takes a path of digits alone for a port.
  const letters = Array.from({ length }, () => (10 + Math.floor(Math.random() * 26)).toString(36)).join('');
  return length < 4 ? letters : `.${letters.slice(1)}`;
}

export function socketLost(path: string): RunError {
  return new RunError('PASTER_SOCKET_LOST', `the socket for ${path} was deleted while paster was creating it`);
}
