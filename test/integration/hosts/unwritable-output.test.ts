/** If standard error, a log file or both cannot be written, the server keeps serving and handles signals. */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { mountSmallDisk, temporaryDirectory } from '../../helpers/directory.ts';
import { eventually, getOver, Program, ROOT, requireRoot } from '../../helpers/programs/program.ts';

/** How long a server that should be idle is observed, in milliseconds. */
const IDLE_MS = 700;
/** Half of that time, in the hundredths of a second of /proc: a process that is busy takes twice as much. */
const BUSY_TICKS = 35;

function project(): string {
  return temporaryDirectory({
    'app.js': 'export default (req, res) => { console.error("asked"); res.end(String(process.pid)); };\n',
    'package.json': '{"type": "module"}',
    'x.ini': `[app:main]
use = module:./app.js
filter-with = translogger
[filter:translogger]
use = npm:paster#translogger
[server:main]
use = npm:paster#http
socket = %(here)s/s
`,
  });
}

/** `paster serve` with a redirection of bash. */
function serveInto(redirection: string, cwd: string, options: readonly string[] = []): Program {
  const command = [process.execPath, join(ROOT, 'bin/paster.js'), 'serve', 'x.ini', ...options];
  return new Program('bash', ['--norc', '-c', `exec "$0" "$@" ${redirection}`, ...command], { cwd });
}

/** Waits for a response. @returns the PID of the process that sent it */
function respondingPid(cwd: string): Promise<string> {
  return eventually(() => getOver(join(cwd, 's')).catch(() => undefined));
}

/** In hundredths of a second: the fields utime and stime of /proc (proc(5)). */
function processorTime(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return Number(fields[11]) + Number(fields[12]);
}

test.runIf(process.platform === 'linux').each([
  ['standard error, one process', '2>/dev/full', []],
  ['standard error, workers', '2>/dev/full', ['-w', '2']],
  ['both outputs, one process', '>/dev/full 2>&1', []],
  ['a closed pipe, one process', '2> >(exec true)', []],
  ['a closed pipe, workers', '2> >(exec true)', ['-w', '2']],
  ['--log-file, one process', '', ['--log-file', '/dev/full']],
  ['--log-file, workers', '', ['-w', '2', '--log-file', '/dev/full']],
])('%s: the server keeps serving', async (_what, redirection, options) => {
  const cwd = project();
  const program = serveInto(redirection, cwd, options);
  for (let request = 0; request < 5; request++) await respondingPid(cwd);
  const before = processorTime(program.pid);
  await sleep(IDLE_MS);
  expect(processorTime(program.pid) - before).toBeLessThan(BUSY_TICKS);
  const worker = await respondingPid(cwd);
  if (options.includes('-w')) {
    program.child.kill('SIGHUP');
    await eventually(async () => (await respondingPid(cwd)) !== worker);
    // The end of a worker is a message that cannot be written either.
    process.kill(Number(await respondingPid(cwd)), 'SIGKILL');
    await respondingPid(cwd);
  }
  expect((await program.kill('SIGTERM')).status).toBe(0);
});

test.runIf(requireRoot()).each([
  ['standard error', '2>disk/log', []],
  ['--log-file', '', ['--log-file', 'disk/log']],
])(
  '%s on a full disk: the number of lost writes is reported when there is space',
  async (_what, redirection, options) => {
    const cwd = project();
    const disk = join(cwd, 'disk');
    mountSmallDisk(disk);
    const program = serveInto(redirection, cwd, options);
    await respondingPid(cwd);
    const filler = join(disk, 'filler');
    execFileSync('sh', ['-c', `cat /dev/zero >${filler} || true`], { stdio: 'ignore' });
    // New lines fill the rest of the last page of the log before a write fails.
    const size = (): number => readFileSync(join(disk, 'log')).length;
    for (let same = 0, last = size(); same < 20; last = size()) {
      await respondingPid(cwd);
      same = size() === last ? same + 1 : 0;
    }
    rmSync(filler);
    await eventually(async () => {
      await respondingPid(cwd);
      return /paster: \d+ writes to this (?:output|file) were lost/.test(readFileSync(join(disk, 'log'), 'utf8'));
    });
    expect((await program.kill('SIGTERM')).status).toBe(0);
  },
);
