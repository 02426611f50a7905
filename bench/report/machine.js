/** What figures were measured on and with, and how busy it was: the mean number of processes that wanted to run. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, type } from 'node:os';

/** The peers, and how each says its version. */
const PROGRAMS = [
  ['/usr/bin/python3', '--version'],
  ['nginx', '-v'],
  ['go', 'version'],
  ['wrk', '-v'],
];

/** @returns {string} */
export function describeMachine() {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  const processors = `${cpus().length} x ${cpus()[0]?.model ?? 'an unknown processor'}`;
  const load = `load ${loadavg()[0]?.toFixed(1)}`;
  const programs = [`paster ${version}`, `Node ${process.version}`, ...PROGRAMS.flatMap(versionOf)];
  return `${programs.join(', ')}; ${processors}, ${type()} ${release()}, ${load}`;
}

function versionOf([program, option]) {
  const { stdout, stderr, error } = spawnSync(program, [option], { encoding: 'utf8' });
  if (error) return [];
  return `${stdout}${stderr}`
    .split('\n', 1)[0]
    .replace(/^nginx version: |^go version | \[epoll\].*$/g, '')
    .trim();
}
