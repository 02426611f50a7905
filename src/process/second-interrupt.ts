/**
 * A second Ctrl-C ends a process whose event loop stands still. Node gives signals to the event loop alone, and threads get
 * none, so a shell in the same process group counts them. It ends with the process, by the pipe that it reads.
 */
import { spawn } from 'node:child_process';

/** What the process has to end by itself after the second one. */
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
[ -z "$killer" ] || kill "$killer"
`;

export function endOnSecondInterrupt(): void {
  const shell = spawn('/bin/sh', ['-c', COUNT], {
    cwd: '/',
    env: { PATH: process.env['PATH'] },
    stdio: ['ignore', 'ignore', 'inherit', 'pipe'],
  });
  // Without a shell, only a KILL ends such a process.
  shell.on('error', () => {});
  shell.unref();
  const pipe = shell.stdio[3];
  if (pipe && 'unref' in pipe && typeof pipe.unref === 'function') pipe.unref();
}
