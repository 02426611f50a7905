/** Ends this process when the process that started it is gone. */
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';

const POLL_MS = 500;
/** A script that does this starts a process that is meant to outlive it. `&&`, `>&` and `&>` are something else. */
const BACKGROUND = /(?<![&>])&(?![&>])|\b(?:nohup|setsid|disown|daemonize|screen|tmux)\b/;

/**
 * Sends this process a TERM when the shell of the package script that started it is gone. npm, npx, pnpm and Yarn 1 run a
 * script in a shell and pass a TERM on to that shell alone; the server would keep running, and keep its port. Linux only.
 */
export function endWithScript(): void {
  const parent = process.ppid;
  if (!isScript(parent, process.env['npm_lifecycle_script'])) return;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    process.kill(process.pid, 'SIGTERM');
  }, POLL_MS);
  timer.unref();
}

/** Whether a process is `sh -c SCRIPT`. The variable alone proves little: every program below a script inherits it. */
function isScript(pid: number, script: string | undefined): boolean {
  if (!script) return false;
  try {
    const [, option, command = ''] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return option === '-c' && command.startsWith(script) && !BACKGROUND.test(command);
  } catch {
    return false;
  }
}

/** Sends this process a TERM when its monitor is gone: no command could find a server without its monitor. */
export function endWithMonitor(): void {
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
}

const KILL_WITH_PARENT = `
const { workerData: parent } = require('node:worker_threads');
setInterval(() => {
  if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL');
}, ${POLL_MS / 2});
`;

/** Kills this process when its parent is gone, even if its main thread is in an endless loop: another thread looks. */
export function killWithParent(): void {
  const thread = new Worker(KILL_WITH_PARENT, { eval: true, workerData: process.ppid, execArgv: [] });
  thread.on('error', () => {});
  thread.unref();
}
