/** Gives up root for another user, for good: after the sockets are open and before any application code is loaded. */
import { dirname, join } from 'node:path';
import { ConfigError, errorMessage, RunError } from '../errors.ts';
import { findUser, groupId, groupsOf, type User } from '../net/account.ts';
import type { FileUser } from '../user-files.ts';

/**
 * Becomes `user`, with the groups that the user is in, or `group` in place of the user's own. A group alone changes
 * the group alone.
 * @throws ConfigError for a user or group that there is none of; RunError where this process may not change.
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
  // Everything is looked up before anything is changed: afterwards there may be no permission to read it.
  const account = user === undefined ? undefined : findUser(user);
  const gid = group === undefined ? account?.gid : groupId(group);
  if (isAlready(account?.uid, gid)) return;
  const isOther = account !== undefined && account.uid !== process.getuid?.();
  try {
    // Groups before the user: without root nothing of this is possible any more.
    if (gid !== undefined) {
      if (account) initgroups.call(process, account.name, gid);
      else setgroups.call(process, [gid]);
      setgid.call(process, gid);
    }
    if (account) setuid.call(process, account.uid);
  } catch (cause) {
    throw new RunError('PASTER_USER', `cannot change to ${whomOf(user, group)}: ${errorMessage(cause)}`, {
      hint: 'only root can become somebody else',
      cause,
    });
  }
  if (account && account.uid !== 0 && canBecomeRoot(setuid)) {
    throw new RunError('PASTER_USER', `changing to user ${user} did not hold: root can be had back`);
  }
  if (isOther) describeUser(account);
}

/** Directories and sessions of the user before. */
const PERSONAL = [
  'XDG_RUNTIME_DIR',
  'XDG_CONFIG_HOME',
  'XDG_CACHE_HOME',
  'XDG_DATA_HOME',
  'XDG_STATE_HOME',
  'DBUS_SESSION_BUS_ADDRESS',
];

/**
 * Sets the variables that `su` and systemd set for a user. Not before the change: Node looks for modules in HOME, which is
 * that user's to fill.
 */
function describeUser({ name, home = '/', shell = '/bin/sh' }: User): void {
  const { env } = process;
  Object.assign(env, { HOME: home, USER: name, LOGNAME: name, SHELL: shell });
  if (env['MAIL'] !== undefined) env['MAIL'] = join(dirname(env['MAIL']), name);
  for (const variable of PERSONAL) delete env[variable];
}

/** The rights that `dropPrivileges` leaves a process with, if root is to give up its own for those of another user. */
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
  throw new RunError('PASTER_USER', `cannot change to ${whomOf(user, group)}: this process is not root’s`, {
    hint: 'start as root, or leave out --user and --group',
  });
}

function whomOf(user: string | number | undefined, group: string | number | undefined): string {
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
