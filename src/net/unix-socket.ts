/**
 * Makes the files of Unix sockets. A socket is bound under a temporary name in the directory of its path, gets its mode and
 * owner, and only then its name: no other user ever sees it with other permissions, and libuv, which deletes the name that it
 * has bound when it closes a socket, finds nothing to delete.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  lchownSync,
  lstatSync,
  openSync,
  type Stats,
  statSync,
} from 'node:fs';
import { platform } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { ConfigError, errorCode, errorMessage, RunError } from '../errors.ts';
import { findUser, groupId, groupsOf, nameOfGroup, nameOfUser, userId } from '../files/passwd.ts';
import { exposureOf, O_PATH } from '../files/path-steps.ts';
import { fstatSocket } from '../files/socket-stat.ts';
import { asUser, type FileUser } from '../files/user-files.ts';
import { type OwnedFile, publish, removeIfPossible, socketLost, temporaryName } from './socket-publication.ts';

/** The settings of `[server:*]` for a socket file. `mode` overrides `umask`; both are numbers. */
export interface FileOptions {
  readonly mode?: number | undefined;
  readonly umask?: number | undefined;
  readonly owner?: string | number | undefined;
  readonly group?: string | number | undefined;
}

const DEFAULT_MODE = 0o660;
const PRIVATE_MODE = 0o600;
const MAX_TRIES = 20;
/** The length of `sun_path` without its final zero byte. */
const LONGEST_PATH = platform() === 'darwin' ? 103 : 107;

/** Refuses a path that the kernel would truncate. */
function checkPathLength(path: string): void {
  const bytes = Buffer.byteLength(path);
  if (bytes <= LONGEST_PATH) return;
  throw new ConfigError(
    'PASTER_SOCKET_PATH',
    `the socket path ${path} is too long: ${bytes} bytes, ${LONGEST_PATH} are possible`,
    { hint: 'use a directory nearer to the root, such as /run/NAME', setting: 'socket' },
  );
}

/** The mode of a new socket file. */
export function socketMode({ mode, umask }: FileOptions): number {
  return mode ?? (umask === undefined ? DEFAULT_MODE : 0o777 & ~umask);
}

/** A listening socket whose file has its owner, group and mode, but not yet its name. */
export class SocketFile<T> {
  readonly bound: T;
  readonly #path: string;
  readonly #temporary: string;
  readonly #user: FileUser | undefined;

  private constructor(bound: T, path: string, temporary: string, user: FileUser | undefined) {
    this.bound = bound;
    this.#path = path;
    this.#temporary = temporary;
    this.#user = user;
  }

  /**
   * Makes the file under a temporary name in the directory of `path`.
   * @param bind binds a socket to the given name before it returns
   * @param unbind closes it if its file cannot get the owner, group or mode that it needs
   */
  static async bind<T>(
    path: string,
    options: FileOptions,
    bind: (file: string) => T | Promise<T>,
    unbind: (bound: T) => void,
  ): Promise<SocketFile<T>> {
    checkPathLength(path);
    const user = creatorOf(path, options);
    const requested = requestedFile(options);
    const mode = isCreatedAsRequested(path, user, requested) ? requested.mode : PRIVATE_MODE;
    const bindAsUser = (file: string) => asUser(user, () => withMode(mode, () => bind(file)));
    const { file, bound } = await bindUnderTemporaryName(path, bindAsUser).catch((error: unknown) => {
      throw explainRefusal(path, user, error);
    });
    try {
      correct(path, file, user, requested);
      return new SocketFile(bound, path, file, user);
    } catch (error) {
      unbind(bound);
      asUser(user, () => removeIfPossible(file));
      throw error;
    }
  }

  /**
   * Gives the file its name. The socket has to listen already: another process that starts at the same moment would take
   * it for stale.
   */
  publish(): Promise<OwnedFile> {
    return publish(this.#temporary, this.#path, this.#user);
  }

  /** Deletes the file under its temporary name. */
  discard(): void {
    asUser(this.#user, () => removeIfPossible(this.#temporary));
  }
}

/**
 * The user that creates the file, if that is not the user of this process. In a directory that users other than root can write
 * to, root takes on the rights of the socket's owner, so that links and files placed there can harm only that user.
 */
function creatorOf(path: string, { owner, group }: FileOptions): FileUser | undefined {
  if (process.geteuid?.() !== 0) return undefined;
  const { exposedAbove, exposedInside } = exposureOf(dirname(path));
  if (exposedAbove === undefined && !exposedInside) return undefined;
  const uid = owner === undefined ? 0 : userId(owner, 'socket_owner');
  if (uid !== 0) {
    const gid = group === undefined ? (process.getegid?.() ?? 0) : groupId(group, 'socket_group');
    return { uid, gid, groups: groupsOfUser(uid) };
  }
  if (exposedAbove === undefined || exposedInside) return undefined;
  throw new RunError('PASTER_SOCKET_DIRECTORY', `root does not create ${path}: another user controls ${exposedAbove}`, {
    hint: `that user could make the path lead elsewhere: chown root ${exposedAbove}, or use a directory such as /run/NAME`,
    setting: 'socket',
  });
}

function groupsOfUser(uid: number): readonly number[] {
  try {
    return [...groupsOf(findUser(uid))];
  } catch {
    // A number without an account.
    return [];
  }
}

interface RequestedFile {
  readonly uid: number;
  /** Undefined: the system's choice. */
  readonly gid: number | undefined;
  readonly mode: number;
}

function requestedFile(options: FileOptions): RequestedFile {
  const { owner, group } = options;
  return {
    uid: owner === undefined ? (process.geteuid?.() ?? 0) : userId(owner, 'socket_owner'),
    gid: group === undefined ? undefined : groupId(group, 'socket_group'),
    mode: socketMode(options),
  };
}

/** Whether a socket that `user` binds gets the right owner and group at once. Otherwise it has to be private until `correct`. */
function isCreatedAsRequested(path: string, user: FileUser | undefined, { uid, gid }: RequestedFile): boolean {
  if (uid !== (user?.uid ?? process.geteuid?.())) return false;
  if (gid === undefined) return true;
  const directory = statSync(dirname(path), { throwIfNoEntry: false });
  if (!directory) return true;
  const inheritsGroup = platform() !== 'linux' || (directory.mode & 0o2000) !== 0;
  return gid === (inheritsGroup ? directory.gid : (user?.gid ?? process.getegid?.()));
}

/** Node binds a path before `listen` returns. */
function withMode<T>(mode: number, bind: () => T): T {
  const umask = process.umask(0o777 & ~mode);
  try {
    return bind();
  } finally {
    process.umask(umask);
  }
}

/** Sets the owner and mode that the file could not be created with: by descriptor, since the name may now be another file's. */
function correct(path: string, file: string, user: FileUser | undefined, requested: RequestedFile): void {
  const creator = user?.uid ?? process.geteuid?.() ?? 0;
  const refuseUnlessOwn = (found: Stats) => {
    // Another socket of the same user may have replaced it, which is that user's right.
    if (!found.isSocket() || found.uid !== creator || found.nlink !== 1) throw socketLost(path);
  };
  if (platform() === 'linux') {
    const fd = asUser(user, () => openSync(file, O_PATH | constants.O_NOFOLLOW));
    try {
      const found = fstatSocket(fd);
      refuseUnlessOwn(found);
      changeFile(`/proc/self/fd/${fd}`, found, requested, chownSync);
    } finally {
      closeSync(fd);
    }
    return;
  }
  // Other systems have no descriptor for this; going by name is safe without privileges or in a directory of root's.
  asUser(user, () => {
    const found = lstatSync(file);
    refuseUnlessOwn(found);
    if (process.geteuid?.() === 0 && exposureOf(dirname(path)).exposedInside && !isAsRequested(found, requested)) {
      throw new RunError('PASTER_SOCKET_DIRECTORY', `root does not change ${path}: other users can replace it`, {
        hint: `chown root ${dirname(path)}, or leave out socket_owner and socket_group`,
        setting: 'socket',
      });
    }
    changeFile(file, found, requested, lchownSync);
  });
}

function isAsRequested(found: Stats, { uid, gid = found.gid, mode }: RequestedFile): boolean {
  return found.uid === uid && found.gid === gid && (found.mode & 0o7777) === mode;
}

/** Changes the owner first, since chown can clear bits of the mode. */
function changeFile(
  file: string,
  found: Stats,
  { uid, gid = found.gid, mode }: RequestedFile,
  chown: typeof chownSync,
): void {
  if (found.uid !== uid || found.gid !== gid) {
    try {
      chown(file, uid, gid);
    } catch (cause) {
      const [setting, name] =
        found.uid === uid ? ['socket_group', nameOfGroup(gid)] : ['socket_owner', nameOfUser(uid)];
      throw new RunError('PASTER_SOCKET_OWNER', `cannot give the socket to ${name}: ${errorMessage(cause)}`, {
        hint: 'only root can give files away; a group that this user is a member of works without',
        setting,
        cause,
      });
    }
  }
  if ((found.mode & 0o7777) !== mode) chmodSync(file, mode);
}

/** The error for a directory that the user may not write to; other errors are returned as they are. */
function explainRefusal(path: string, user: FileUser | undefined, error: unknown): unknown {
  if (!user || errorCode(error) !== 'EACCES' || !existsSync(dirname(path))) return error;
  const name = nameOfUser(user.uid);
  return new RunError('PASTER_SOCKET_DIRECTORY', `user ${name} may not create ${path}`, {
    hint: `chown ${name} ${dirname(path)}, or use a directory that only root can write to, such as /run/NAME`,
    setting: 'socket',
    cause: error,
  });
}

/**
 * Calls `bind` with names in the directory of `path` until one is free. The names are no longer than that of the path, so
 * that a path of the full length still works.
 */
export async function bindUnderTemporaryName<T>(
  path: string,
  bind: (file: string) => T | Promise<T>,
): Promise<{ file: string; bound: T }> {
  for (let tries = 1; ; tries++) {
    const file = join(dirname(path), temporaryName(Buffer.byteLength(basename(path))));
    // A random name can be the path itself if that is as short as `s`.
    if (file === join(path)) continue;
    try {
      return { file, bound: await bind(file) };
    } catch (error) {
      if (errorCode(error) !== 'EADDRINUSE' || tries >= MAX_TRIES) throw error;
    }
  }
}
