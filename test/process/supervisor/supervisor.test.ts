import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ConfigError } from '../../../src/errors.ts';
import { silentLogger } from '../../../src/log.ts';
import { holdSocket } from '../../../src/net/held-socket.ts';
import { Supervisor } from '../../../src/process/supervisor/supervisor.ts';
import type { SupervisorOptions } from '../../../src/process/supervisor/supervisor-options.ts';
import { isAlive } from '../../helpers/programs/program.ts';
import { appAnswering, ask, FIXTURES, load, Program, saveByRename, until } from '../program.ts';
import { Supervised } from './supervised.ts';

/** Milliseconds between the requests of a client under load: starting workers need the processors too. */
const PAUSE = 2;

const site = new Supervised();
const start = (options?: Record<string, unknown>) => site.start(options);
const logOf = () => site.log;

const pids = (port: number, count: number) => site.pids(port, count);
const children = () => site.children();

/** The spare process next to the only serving worker, once it has started. */
async function spareOf(serving: number): Promise<number> {
  let others: number[] = [];
  await until(() => {
    others = children().filter((pid) => pid !== serving);
    return children().includes(serving) && others.length === 1;
  });
  return others[0] ?? 0;
}

const sendSignal = (signal: NodeJS.Signals) => site.program?.signal(signal);

/** A supervisor in this process, with one worker that serves its own module. */
async function superviseHere(
  app: string,
  options: Partial<SupervisorOptions<unknown>> = {},
): Promise<{ supervisor: Supervisor<unknown>; port: number; pid: number }> {
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
    ...options,
  });
  onTestFinished(() => supervisor.stop({ graceful: false }));
  await supervisor.start();
  const port = socket.address.kind === 'tcp' ? socket.address.port : 0;
  return { supervisor, port, pid: Number(await ask(port, '/pid')) };
}

describe('the status of workers', () => {
  test('a blocked worker is asked once, however many clients request the status', async () => {
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
    ['it received TERM', 'signal', "process.kill(process.pid, 'SIGTERM')"],
    ['its server has ended by itself', 'finished', 'finish()'],
    ['it has crashed', 'crash', 'process.exit(9)'],
  ])('counts why a worker ended: %s', async (_what, reason, end) => {
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
  test("a worker's error arrives with everything that users read", async () => {
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

  test('a worker that dies without a message is reported too', async () => {
    site.program = new Program(site.build, { entry: join(FIXTURES, 'dies-while-starting.mjs'), boot: {} });
    await expect(site.program.ready()).rejects.toThrow('failed a worker ended with status 7 before it could serve');
  });
});

describe('workers', () => {
  test('all workers serve', async () => {
    const port = await start({ workers: 2 });
    expect((await pids(port, 2)).size).toBe(2);
  });

  test('a killed worker is replaced, and no connection is refused meanwhile', async () => {
    const port = await start();
    const [first] = await pids(port, 1);
    process.kill(Number(first), 'SIGKILL');
    await until(() => !isAlive(Number(first)));
    expect(await ask(port)).toBe('one');
    expect(logOf()).toMatch(/worker \d+ ended by SIGKILL/);
  });

  test.each([
    ['replaced', 'SIGHUP'],
    ['stopped', 'SIGTERM'],
  ] as const)('the death of a worker that is %s is reported, since it loses requests', async (_what, order) => {
    writeFileSync(site.app, 'export default (req, res) => void (req.url === "/pid" && res.end(String(process.pid)));');
    const port = await start({ gracefulTimeout: 30 });
    const [first] = await pids(port, 1);
    const lost = expect(ask(port, '/never')).rejects.toThrow();
    await ask(port, '/pid');
    sendSignal(order);
    await until(() =>
      ask(port, '/pid').then(
        (pid) => pid !== String(first),
        () => true,
      ),
    );
    process.kill(Number(first), 'SIGKILL');
    await lost;
    await until(() => logOf().includes(`worker ${first} ended by SIGKILL while it finished its last requests`), logOf);
  });

  test('a worker that exits by itself is replaced', async () => {
    const port = await start();
    await expect(ask(port, '/exit')).rejects.toThrow();
    expect(await ask(port)).toBe('one');
  });

  test('a spare worker replaces one that exits, and another spare worker starts', async () => {
    const port = await start({ spareWorkers: 1 });
    const [first] = await pids(port, 1);
    const spare = await spareOf(Number(first));
    await expect(ask(port, '/exit')).rejects.toThrow();
    expect(await ask(port, '/pid')).toBe(String(spare));
    expect(await spareOf(spare)).not.toBe(first);
  });

  test('after repeated crashes the next worker starts after a pause', async () => {
    const port = await start();
    for (let crash = 1; crash <= 2; crash++) {
      expect(logOf()).not.toContain('the next worker starts');
      await expect(ask(port, '/exit')).rejects.toThrow();
      expect(await ask(port)).toBe('one');
    }
    expect(logOf()).toContain('the next worker starts in 100 ms');
  });

  test('after repeated crashes an existing spare worker starts without a pause, and the next spare one after a pause', async () => {
    const port = await start({ spareWorkers: 1 });
    let serving = Number(await ask(port, '/pid'));
    for (let crash = 1; crash <= 2; crash++) {
      const spare = await spareOf(serving);
      await until(() => logOf().includes(`worker ${spare} has no packages to import ahead`), logOf);
      await expect(ask(port, '/exit')).rejects.toThrow();
      serving = Number(await ask(port, '/pid'));
      expect(serving).toBe(spare);
    }
    expect(logOf()).toContain('the next spare worker starts in 100 ms');
    expect(logOf()).not.toContain('the next worker starts');
  });

  test('a spare worker of the version before a HUP is not used', async () => {
    const port = await start({ spareWorkers: 1 });
    const [first] = await pids(port, 1);
    const spare = await spareOf(Number(first));
    sendSignal('SIGHUP');
    await until(() => logOf().includes('reloaded'), logOf);
    const serving = Number(await ask(port, '/pid'));
    expect(serving).not.toBe(spare);
    expect(await spareOf(serving)).not.toBe(spare);
    expect(isAlive(spare)).toBe(false);
  });

  test('a blocked worker is killed and replaced', async () => {
    const port = await start({ workerTimeout: 1 });
    await expect(ask(port, '/stick')).rejects.toThrow();
    expect(await ask(port)).toBe('one');
    expect(logOf()).toMatch(/has been blocked for 1 s and is killed/);
  });

  test('max_requests replaces workers under load without a failed request', async () => {
    const port = await start({ workers: 2, maxRequests: 100, maxRequestsJitter: 50 });
    const traffic = load(port, 8, false, PAUSE);
    await until(() => (logOf().match(/takes over/g)?.length ?? 0) >= 5, logOf);
    await traffic.stop();
    expect(traffic.failures).toEqual([]);
  });

  test('TTIN adds a worker and TTOU removes one, but never the last', async () => {
    const port = await start();
    sendSignal('SIGTTIN');
    await site.program?.logged(/2 workers/);
    expect((await pids(port, 2)).size).toBe(2);
    sendSignal('SIGTTOU');
    await site.program?.logged(/1 worker\n/);
    sendSignal('SIGTTOU');
    expect(await ask(port)).toBe('one');
    sendSignal('SIGTTIN');
    // It would be "1 worker" if the last one had ended.
    await site.program?.logged(/2 workers\n[\s\S]*2 workers\n/);
    expect(logOf()).not.toMatch(/^0 workers$/m);
  });
});

describe.runIf(process.platform === 'linux')('process titles, as ps shows them', () => {
  const titles = () =>
    children()
      .map((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').replace(/\0+$/, ''))
      .sort();

  test('name each worker', async () => {
    await start({ workers: 2, spareWorkers: 1, served: 'etc/config.ini' });
    const spare = 'paster: spare worker etc/config.ini';
    await until(
      () => titles().join() === `${spare},paster: worker 1 of 2 etc/config.ini,paster: worker 2 of 2 etc/config.ini`,
    );
    sendSignal('SIGTTOU');
    await until(() => titles().join() === `${spare},paster: worker 1 of 1 etc/config.ini`);
  });

  test('an application keeps the title that it has set', async () => {
    writeFileSync(site.app, `process.title = 'shop';\n${appAnswering('one')}`);
    await start({ served: 'etc/config.ini' });
    sendSignal('SIGTTIN');
    await site.program?.logged(/^2 workers$/m);
    expect(titles()).toEqual(['shop', 'shop']);
  });
});

test('a change of modules alone does not reload the configuration, unless no version of it has loaded', async () => {
  const ini = join(site.directory, 'x.ini');
  writeFileSync(ini, '1');
  const onlyCode: boolean[] = [];
  const done: boolean[] = [];
  const { port } = await superviseHere(appAnswering('one'), {
    reload: { files: [ini], onReload: () => void done.push(true) },
    revise(current, isOnlyCode) {
      onlyCode.push(isOnlyCode);
      return Promise.resolve(current);
    },
  });
  const becomes = async (answer: string, source = appAnswering(answer)) => {
    onlyCode.length = 0;
    writeFileSync(site.app, source);
    await until(async () => (await ask(port).catch(() => '')).startsWith(answer));
    return onlyCode;
  };
  expect(await becomes('two')).toEqual([true]);
  await until(() => done.length === 1);
  writeFileSync(ini, '2');
  await until(() => done.length === 2);
  expect(onlyCode).toEqual([true, false]);
  expect(await becomes('three')).toEqual([true]);
  await until(() => done.length === 3);
  expect(await becomes('FAILED', 'throw new Error()')).toEqual([true]);
  writeFileSync(ini, '3');
  await until(() => onlyCode.includes(false));
  expect(await becomes('four')).not.toContain(true);
  await until(() => done.length === 4);
  expect(await becomes('five')).toEqual([true]);
});

describe('HUP', () => {
  test.each([
    { workers: 1, keepAlive: false },
    { workers: 2, keepAlive: false },
    { workers: 2, keepAlive: true },
  ])('four of them under load fail no request: %o', async ({ workers, keepAlive }) => {
    const port = await start({ workers });
    const traffic = load(port, 8, keepAlive, PAUSE);
    for (let round = 1; round <= 4; round++) {
      saveByRename(site.app, appAnswering(`round ${round}`));
      sendSignal('SIGHUP');
      await until(() => (logOf().match(/^reloaded$/gm)?.length ?? 0) >= round, logOf);
    }
    await until(() => traffic.answers.has('round 4'));
    await traffic.stop();
    expect(traffic.failures).toEqual([]);
    expect(traffic.total).toBeGreaterThan(100);
    expect(await ask(port)).toBe('round 4');
  });

  test('a version that does not start leaves the old one serving, and the error is reported', async () => {
    const port = await start({ workers: 2 });
    const before = await pids(port, 2);
    saveByRename(site.app, 'throw new Error("no such luck");\n');
    sendSignal('SIGHUP');
    await site.program?.logged(/does not start, the old one keeps running: no such luck/);
    expect(await pids(port, 2)).toEqual(before);
    saveByRename(site.app, appAnswering('better'));
    sendSignal('SIGHUP');
    await site.program?.logged(/^reloaded$/m);
    expect(await ask(port)).toBe('better');
  });
});

test.each([
  ['one', 'SIGHUP', /^starting over: a newer reload was requested$/m],
  ['a TTIN', 'SIGTTIN', /^another worker does not start: a reload was requested$/m],
] as const)('a HUP replaces %s whose workers never get ready, without an error', async (_what, signal, message) => {
  const port = await start({ workers: 2 });
  saveByRename(site.app, "console.error('begun');\nsetInterval(() => {}, 1000);\nawait new Promise(() => {});\n");
  sendSignal(signal);
  await site.program?.logged(/^begun$/m);
  saveByRename(site.app, appAnswering('better'));
  sendSignal('SIGHUP');
  await site.program?.logged(message);
  await site.program?.logged(/^reloaded$/m);
  expect(await ask(port)).toBe('better');
  expect(site.program?.log).not.toMatch(/^error: /m);
});

test('a worker that a reload interrupts finishes its requests if it already serves', async () => {
  const app = appAnswering('whole').replace('400', '1500');
  const { supervisor, port, pid } = await superviseHere(app, { gracefulTimeout: 10 });
  const client = (code: string) => [
    '--input-type=module',
    '-e',
    `const ask = async (path) => {
    const response = await fetch('http://127.0.0.1:${port}' + path, { headers: { connection: 'close' } });
    return response.text();
  };\n${code}`,
  ];
  const added = supervisor.changes.add();
  await setImmediate();
  // This blocks the process of the supervisor, which therefore does not know that the worker is ready.
  execFileSync(process.execPath, client(`while (await ask('/pid') === '${pid}');`), { timeout: 20_000 });
  const output = openSync(join(site.directory, 'output'), 'w');
  const asking = spawn(
    process.execPath,
    client(`
    const responses = Promise.all(Array.from({ length: 16 }, () => ask('/slow').catch(String)));
    setTimeout(() => console.log('asked'), 300);
    console.log(new Set(await responses));
  `),
    { stdio: ['ignore', output, output] },
  );
  const said = () => readFileSync(join(site.directory, 'output'), 'utf8');
  for (let rounds = 0; rounds < 200 && said() === ''; rounds++) execFileSync('sleep', ['0.05']);
  const reloaded = supervisor.reload('test');
  expect(await added).toMatchObject({ ok: false, error: { message: 'a reload was requested' } });
  expect(await reloaded).toEqual({ ok: true });
  await once(asking, 'exit');
  expect(said()).toBe("asked\nSet(1) { 'whole' }\n");
});

describe('the end', () => {
  test('TERM finishes requests in flight and refuses later ones', async () => {
    const port = await start();
    const slow = ask(port, '/slow');
    // The response to a later connection shows that the first one has been accepted.
    await ask(port);
    sendSignal('SIGTERM');
    expect(await slow).toBe('one');
    await until(() => site.program?.exited ?? false);
    expect(site.program?.child.exitCode).toBe(0);
    await expect(ask(port)).rejects.toThrow('ECONNREFUSED');
  });

  test('INT ends a graceful stop at once', async () => {
    const port = await start();
    const [pid] = await pids(port, 1);
    const idle = connect(port, '127.0.0.1');
    idle.on('error', () => {});
    await ask(port);
    sendSignal('SIGTERM');
    sendSignal('SIGINT');
    await until(() => site.program?.exited ?? false);
    expect(isAlive(Number(pid))).toBe(false);
    idle.destroy();
  });

  test('workers and spare workers end by themselves when their supervisor is killed', async () => {
    const port = await start({ workers: 2, reload: {} });
    const found = await pids(port, 2);
    const children = (): number[] => processesOf(site.program?.child.pid ?? 0);
    // The spare workers start a moment after the workers are ready.
    await until(() => children().length === 4);
    const group = children();
    expect(group).toEqual(expect.arrayContaining([...found]));
    const died = Date.now();
    await site.program?.end();
    await until(() => group.every((pid) => !isAlive(pid)));
    // 2 s are documented; the rest is for a slow machine.
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
