import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ConfigError } from '../../src/errors.ts';
import { silentLogger } from '../../src/log.ts';
import { holdSocket } from '../../src/net/held-socket.ts';
import { Supervisor } from '../../src/process/supervisor.ts';
import { isAlive } from '../helpers/program.ts';
import { appAnswering, ask, FIXTURES, load, Program, saveByRename, until } from './program.ts';
import { Supervised } from './supervised.ts';

const site = new Supervised();
const start = (options?: Record<string, unknown>) => site.start(options);
const logOf = () => site.log;

async function pids(port: number, count: number): Promise<Set<number>> {
  const found = new Set<number>();
  await until(async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(port, '/pid')));
    for (const pid of answers) found.add(Number(pid));
    return found.size >= count;
  });
  return found;
}

const wave = (signal: NodeJS.Signals) => site.program?.signal(signal);

/** A supervisor of this process, with one worker that serves a module of its own. */
async function superviseHere(app: string): Promise<{ supervisor: Supervisor<unknown>; port: number; pid: number }> {
  writeFileSync(site.app, app);
  const socket = await holdSocket({ kind: 'tcp', host: '127.0.0.1', port: 0 });
  const supervisor = new Supervisor<unknown>({
    entry: join(FIXTURES, 'http-worker.mjs'),
    boot: { app: site.app },
    sockets: [socket],
    workers: 1,
    gracefulTimeout: 1,
    log: silentLogger,
    env: { ...process.env, PASTER_BUILD: site.build },
  });
  onTestFinished(() => supervisor.stop({ graceful: false }));
  await supervisor.start();
  const port = socket.address.kind === 'tcp' ? socket.address.port : 0;
  return { supervisor, port, pid: Number(await ask(port, '/pid')) };
}

describe('how a worker is', () => {
  test('one that stands still is asked once, however often somebody wants to know', async () => {
    const { supervisor, port, pid } = await superviseHere(`let orders = 0;
      process.on('message', ({ paster }) => { if (paster === 'report') orders++; });
      export default (req, res) => res.end(String(req.url === '/orders' ? orders : process.pid));`);
    process.kill(pid, 'SIGSTOP');
    for (let round = 0; round < 3; round++) {
      expect((await supervisor.status()).workers).toMatchObject([{ pid, report: undefined }]);
    }
    process.kill(pid, 'SIGCONT');
    await until(async () => (await ask(port, '/orders')) !== '0');
    expect(await ask(port, '/orders')).toBe('1');
    await until(async () => (await supervisor.status()).workers[0]?.report?.pid === pid);
    await supervisor.status();
    expect(Number(await ask(port, '/orders'))).toBeGreaterThan(1);
  });

  test.each([
    ['somebody has sent it TERM', 'signal', "process.kill(process.pid, 'SIGTERM')"],
    ['its server has ended by itself', 'finished', 'finish()'],
    ['it has crashed', 'crash', 'process.exit(9)'],
  ])('it is counted why it went: %s', async (_what, reason, end) => {
    const { supervisor, port, pid } = await superviseHere(`let finish;
      export const finished = new Promise((resolve) => { finish = resolve; });
      export default (req, res) => {
        res.end(String(process.pid));
        if (req.url === '/end') setImmediate(() => ${end});
      };`);
    await ask(port, '/end');
    await until(async () => Number(await ask(port, '/pid').catch(() => pid)) !== pid);
    const { restarts } = await supervisor.status();
    expect(Object.entries(restarts).filter(([, count]) => count > 0)).toEqual([[reason, 1]]);
  });
});

describe('start', () => {
  test("a worker's own reason arrives with everything that users read", async () => {
    const socket = await holdSocket({ kind: 'tcp', host: '127.0.0.1', port: 0 });
    const supervisor = new Supervisor({
      entry: join(FIXTURES, 'refuses-to-start.mjs'),
      boot: {},
      sockets: [socket],
      workers: 2,
      gracefulTimeout: 5,
      log: silentLogger,
      env: { ...process.env, PASTER_BUILD: site.build },
    });
    const error = await supervisor.start().then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(ConfigError);
    expect(error).toMatchObject({
      message: 'the colour is unknown',
      code: 'PASTER_TEST',
      exitStatus: 2,
      hint: 'there are: red, green',
      location: { file: '/etc/app.ini', line: 3, column: 7 },
      cause: { message: 'deep down', name: 'TypeError' },
    });
    await supervisor.finished;
    expect((await supervisor.status()).workers).toEqual([]);
  });

  test('a worker that dies without a word is reported too', async () => {
    site.program = new Program(site.build, { entry: join(FIXTURES, 'dies-while-starting.mjs'), boot: {} });
    await expect(site.program.ready()).rejects.toThrow('failed a worker ended with status 7 before it could serve');
  });
});

describe('workers', () => {
  test('all of them serve', async () => {
    const port = await start({ workers: 2 });
    expect((await pids(port, 2)).size).toBe(2);
  });

  test('one that is killed is replaced, and nobody is refused meanwhile', async () => {
    const port = await start();
    const [first] = await pids(port, 1);
    process.kill(Number(first), 'SIGKILL');
    await until(() => !isAlive(Number(first)));
    expect(await ask(port)).toBe('one');
    expect(logOf()).toMatch(/worker \d+ ended by SIGKILL/);
  });

  test('one that exits by itself is replaced', async () => {
    const port = await start();
    await expect(ask(port, '/exit')).rejects.toThrow();
    expect(await ask(port)).toBe('one');
  });

  test('one that stands still is killed and replaced', async () => {
    const port = await start({ workerTimeout: 1 });
    await expect(ask(port, '/stick')).rejects.toThrow();
    expect(await ask(port)).toBe('one');
    expect(logOf()).toMatch(/has stood still for 1 s and is killed/);
  });

  test('max_requests under load: workers change, and no request fails', async () => {
    const port = await start({ workers: 2, maxRequests: 200, maxRequestsJitter: 100 });
    const traffic = load(port);
    await until(() => (logOf().match(/takes over/g)?.length ?? 0) >= 5, logOf);
    await traffic.stop();
    expect(traffic.failures).toEqual([]);
  });

  test('TTIN adds one and TTOU takes one away, but never the last', async () => {
    const port = await start();
    wave('SIGTTIN');
    await site.program?.logged(/2 workers/);
    expect((await pids(port, 2)).size).toBe(2);
    wave('SIGTTOU');
    await site.program?.logged(/1 workers/);
    wave('SIGTTOU');
    expect(await ask(port)).toBe('one');
  });
});

describe('HUP', () => {
  test.each([
    { workers: 1, keepAlive: false },
    { workers: 2, keepAlive: false },
    { workers: 2, keepAlive: true },
  ])('ten under load, and no request fails: %o', async ({ workers, keepAlive }) => {
    const port = await start({ workers });
    const traffic = load(port, 8, keepAlive);
    for (let round = 1; round <= 10; round++) {
      saveByRename(site.app, appAnswering(`round ${round}`));
      wave('SIGHUP');
      await until(() => (logOf().match(/^reloaded$/gm)?.length ?? 0) >= round, logOf);
    }
    await until(() => traffic.answers.has('round 10'));
    await traffic.stop();
    expect(traffic.failures).toEqual([]);
    expect(traffic.total).toBeGreaterThan(100);
    expect(await ask(port)).toBe('round 10');
  });

  test('a version that does not start leaves the old one serving, and says why', async () => {
    const port = await start({ workers: 2 });
    const before = await pids(port, 2);
    saveByRename(site.app, 'throw new Error("no such luck");\n');
    wave('SIGHUP');
    await site.program?.logged(/does not start, the old one goes on: no such luck/);
    expect(await pids(port, 2)).toEqual(before);
    saveByRename(site.app, appAnswering('better'));
    wave('SIGHUP');
    await site.program?.logged(/^reloaded$/m);
    expect(await ask(port)).toBe('better');
  });
});

test('a HUP takes the place of one whose workers never become ready', async () => {
  const port = await start({ workers: 2 });
  const never = 'setInterval(() => {}, 1000);\nawait new Promise(() => {});\n';
  saveByRename(site.app, never);
  wave('SIGHUP');
  await site.program?.logged(/^reloading/m);
  saveByRename(site.app, appAnswering('better'));
  wave('SIGHUP');
  await site.program?.logged(/^starting over: a newer reload was asked for$/m);
  await site.program?.logged(/^reloaded$/m);
  expect(await ask(port)).toBe('better');
  expect(logOf()).not.toContain('does not start');
});

describe('the end', () => {
  test('TERM finishes what is in flight and refuses what comes after', async () => {
    const port = await start();
    const slow = ask(port, '/slow');
    // It has to have arrived: a request on a later connection is answered after it was accepted.
    await ask(port);
    wave('SIGTERM');
    expect(await slow).toBe('one');
    await until(() => site.program?.exited ?? false);
    expect(site.program?.child.exitCode).toBe(0);
    await expect(ask(port)).rejects.toThrow('ECONNREFUSED');
  });

  test('INT cuts it short', async () => {
    const port = await start();
    const [pid] = await pids(port, 1);
    const idle = connect(port, '127.0.0.1');
    idle.on('error', () => {});
    await ask(port);
    wave('SIGTERM');
    wave('SIGINT');
    await until(() => site.program?.exited ?? false);
    expect(isAlive(Number(pid))).toBe(false);
    idle.destroy();
  });

  test('workers and spares whose supervisor was killed end by themselves', async () => {
    const port = await start({ workers: 2, reload: {} });
    const found = await pids(port, 2);
    const group = processesOf(site.program?.child.pid ?? 0);
    expect(group.length).toBe(4);
    expect(group).toEqual(expect.arrayContaining([...found]));
    const died = Date.now();
    await site.program?.end();
    await until(() => group.every((pid) => !isAlive(pid)));
    // 2 s are promised; the rest is for a slow machine.
    expect(Date.now() - died).toBeLessThan(4000);
  });
});

function processesOf(parent: number): number[] {
  return execFileSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' })
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .filter(([, ppid]) => ppid === parent)
    .flatMap(([pid]) => (pid === undefined ? [] : [pid]))
    .filter(isAlive);
}
