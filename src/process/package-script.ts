/**
 * A server that npm, npx, pnpm or Yarn 1 runs in the foreground ends with the script that started it. They run a script in
 * a shell, and pass a TERM on to that shell alone: the server would go on without them, and keep its port.
 */
import { readFileSync } from 'node:fs';

const POLL_MS = 500;
/** What a script starts so is meant to go on after it. `&&`, `>&` and `&>` are something else. */
const BACKGROUND = /(?<![&>])&(?![&>])|\b(?:nohup|setsid|disown|daemonize|screen|tmux)\b/;

/** Sends this process a TERM when the shell of a package's script, if one is its parent, has gone. Linux only. */
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

/** Whether a process is `sh -c SCRIPT`. The variable alone says little: every program below a script inherits it. */
function isScript(pid: number, script: string | undefined): boolean {
  if (!script) return false;
  try {
    const [, option, command = ''] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return option === '-c' && command.startsWith(script) && !BACKGROUND.test(command);
  } catch {
    return false;
  }
}
