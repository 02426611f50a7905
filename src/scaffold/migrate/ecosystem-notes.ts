/** What an ecosystem file says and an INI file cannot: each note names the key and what to do. */
import type { Variables } from '../../config/env-file.ts';
import {
  ECOSYSTEM_KEYS,
  type Fields,
  isFields,
  mebibytesOf,
  secondsOf,
  textOf,
  UNKNOWN_KEY,
} from './ecosystem-keys.ts';

export const PM2_SERVE =
  'script: serve is the file server of pm2: [app:main] use = npm:paster#static serves a directory, and a web server can do what PM2_SERVE_SPA does';

/** For an app that has a port in pm2. */
export function notServedNote(name: string): string {
  return `a background process, because its code does not call listen(); if it serves HTTP, run create --from with web=${name}`;
}

/** The keys without a counterpart. */
export function keyNotes(app: Fields): string[] {
  const notes: string[] = [];
  for (const [key, value] of Object.entries(app)) {
    if (value === undefined || value === null || key === 'env' || (/^env_\S+$/.test(key) && isFields(value))) continue;
    const unknown = key === 'env_file' ? `${UNKNOWN_KEY}; paster reads env_file of a section` : UNKNOWN_KEY;
    const known = Object.hasOwn(ECOSYSTEM_KEYS, key) ? ECOSYSTEM_KEYS[key] : { note: unknown };
    if (known?.note !== undefined && !isDefault(key, value)) notes.push(`${key}: ${known.note}`);
  }
  return notes;
}

/** The variables that an INI file cannot contain. */
export function variableNotes(variables: Variables): string[] {
  const notes: string[] = [];
  for (const [name, value] of Object.entries(variables)) {
    if (/[\n\0]/.test(value)) notes.push(`env: ${name} has several lines: put it into a file of env_file`);
    else if (!/^[A-Za-z_][\w.-]*$/.test(name))
      notes.push(`env: ${JSON.stringify(name)} cannot be the name of a variable`);
    else if (value.trim() !== value)
      notes.push(`env: ${name} loses the spaces at its ends: put it into a file of env_file`);
  }
  return notes;
}

/** Notes for limits that cannot be read: the INI file lacks them, and the user must learn that. */
export function limitNotes(app: Fields): string[] {
  const limits = [
    { key: 'max_memory_restart', read: mebibytesOf, expected: 'a size such as 300M, at most 1024G' },
    { key: 'kill_timeout', read: secondsOf, expected: 'a number of milliseconds above 0' },
    { key: 'listen_timeout', read: secondsOf, expected: 'a number of milliseconds above 0' },
  ];
  return limits.flatMap(({ key, read, expected }) => {
    const value = app[key] ?? undefined;
    if (value === undefined || read(value) !== undefined) return [];
    return [`${key}: ${JSON.stringify(value)} is not ${expected}`];
  });
}

/** A value that asks for nothing: `merge_logs: false`. */
function isDefault(key: string, value: unknown): boolean {
  return key === 'autostart' ? value !== false : value === false;
}

export function programNotes(app: Fields, isCluster: boolean): string[] {
  const interpreter = textOf(app['exec_interpreter']) ?? 'node';
  return [
    ...(/^node@/.test(interpreter) ? ['interpreter: paster runs programs with the Node that runs paster'] : []),
    ...(isCluster && app['instances'] === undefined ? ['exec_mode: workers of a server are its cluster'] : []),
    ...(app['watch'] === true ? ['watch: paster serve etc/develop.ini --reload, in development'] : []),
  ];
}
