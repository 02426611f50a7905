/**
 * Kills a process whose event loop is blocked on a second Ctrl-C. Node delivers signals only through the event loop, so a shell in
 * the same process group counts them. The shell ends with the process, since it reads from a pipe.
 */
import { spawn } from 'node:child_process';

/** How long the process may take to end by itself after the second Ctrl-C. */
const SECONDS = 1;

const COUNT = `
n=0
trap 'n=$((n + 1))' INT
cat <&3 >/dev/null &
reader=$!
killer=
while wait "$reader"; [ $? -gt 128 ]; do
  if [ "$n" -ge 2 ] && [ -z "$killer" ]; then
    { sleep ${SECONDS}; echo "paster: error: process $PPID does not respond to Ctrl-C: killed" >&2; kill -9 "$PPID"; } &
    killer=$!
  fi
done
[ -z "$killer" ] || kill "$killer" 2>/dev/null
`;

export function endOnSecondInterrupt(): void {
  const shell = spawn('/bin/sh', ['-c', COUNT], {
    cwd: '/',
    env: { PATH: process.env['PATH'] },
    stdio: ['ignore', 'ignore', 'inherit', 'pipe'],
  });
  // Without a shell, only a KILL ends a blocked process.
  shell.on('error', () => {});
  shell.unref();
  const pipe = shell.stdio[3];
  if (pipe && 'unref' in pipe && typeof pipe.unref === 'function') pipe.unref();
}
