/**
 * Whether a user could connect to a Unix socket: the user has to be able to search every directory on the way and to write
 * to the file, see connect(2) and path_resolution(7). Nothing is opened or connected to.
 */
import { execFileSync } from 'node:child_process';
import { type Stats, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { errorCode } from '../errors.ts';
import { groupId, nameOfGroup, nameOfUser, userId } from '../files/passwd.ts';
import { stepsTo, unreadableDirectory } from '../files/path-steps.ts';
import { lstatSocket } from '../files/socket-stat.ts';
import { type FileOptions, socketMode } from './unix-socket.ts';

/** A user with its groups. */
export interface UserIdentity {
  readonly name: string;
  readonly uid: number;
  readonly groups: ReadonlySet<number>;
}

/** Something that keeps the user out, and how to change it. */
export interface Obstacle {
  readonly message: string;
  readonly cure: string;
}

const SEARCH = 1;
const WRITE = 2;

/**
 * What keeps a user from connecting to a socket, in the order of the path; empty if the user can connect.
 *
 * @param path where the socket is or will be
 * @param options its future owner, group and mode; without them those of the existing file, or else of this process
 */
export function obstaclesTo(path: string, user: UserIdentity, options: FileOptions): Obstacle[] {
  const obstacles: Obstacle[] = [];
  for (const step of stepsTo(dirname(path))) {
    if (step.kind === 'problem') return [...obstacles, { message: step.problem, cure: step.cure }];
    if (step.kind === 'link') continue;
    const rights = rightsOf(step.path, step.stat);
    if (!allows(rights, user, SEARCH)) obstacles.push(closedDirectory(step.path, rights, user));
  }
  let rights: Rights;
  try {
    rights = socketRights(path, options);
  } catch (error) {
    if (errorCode(error) !== 'EACCES') throw error;
    const { problem, cure } = unreadableDirectory(dirname(path), error);
    return [...obstacles, { message: problem, cure }];
  }
  return allows(rights, user, WRITE) ? obstacles : [...obstacles, closedSocket(path, rights, user)];
}

// --- rights --------------------------------------------------------------------------------------------------------

interface Rights {
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  /** Absent if there is nothing beyond the mode. */
  readonly acl?: Acl | undefined;
}

/** The entries of a POSIX ACL beyond those of the mode: permission bits by user or group number. */
interface Acl {
  readonly users: ReadonlyMap<number, number>;
  readonly groups: ReadonlyMap<number, number>;
  /** Those of the file's own group; the mode has the mask there instead. */
  readonly owningGroup: number;
  readonly mask: number;
}

type Class = 'user' | 'group' | 'other';

function rightsOf(path: string, { uid, gid, mode }: Stats): Rights {
  return { uid, gid, mode: mode & 0o777, acl: aclOf(path) };
}

/** Which of the three classes of a mode counts for a user: the first one that the user is in, even if another allows more. */
function classOf({ uid, gid }: Rights, user: UserIdentity): Class {
  if (uid === user.uid) return 'user';
  return user.groups.has(gid) ? 'group' : 'other';
}

function allows(rights: Rights, user: UserIdentity, bit: number): boolean {
  // root needs no permission, neither to search nor to write.
  if (user.uid === 0) return true;
  const { acl, mode } = rights;
  const kind = classOf(rights, user);
  if (acl && kind !== 'user') {
    const named = acl.users.get(user.uid);
    if (named !== undefined) return (named & acl.mask & bit) !== 0;
    const groups = [...user.groups].flatMap((gid) => acl.groups.get(gid) ?? []);
    if (kind === 'group') groups.push(acl.owningGroup);
    if (groups.length > 0) return groups.some((bits) => (bits & acl.mask & bit) !== 0);
  }
  return ((mode >> { user: 6, group: 3, other: 0 }[kind]) & bit) !== 0;
}

/** Read by `getfacl`, if it is installed: Node cannot read ACLs. */
function aclOf(path: string): Acl | undefined {
  let text: string;
  try {
    const args = ['--omit-header', '--absolute-names', '--numeric', '--', path];
    text = execFileSync('getfacl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], timeout: 5000 });
  } catch {
    return undefined;
  }
  const users = new Map<number, number>();
  const groups = new Map<number, number>();
  let owningGroup = 0;
  let mask: number | undefined;
  for (const line of text.split('\n')) {
    const [, kind, id, r, w, x] = /^(user|group|mask):(\d*):([r-])([w-])([x-])/.exec(line) ?? [];
    const bits = (r === 'r' ? 4 : 0) | (w === 'w' ? 2 : 0) | (x === 'x' ? 1 : 0);
    if (kind === 'mask') mask = bits;
    else if (kind === 'user' && id !== undefined && id !== '') users.set(Number(id), bits);
    else if (kind === 'group' && id !== undefined && id !== '') groups.set(Number(id), bits);
    else if (kind === 'group') owningGroup = bits;
  }
  return mask === undefined ? undefined : { users, groups, owningGroup, mask };
}

/** The rights that the socket will have; a new one has no ACL. */
function socketRights(path: string, options: FileOptions): Rights {
  const existing = lstatSocket(path);
  const directory = statSync(dirname(path), { throwIfNoEntry: false });
  // Files in a directory with the setgid bit inherit its group.
  const inherited = directory && (directory.mode & 0o2000) !== 0 ? directory.gid : undefined;
  const known = existing?.isSocket() ? existing : undefined;
  return {
    uid: options.owner === undefined ? (known?.uid ?? process.geteuid?.() ?? 0) : userId(options.owner, 'socket_owner'),
    gid:
      options.group === undefined
        ? (known?.gid ?? inherited ?? process.getegid?.() ?? 0)
        : groupId(options.group, 'socket_group'),
    mode: socketMode(options),
  };
}

// --- messages ------------------------------------------------------------------------------------------------------

function closedDirectory(directory: string, rights: Rights, user: UserIdentity): Obstacle {
  const kind = classOf(rights, user);
  const exact = `setfacl -m u:${user.name}:x ${directory}`;
  return {
    message: `${user.name} may not enter the directory ${directory} (${rightsInWords(rights)})`,
    cure: rights.acl ? exact : `chmod ${kind[0]}+x ${directory}${kind === 'user' ? '' : `, or ${exact}`}`,
  };
}

function closedSocket(path: string, rights: Rights, user: UserIdentity): Obstacle {
  const kind = classOf(rights, user);
  const [group = 0] = user.groups;
  const settings = kind === 'other' ? [`socket_group = ${nameOfGroup(group)}`] : [];
  const isWritable = (rights.mode & (kind === 'user' ? 0o200 : 0o020)) !== 0;
  return {
    message: `${user.name} may not connect to ${path}, which is ${rightsInWords(rights)}`,
    cure: [...settings, ...(isWritable ? [] : ['mode = 660'])].join(' and '),
  };
}

function rightsInWords({ uid, gid, mode, acl }: Rights): string {
  const extended = acl ? ' and an ACL' : '';
  return `of ${nameOfUser(uid)}:${nameOfGroup(gid)} with mode ${mode.toString(8).padStart(3, '0')}${extended}`;
}
