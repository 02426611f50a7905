/**
 * Whether a user could connect to a Unix socket: every directory on the way has to let the user through, and the file has
 * to let the user write, as connect(2) and path_resolution(7) have it. Nothing is opened or connected to.
 */
import { execFileSync } from 'node:child_process';
import { lstatSync, type Stats, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { errorCode } from '../errors.ts';
import { stepsTo, unseen } from '../path-steps.ts';
import { groupId, nameOfGroup, nameOfUser, userId } from './account.ts';
import { type FileOptions, socketMode } from './unix-socket.ts';

/** A user with its groups. */
export interface Identity {
  readonly name: string;
  readonly uid: number;
  readonly groups: ReadonlySet<number>;
}

/** Something that keeps the user out, and what would let it in. */
export interface Obstacle {
  readonly message: string;
  readonly cure: string;
}

const SEARCH = 1;
const WRITE = 2;

/**
 * What stands between a user and a socket, in the order of the path; nothing: the user can connect.
 *
 * @param path where the socket is or is going to be
 * @param options what its owner, group and mode are going to be; without them the owner is that of the file that is
 *   there, or else of this process
 */
export function obstaclesTo(path: string, who: Identity, options: FileOptions): Obstacle[] {
  const obstacles: Obstacle[] = [];
  for (const step of stepsTo(dirname(path))) {
    if (step.kind === 'problem') return [...obstacles, { message: step.problem, cure: step.cure }];
    if (step.kind === 'link') continue;
    const rights = rightsOf(step.path, step.stat);
    if (!allows(rights, who, SEARCH)) obstacles.push(closedDirectory(step.path, rights, who));
  }
  let rights: Rights;
  try {
    rights = socketRights(path, options);
  } catch (error) {
    if (errorCode(error) !== 'EACCES') throw error;
    const { problem, cure } = unseen(dirname(path), error);
    return [...obstacles, { message: problem, cure }];
  }
  return allows(rights, who, WRITE) ? obstacles : [...obstacles, closedSocket(path, rights, who)];
}

// --- rights --------------------------------------------------------------------------------------------------------

interface Rights {
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  /** Present where there is more than the mode says. */
  readonly acl?: Acl | undefined;
}

/** The entries of a POSIX ACL beside those of the mode: bits by number. */
interface Acl {
  readonly users: ReadonlyMap<number, number>;
  readonly groups: ReadonlyMap<number, number>;
  /** Of the group of the file itself; the mode shows the mask in its place. */
  readonly owningGroup: number;
  readonly mask: number;
}

type Class = 'user' | 'group' | 'other';

function rightsOf(path: string, { uid, gid, mode }: Stats): Rights {
  return { uid, gid, mode: mode & 0o777, acl: aclOf(path) };
}

/** Which of the three bits of a mode count for somebody: the first class that one is in, though another had more. */
function classOf({ uid, gid }: Rights, who: Identity): Class {
  if (uid === who.uid) return 'user';
  return who.groups.has(gid) ? 'group' : 'other';
}

function allows(rights: Rights, who: Identity, bit: number): boolean {
  // root needs no permission, neither to search nor to write.
  if (who.uid === 0) return true;
  const { acl, mode } = rights;
  const kind = classOf(rights, who);
  if (acl && kind !== 'user') {
    const named = acl.users.get(who.uid);
    if (named !== undefined) return (named & acl.mask & bit) !== 0;
    const groups = [...who.groups].flatMap((gid) => acl.groups.get(gid) ?? []);
    if (kind === 'group') groups.push(acl.owningGroup);
    if (groups.length > 0) return groups.some((bits) => (bits & acl.mask & bit) !== 0);
  }
  return ((mode >> { user: 6, group: 3, other: 0 }[kind]) & bit) !== 0;
}

/** By `getfacl`, where that is: Node cannot read them. */
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

/** Those that a socket will have: bound anew, it has no ACL. */
function socketRights(path: string, options: FileOptions): Rights {
  const there = lstatSync(path, { throwIfNoEntry: false });
  const directory = statSync(dirname(path), { throwIfNoEntry: false });
  // A directory with the setgid bit hands its group down.
  const inherited = directory && (directory.mode & 0o2000) !== 0 ? directory.gid : undefined;
  const known = there?.isSocket() ? there : undefined;
  return {
    uid: options.owner === undefined ? (known?.uid ?? process.geteuid?.() ?? 0) : userId(options.owner, 'socket_owner'),
    gid:
      options.group === undefined
        ? (known?.gid ?? inherited ?? process.getegid?.() ?? 0)
        : groupId(options.group, 'socket_group'),
    mode: socketMode(options),
  };
}

// --- what is said --------------------------------------------------------------------------------------------------

function closedDirectory(directory: string, rights: Rights, who: Identity): Obstacle {
  const kind = classOf(rights, who);
  const exact = `setfacl -m u:${who.name}:x ${directory}`;
  return {
    message: `${who.name} may not enter the directory ${directory} (${described(rights)})`,
    cure: rights.acl ? exact : `chmod ${kind[0]}+x ${directory}${kind === 'user' ? '' : `, or ${exact}`}`,
  };
}

function closedSocket(path: string, rights: Rights, who: Identity): Obstacle {
  const kind = classOf(rights, who);
  const [group = 0] = who.groups;
  const settings = kind === 'other' ? [`socket_group = ${nameOfGroup(group)}`] : [];
  const isWritable = (rights.mode & (kind === 'user' ? 0o200 : 0o020)) !== 0;
  return {
    message: `${who.name} may not connect to ${path}, which is ${described(rights)}`,
    cure: [...settings, ...(isWritable ? [] : ['mode = 660'])].join(' and '),
  };
}

function described({ uid, gid, mode, acl }: Rights): string {
  const extended = acl ? ' and an ACL' : '';
  return `of ${nameOfUser(uid)}:${nameOfGroup(gid)} with mode ${mode.toString(8).padStart(3, '0')}${extended}`;
}
