/** Changes from root to another user for good: after the sockets are open and before any application code is loaded. */
import { dirname, join } from 'node:path';
import { ConfigError, errorMessage, RunError } from '../../errors.ts';
import { findUser, groupId, groupsOf, type User } from '../../files/passwd.ts';
import type { FileUser } from '../../files/user-files.ts';

/**
 * Becomes `user`, with the user's groups, or with `group` instead of the user's own. A group alone changes only the group.
 * @throws ConfigError for an unknown user or group; RunError when this process may not change.
 */
export function dropPrivileges(user: string | number | undefined, group?: string | number | undefined): void {
  if (user === undefined && group === undefined) return;
  // Node's types know nothing of `initgroups`.
  const { setuid, setgid, initgroups, setgroups } = process as typeof process & {
    readonly initgroups?: (user: string, extraGroup: number) => void;
  };
  if (!setuid || !setgid || !initgroups || !setgroups) {
    throw new ConfigError('PASTER_USER', 'this system has no users to change to');
  }
  // Look everything up before the change: afterwards there may be no permission.
  const account = user === undefined ? undefined : findUser(user);
  const gid = group === undefined ? account?.gid : groupId(group);
  if (isAlready(account?.uid, gid)) return;
  const isOther = account !== undefined && account.uid !== process.getuid?.();
  try {
    // The groups first: without root they cannot be changed any more.
    if (gid !== undefined) {
      if (account) initgroups.call(process, account.name, gid);
      else setgroups.call(process, [gid]);
      setgid.call(process, gid);
    }
    if (account) setuid.call(process, account.uid);
  } catch (cause) {
    throw new RunError('PASTER_USER', `cannot change to ${userName(user, group)}: ${errorMessage(cause)}`, {
      hint: 'only root can change to another user',
      cause,
    });
  }
  if (account && account.uid !== 0 && canBecomeRoot(setuid)) {
    throw new RunError(
      'PASTER_USER',
      `the change to user ${user} is not final: the process can still become root again`,
    );
  }
  if (isOther) setUserVariables(account);
}

/** Variables that name directories and sessions of the previous user. */
const PERSONAL = [
  'XDG_RUNTIME_DIR',
  'XDG_CONFIG_HOME',
  'XDG_CACHE_HOME',
  'XDG_DATA_HOME',
  'XDG_STATE_HOME',
  'DBUS_SESSION_BUS_ADDRESS',
];

/**
 * Sets the variables that `su` and systemd set for a user. To be called after the change: Node looks for modules in HOME, and the
 * user controls what is there.
 */
function setUserVariables({ name, home = '/', shell = '/bin/sh' }: User): void {
  const { env } = process;
  Object.assign(env, { HOME: home, USER: name, LOGNAME: name, SHELL: shell });
  if (env['MAIL'] !== undefined) env['MAIL'] = join(dirname(env['MAIL']), name);
  for (const variable of PERSONAL) delete env[variable];
}

/** The rights of a process after `dropPrivileges`; undefined if this process is not root or does not change its user. */
export function fileUser({
  user,
  group,
}: {
  user: string | undefined;
  group: string | undefined;
}): FileUser | undefined {
  if (process.geteuid?.() !== 0 || user === undefined) return undefined;
  const account = findUser(user);
  const gid = group === undefined ? account.gid : groupId(group);
  const others = [...groupsOf(account)].filter((each) => each !== account.gid);
  return { uid: account.uid, gid, groups: [gid, ...others] };
}

/**
 * Finds out before anything is opened whether `dropPrivileges` is going to work.
 * @throws as `dropPrivileges` does; nothing is changed.
 */
export function checkUser(user: string | undefined, group: string | undefined): void {
  const account = user === undefined ? undefined : findUser(user);
  const gid = group === undefined ? account?.gid : groupId(group);
  if (process.getuid?.() === 0 || isAlready(account?.uid, gid)) return;
  throw new RunError('PASTER_USER', `cannot change to ${userName(user, group)}: this process does not run as root`, {
    hint: 'start as root, or leave out --user and --group',
  });
}

function userName(user: string | number | undefined, group: string | number | undefined): string {
  return user === undefined ? `group ${group}` : `user ${user}`;
}

function isAlready(uid: number | undefined, gid: number | undefined): boolean {
  return (uid === undefined || uid === process.getuid?.()) && (gid === undefined || gid === process.getgid?.());
}

function canBecomeRoot(setuid: (id: number) => void): boolean {
  try {
    setuid.call(process, 0);
    return true;
  } catch {
    return false;
  }
}
