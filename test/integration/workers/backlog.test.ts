/** `backlog`: how many connections may wait to be accepted, on each kind of socket. */
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { getOver, serve } from '../../helpers/programs/program.ts';

const BACKLOG = 7;
/** Node's own default is 511. */
const ABOVE_NODES_DEFAULT = 600;

test.runIf(process.platform === 'linux').each([
  ['one process', BACKLOG, []],
  ['workers', BACKLOG, ['-w', '1']],
  ['workers', ABOVE_NODES_DEFAULT, ['-w', '1']],
])('%s has a backlog of %i', async (_what, backlog, args) => {
  const cwd = temporaryDirectory({
    'app.mjs': 'export default (req, res) => res.end(String(process.pid));',
    'x.ini': `[app:main]\nuse = module:./app.mjs\n[server:main]\nuse = npm:paster#http\nsocket = a.sock\nbacklog = ${backlog}\n`,
  });
  await serve(['x.ini', ...args], { cwd });
  const path = join(cwd, 'a.sock');
  const acceptor = Number(await getOver(path));
  process.kill(acceptor, 'SIGSTOP');
  onTestFinished(() => void process.kill(acceptor, 'SIGCONT'));
  let waiting = 0;
  while (waiting <= 2 * backlog && (await isQueued(path))) waiting++;
  // Linux lets one more connection wait than the backlog.
  expect(waiting).toBe(backlog + 1);
});

/** On Linux, connecting to a Unix socket with a full backlog fails with EAGAIN. */
function isQueued(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => resolve(true));
    socket.on('error', () => resolve(false));
    onTestFinished(() => void socket.destroy());
  });
}
