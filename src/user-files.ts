/**
 * How a process that runs as root works with files in directories that other users can write to: with the rights of the
 * user it serves as. Whatever that user puts at the path (a symbolic link, a hard link, a FIFO), root then reaches nothing
 * that the user could not reach without it.
 */

/** The user whose rights root takes on for file work. */
export interface FileUser {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups. */
  readonly groups: readonly number[];
}

/**
 * Does synchronous file work with the rights of `user` if this process is root, and as it is otherwise.
 *
 * The rights are the whole process's: file operations that other threads are carrying out at that moment may be refused.
 * Therefore the work must be short.
 */
export function asUser<T>(user: FileUser | undefined, work: () => T): T {
  const { seteuid, setegid, setgroups, getegid, getgroups } = process;
  if (!user || user.uid === 0 || !isRoot() || !seteuid || !setegid || !setgroups || !getegid || !getgroups) {
    return work();
  }
  const gid = getegid();
  const groups = getgroups();
  try {
    setgroups([...user.groups]);
    setegid(user.gid);
    seteuid(user.uid);
    return work();
  } finally {
    seteuid(0);
    setegid(gid);
    setgroups(groups);
  }
}

function isRoot(): boolean {
  return process.geteuid?.() === 0;
}
