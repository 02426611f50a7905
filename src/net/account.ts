/**
 * The numbers behind the names of users and groups. Node can switch to a name but cannot look one up, so the plain
 * files are read first, and the system's own tools are asked for names that live in a directory service.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { platform } from 'node:os';
import { ConfigError } from '../errors.ts';

/** A user as the password database knows it. */
export interface User {
  readonly name: string;
  readonly uid: number;
  /** The user's own group. */
  readonly gid: number;
  /** Known where the database has it. */
  readonly home?: string | undefined;
  readonly shell?: string | undefined;
}

const NUMBER = /^\d{1,10}$/;
// What `useradd` lets through and a little more. A leading dash would be read as an option by `id`.
const NAME = /^[\w.][\w.@\\ $-]*$/;

/**
 * The user of a name or number. A number needs no entry in the database unless its group is asked for.
 * @param setting where the name comes from, for the error
 */
export function findUser(user: string | number, setting?: string): User {
  const wanted = String(user);
  const fields = entry('/etc/passwd', wanted, 2) ?? askForUser(wanted);
  if (!fields) throw new ConfigError('PASTER_USER', `there is no user "${wanted}"`, { setting });
  return fields;
}

/** The numbers of all groups that a user is in, its own one first. */
export function groupsOf({ name, gid }: User): ReadonlySet<number> {
  const listed = ask('id', ['-G', name])?.split(/\s+/) ?? memberships(name);
  return new Set([gid, ...listed.filter((each) => NUMBER.test(each)).map(Number)]);
}

function memberships(name: string): string[] {
  return lines('/etc/group').flatMap((line) => {
    const [, , gid = '', members = ''] = line.split(':');
    return members.split(',').includes(name) ? [gid] : [];
  });
}

/** A user's or a group's name for people; the number where there is none. */
export function nameOfUser(uid: number): string {
  return entry('/etc/passwd', String(uid), 2)?.name ?? ask('id', ['-un', String(uid)]) ?? String(uid);
}

export function nameOfGroup(gid: number): string {
  const known = lines('/etc/group').find((line) => line.split(':')[2] === String(gid));
  return known?.split(':')[0] ?? String(gid);
}

/** The number of a user; a number stands for itself. */
export function userId(user: string | number, setting?: string): number {
  return NUMBER.test(String(user)) ? Number(user) : findUser(user, setting).uid;
}

/** The number of a group; a number stands for itself. */
export function groupId(group: string | number, setting?: string): number {
  const wanted = String(group);
  if (NUMBER.test(wanted)) return Number(wanted);
  const line = lines('/etc/group').find((each) => each.startsWith(`${wanted}:`)) ?? askForGroup(wanted);
  const gid = line?.split(':')[2];
  if (gid === undefined || !NUMBER.test(gid)) {
    throw new ConfigError('PASTER_GROUP', `there is no group "${wanted}"`, { setting });
  }
  return Number(gid);
}

function entry(file: string, wanted: string, idField: number): User | undefined {
  for (const line of lines(file)) {
    const fields = line.split(':');
    const [name, , uid, gid, , home, shell] = fields;
    if (name === undefined || uid === undefined || gid === undefined || !NUMBER.test(uid)) continue;
    if (name === wanted || fields[idField] === wanted) return accountOf(name, uid, gid, home, shell);
  }
  return undefined;
}

function accountOf(name: string, uid: string, gid: string, home?: string, shell?: string): User {
  return { name, uid: Number(uid), gid: Number(gid), home: home || undefined, shell: shell || undefined };
}

function lines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch {
    return [];
  }
}

function askForUser(wanted: string): User | undefined {
  const [found, , id, group, , home, shell] = ask('getent', ['passwd', wanted])?.split(':') ?? [];
  if (found && id && group && NUMBER.test(id) && NUMBER.test(group)) return accountOf(found, id, group, home, shell);
  const [uid, gid, name] = ['-u', '-g', '-un'].map((option) => ask('id', [option, wanted]));
  if (uid === undefined || gid === undefined || !NUMBER.test(uid) || !NUMBER.test(gid)) return undefined;
  return accountOf(name ?? wanted, uid, gid);
}

function askForGroup(wanted: string): string | undefined {
  if (platform() !== 'darwin') return ask('getent', ['group', wanted]);
  const gid = ask('dscl', ['.', '-read', `/Groups/${wanted}`, 'PrimaryGroupID'])?.split(/\s+/)[1];
  return gid === undefined ? undefined : `${wanted}::${gid}`;
}

function ask(program: string, args: readonly string[]): string | undefined {
  if (!NAME.test(args.at(-1) ?? '') && program !== 'dscl') return undefined;
  try {
    return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], timeout: 5000 }).trim();
  } catch {
    return undefined;
  }
}
