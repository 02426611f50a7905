/** Keep-alive connections, such as a web server's, spread over the workers, even if they arrive all at once. */
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { serve } from '../../helpers/programs/program.ts';

const CONNECTIONS = 32;

test('of 32 simultaneous connections to two workers, each worker gets at least 35 %', async () => {
  const cwd = temporaryDirectory({ 'app.mjs': 'export default (req, res) => res.end(String(process.pid));' });
  const path = join(cwd, 'a.sock');
  await serve(['module:./app.mjs', '-w', '2', '--socket', path], { cwd });
  const workers = await Promise.all(Array.from({ length: CONNECTIONS }, () => workerOf(connect(path))));
  const counts = new Map<string, number>();
  for (const worker of workers) counts.set(worker, (counts.get(worker) ?? 0) + 1);
  expect([...counts.keys()]).toHaveLength(2);
  expect(Math.min(...counts.values())).toBeGreaterThanOrEqual(0.35 * CONNECTIONS);
});

/** Sends a request over a connection, which stays open. @returns the worker that responds */
async function workerOf(socket: Socket): Promise<string> {
  onTestFinished(() => void socket.destroy());
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  let answer = '';
  for await (const text of socket.setEncoding('latin1').iterator({ destroyOnReturn: false })) {
    answer += text;
    const pid = /\r\n\r\n(?:\w+\r\n)?(\d+)(?:\r\n|$)/.exec(answer)?.[1];
    if (pid !== undefined) return pid;
  }
  throw new Error(`no response: ${answer}`);
}
