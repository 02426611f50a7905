/**
 * Looks up the numbers of users and groups. Node can switch to a user by name but cannot look one up, so paster reads the
 * plain files and runs the system's own tools for names in a directory service.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { platform } from 'node:os';
import { ConfigError } from '../errors.ts';

/** A user in the password database. */
export interface User {
  readonly name: string;
  readonly uid: number;
  /** The user's primary group. */
  readonly gid: number;
  /** If the database has it. */
  readonly home?: string | undefined;
  readonly shell?: string | undefined;
}

const NUMBER = /^\d{1,10}$/;
// What `useradd` accepts and a little more. `id` would take a leading dash for an option.
const NAME = /^[\w.][\w.@\\ $-]*$/;

/**
 * The user with a name or number.
 * @param setting the setting that names the user, for the error
 */
export function findUser(user: string | number, setting?: string): User {
  const wanted = String(user);
  const found = findEntry(wanted) ?? lookUpUser(wanted);
  if (!found) throw new ConfigError('PASTER_USER', `there is no user "${wanted}"`, { setting });
  return found;
}

/** The numbers of all groups of a user, the primary group first. */
export function groupsOf({ name, gid }: User): ReadonlySet<number> {
  const listed = outputOf('id', ['-G', name])?.split(/\s+/) ?? memberships(name);
  return new Set([gid, ...listed.filter((each) => NUMBER.test(each)).map(Number)]);
}

function memberships(name: string): string[] {
  return readLines('/etc/group').flatMap((line) => {
    const [, , gid = '', members = ''] = line.split(':');
    return members.split(',').includes(name) ? [gid] : [];
  });
}

/** The name of a user; the number if it has none. */
export function nameOfUser(uid: number): string {
  return findEntry(String(uid))?.name ?? outputOf('id', ['-un', String(uid)]) ?? String(uid);
}

export function nameOfGroup(gid: number): string {
  const known = readLines('/etc/group').find((line) => line.split(':')[2] === String(gid));
  return known?.split(':')[0] ?? String(gid);
}

/** The number of a user. A number is returned as it is, and needs no entry in the database. */
export function userId(user: string | number, setting?: string): number {
  return NUMBER.test(String(user)) ? Number(user) : findUser(user, setting).uid;
}

/** The number of a group. A number is returned as it is, and needs no entry in the database. */
export function groupId(group: string | number, setting?: string): number {
  const wanted = String(group);
  if (NUMBER.test(wanted)) return Number(wanted);
  const line = readLines('/etc/group').find((each) => each.startsWith(`${wanted}:`)) ?? lookUpGroup(wanted);
  const gid = line?.split(':')[2];
  if (gid === undefined || !NUMBER.test(gid)) {
    throw new ConfigError('PASTER_GROUP', `there is no group "${wanted}"`, { setting });
  }
  return Number(gid);
}

/** The user with a name or number in /etc/passwd. */
function findEntry(wanted: string): User | undefined {
  for (const line of readLines('/etc/passwd')) {
    const [name, , uid, gid, , home, shell] = line.split(':');
    if (name === undefined || uid === undefined || gid === undefined || !NUMBER.test(uid)) continue;
    if (name === wanted || uid === wanted) return makeUser(name, uid, gid, home, shell);
  }
  return undefined;
}

function makeUser(name: string, uid: string, gid: string, home?: string, shell?: string): User {
  return { name, uid: Number(uid), gid: Number(gid), home: home || undefined, shell: shell || undefined };
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch {
    return [];
  }
}

function lookUpUser(wanted: string): User | undefined {
  const [found, , id, group, , home, shell] = outputOf('getent', ['passwd', wanted])?.split(':') ?? [];
  if (found && id && group && NUMBER.test(id) && NUMBER.test(group)) return makeUser(found, id, group, home, shell);
  const [uid, gid, name] = ['-u', '-g', '-un'].map((option) => outputOf('id', [option, wanted]));
  if (uid === undefined || gid === undefined || !NUMBER.test(uid) || !NUMBER.test(gid)) return undefined;
  return makeUser(name ?? wanted, uid, gid);
}

function lookUpGroup(wanted: string): string | undefined {
  if (platform() !== 'darwin') return outputOf('getent', ['group', wanted]);
  const gid = outputOf('dscl', ['.', '-read', `/Groups/${wanted}`, 'PrimaryGroupID'])?.split(/\s+/)[1];
  return gid === undefined ? undefined : `${wanted}::${gid}`;
}

function outputOf(program: string, args: readonly string[]): string | undefined {
  if (!NAME.test(args.at(-1) ?? '') && program !== 'dscl') return undefined;
  try {
    return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], timeout: 5000 }).trim();
  } catch {
    return undefined;
  }
}
