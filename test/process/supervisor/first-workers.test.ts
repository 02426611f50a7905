import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { bindSocket, type HeldSocket } from '../../../src/net/held-socket.ts';
import { WorkerHandle } from '../../../src/process/supervisor/worker-handle.ts';
import { FirstWorkers } from '../../../src/process/supervisor/worker-starts.ts';

const WORKER = join(import.meta.dirname, '../../../dist/worker.js');
const BOOT = { scheme: 'http', reload: false };

let socket: HeldSocket | undefined;
const workers: WorkerHandle<typeof BOOT>[] = [];

afterEach(async () => {
  for (const worker of workers.splice(0)) {
    worker.kill();
    await worker.exited;
  }
  await socket?.close();
});

/** Starts the workers of a server on a socket that does not listen yet. @returns them, and the port of the socket */
async function started(count: number, execArgv: readonly string[] = []) {
  const bound = await bindSocket({ kind: 'tcp', host: '127.0.0.1', port: 0 });
  socket = bound;
  const ignore = () => {};
  const first = new FirstWorkers<typeof BOOT>();
  const listen = first.start(count, BOOT, ({ listens }) => {
    const worker = new WorkerHandle<typeof BOOT>({
      id: workers.length,
      entry: WORKER,
      sockets: [bound],
      listens,
      place: undefined,
      env: process.env,
      execArgv,
      output: 'inherit',
      onWatch: ignore,
      onConfiguration: ignore,
      onPatterns: ignore,
      onPage: ignore,
      onPreload: ignore,
      onEarlyModules: ignore,
      onOpening: () => true,
      onReplace: ignore,
      onAsk: () => Promise.reject(new Error('no worker of this test asks')),
      onReport: ignore,
      onConnection: ignore,
      onOverdue: ignore,
    });
    workers.push(worker);
    return worker;
  });
  return { first, listen, bound, port: bound.address.kind === 'tcp' ? bound.address.port : 0 };
}

test('the first worker makes the socket listen, accepts nothing, and keeps its own copy', async () => {
  const { first, listen, bound, port } = await started(2);
  expect(await listen(bound.fd, bound.backlog)).toBe(true);
  const client = connect(port, '127.0.0.1');
  await once(client, 'connect');
  client.destroy();
  expect([first.take(), first.take(), first.take()]).toEqual([...workers, undefined]);
  await workers[0]?.loaded;
  expect(workers.map(({ state }) => state)).not.toContain('exited');
});

test('the socket does not listen if the first worker ends before it makes it listen', async () => {
  const { listen, bound } = await started(1, ['--no-such-option']);
  expect(await listen(bound.fd, bound.backlog)).toBe(false);
});
