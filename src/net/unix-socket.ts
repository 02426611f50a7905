/**
 * Makes the files of Unix sockets. A socket is bound under a temporary name beside its path with its mode and owner, and only
 * then gets its name: no other user ever sees it with other permissions, and libuv, which deletes the name that it has
 * bound when it closes a socket, has nothing to delete.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  lchownSync,
  lstatSync,
  openSync,
  type Stats,
  statSync,
} from 'node:fs';
import { platform } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { ConfigError, errorCode, errorMessage, RunError } from '../errors.ts';
import { exposureOf, O_PATH } from '../path-steps.ts';
import { asUser, type FileUser } from '../user-files.ts';
import { findUser, groupId, groupsOf, nameOfGroup, nameOfUser, userId } from './account.ts';
import { lost, publish, removeQuietly, temporaryName } from './socket-publication.ts';

/** What `[server:*]` says about a socket file. `mode` wins over `umask`; both are numbers already, not digits. */
export interface FileOptions {
  readonly mode?: number | undefined;
  readonly umask?: number | undefined;
  readonly owner?: string | number | undefined;
  readonly group?: string | number | undefined;
}

const DEFAULT_MODE = 0o660;
const PRIVATE_MODE = 0o600;
const MAX_TRIES = 20;
/** `sun_path` less its closing zero byte. */
const LONGEST_PATH = platform() === 'darwin' ? 103 : 107;

/** Refuses a path that the kernel would cut short. */
function checkPathLength(path: string): void {
  const bytes = Buffer.byteLength(path);
  if (bytes <= LONGEST_PATH) return;
  throw new ConfigError(
    'PASTER_SOCKET_PATH',
    `the socket path ${path} is too long: ${bytes} bytes, ${LONGEST_PATH} are possible`,
    { hint: 'use a directory nearer to the root, such as /run/NAME', setting: 'socket' },
  );
}

/** The mode that a socket file gets. */
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
   * @param bind binds a socket to the name that it is given, before it returns
   * @param unbind closes it if its file cannot get the owner, group or mode that it needs
   */
  static async bind<T>(
    path: string,
    options: FileOptions,
    bind: (file: string) => T | Promise<T>,
    unbind: (bound: T) => void,
  ): Promise<SocketFile<T>> {
    checkPathLength(path);
    const user = makerOf(path, options);
    const wanted = wantedFile(options);
    const mode = isMadeAsWanted(path, user, wanted) ? wanted.mode : PRIVATE_MODE;
    const bindAsUser = (file: string) => asUser(user, () => withMode(mode, () => bind(file)));
    const { file, bound } = await bindUnderTemporaryName(path, bindAsUser).catch((error: unknown) => {
      throw refusal(path, user, error);
    });
    try {
      correct(path, file, user, wanted);
      return new SocketFile(bound, path, file, user);
    } catch (error) {
      unbind(bound);
      asUser(user, () => removeQuietly(file));
      throw error;
    }
  }

  /**
   * Gives the file its name. The socket has to listen already: another process that starts at the same moment would take
   * it for stale.
   * @returns removes the file, if it is still this one and this is still the process that made it.
   */
  publish(): Promise<() => void> {
    return publish(this.#temporary, this.#path, this.#user);
  }

  /** Deletes the file under its temporary name. */
  discard(): void {
    asUser(this.#user, () => removeQuietly(this.#temporary));
  }
}

/**
 * The user that makes the file, if that is not this process's own. In a directory that users other than root can write to,
 * root takes on the rights of the socket's owner: whatever is put in the way there, it harms that user alone.
 */
function makerOf(path: string, { owner, group }: FileOptions): FileUser | undefined {
  if (process.geteuid?.() !== 0) return undefined;
  const { way, inside } = exposureOf(dirname(path));
  if (way === undefined && !inside) return undefined;
  const uid = owner === undefined ? 0 : userId(owner, 'socket_owner');
  if (uid !== 0) {
    const gid = group === undefined ? (process.getegid?.() ?? 0) : groupId(group, 'socket_group');
    return { uid, gid, groups: groupsOfUser(uid) };
  }
  if (way === undefined || inside) return undefined;
  throw new RunError('PASTER_SOCKET_DIRECTORY', `root does not create ${path}: another user controls ${way}`, {
    hint: `that user could make the path lead elsewhere: chown root ${way}, or use a directory such as /run/NAME`,
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

interface WantedFile {
  readonly uid: number;
  /** Undefined: whatever the system gives it. */
  readonly gid: number | undefined;
  readonly mode: number;
}

function wantedFile(options: FileOptions): WantedFile {
  const { owner, group } = options;
  return {
    uid: owner === undefined ? (process.geteuid?.() ?? 0) : userId(owner, 'socket_owner'),
    gid: group === undefined ? undefined : groupId(group, 'socket_group'),
    mode: socketMode(options),
  };
}

/** Whether a socket that `user` binds needs no correction. Until it is corrected, it has to be private. */
function isMadeAsWanted(path: string, user: FileUser | undefined, { uid, gid }: WantedFile): boolean {
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

/** Gives the file what it could not be made with: by a descriptor, since the name may be another file's by now. */
function correct(path: string, file: string, user: FileUser | undefined, wanted: WantedFile): void {
  const maker = user?.uid ?? process.geteuid?.() ?? 0;
  const refuseUnlessMade = (found: Stats) => {
    // Another of the maker's own sockets can be in its place: that user may do with it as it likes.
    if (!found.isSocket() || found.uid !== maker || found.nlink !== 1) throw lost(path);
  };
  if (platform() === 'linux') {
    const fd = asUser(user, () => openSync(file, O_PATH | constants.O_NOFOLLOW));
    try {
      const found = fstatSync(fd);
      refuseUnlessMade(found);
      change(`/proc/self/fd/${fd}`, found, wanted, chownSync);
    } finally {
      closeSync(fd);
    }
    return;
  }
  // Elsewhere a socket has no descriptor for this, and only a user without privileges, or in a safe place, goes by name.
  asUser(user, () => {
    const found = lstatSync(file);
    refuseUnlessMade(found);
    if (process.geteuid?.() === 0 && exposureOf(dirname(path)).inside && !isAsWanted(found, wanted)) {
      throw new RunError('PASTER_SOCKET_DIRECTORY', `root does not change ${path}: other users can replace it`, {
        hint: `chown root ${dirname(path)}, or leave out socket_owner and socket_group`,
        setting: 'socket',
      });
    }
    change(file, found, wanted, lchownSync);
  });
}

function isAsWanted(found: Stats, { uid, gid = found.gid, mode }: WantedFile): boolean {
  return found.uid === uid && found.gid === gid && (found.mode & 0o7777) === mode;
}

/** The owner first: chown can clear bits of the mode. */
function change(file: string, found: Stats, { uid, gid = found.gid, mode }: WantedFile, chown: typeof chownSync): void {
  if (found.uid !== uid || found.gid !== gid) {
    try {
      chown(file, uid, gid);
    } catch (cause) {
      const [setting, whom] =
        found.uid === uid ? ['socket_group', nameOfGroup(gid)] : ['socket_owner', nameOfUser(uid)];
      throw new RunError('PASTER_SOCKET_OWNER', `cannot give the socket to ${whom}: ${errorMessage(cause)}`, {
        hint: 'only root can give files away; a group that this user is a member of works without',
        setting,
        cause,
      });
    }
  }
  if ((found.mode & 0o7777) !== mode) chmodSync(file, mode);
}

/** The error for a directory that the user may not write to; any other one as it is. */
function refusal(path: string, user: FileUser | undefined, error: unknown): unknown {
  if (!user || errorCode(error) !== 'EACCES' || !existsSync(dirname(path))) return error;
  const name = nameOfUser(user.uid);
  return new RunError('PASTER_SOCKET_DIRECTORY', `user ${name} may not create ${path}`, {
    hint: `chown ${name} ${dirname(path)}, or use a directory that only root can write to, such as /run/NAME`,
    setting: 'socket',
    cause: error,
  });
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
