/** A keep-alive connection of a web server outlives its worker: a worker that ends hands it over to another one. */
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { eventually, freePort, type Program, serve } from '../../helpers/programs/program.ts';
import { FastcgiClient } from '../../servers/fastcgi/client.ts';

const APP = `import { existsSync } from 'node:fs';
export default async (req, res) => {
  while (req.url === '/held' && !existsSync(new URL('./go', import.meta.url))) await new Promise((r) => setTimeout(r, 10));
  if (req.url === '/grow') globalThis.held = Buffer.alloc(200 * 2 ** 20, 1);
  const parts = [];
  for await (const part of req) parts.push(part);
  res.end(process.pid + ' ' + Buffer.concat(parts));
};
`;

interface Site {
  readonly directory: string;
  readonly program: Program;
  /** Opens this number of connections. */
  connect(count: number): Promise<FastcgiClient[]>;
}

async function start(
  settings: string,
  { over = 'Unix', args = [] }: { over?: 'Unix' | 'TCP'; args?: readonly string[] } = {},
): Promise<Site> {
  const port = await freePort();
  const address = over === 'Unix' ? 'socket = a.sock' : `host = 127.0.0.1\nport = ${port}`;
  const directory = temporaryDirectory({ 'package.json': '{"type": "module"}', 'app.js': APP });
  configure(directory, `use = npm:paster#fastcgi\n${address}\n${settings}`);
  const program = await serve(['x.ini', '-v', ...args], { cwd: directory });
  return {
    directory,
    program,
    connect: (count) =>
      Promise.all(
        Array.from({ length: count }, async () => {
          const client = await FastcgiClient.connect(over === 'Unix' ? join(directory, 'a.sock') : port);
          onTestFinished(() => client.close());
          return client;
        }),
      ),
  };
}

function configure(directory: string, server: string): void {
  writeFileSync(join(directory, 'x.ini'), `[app:main]\nuse = module:./app.js\n\n[server:main]\n${server}\n`);
}

/** Sends a request whose body is echoed. @returns the PID of the worker that responded. */
async function ask(client: FastcgiClient, path = '/'): Promise<number> {
  const answer = await client.ask(1, { REQUEST_METHOD: 'POST', REQUEST_URI: path }, { body: 'whole' });
  const [, pid] = /^(\d+) whole$/.exec(answer.body.toString()) ?? [];
  if (pid === undefined) throw new Error(`no answer, but ${answer.stdout}${answer.stderr}`);
  return Number(pid);
}

const askAll = (clients: readonly FastcgiClient[]) => Promise.all(clients.map((client) => ask(client)));

async function hangUp({ program }: Site): Promise<void> {
  program.child.kill('SIGHUP');
  await program.says(/^reloaded$/m);
}

/** Counted only on Linux. */
function openFiles(pid: number): number {
  return existsSync('/proc/self/fd') ? readdirSync(`/proc/${pid}/fd`).length : 0;
}

/** The number of connections that each worker holds. */
function shares(workers: readonly number[]): number[] {
  return [...new Set(workers)].map((worker) => workers.filter((each) => each === worker).length);
}

test.each(['Unix', 'TCP'] as const)('an idle connection survives a HUP, over %s', async (over) => {
  const site = await start('workers = 2', { over });
  const clients = await site.connect(20);
  const before = await askAll(clients);
  await hangUp(site);
  const after = await askAll(clients);
  expect(before.filter((worker) => after.includes(worker))).toEqual([]);
  expect(Math.min(...shares(after))).toBeGreaterThanOrEqual(7);
  expect(shares(after)).toHaveLength(2);
  expect(clients.some((client) => client.isClosed)).toBe(false);
});

test('the old worker finishes a request in flight, and then the connection goes to the new one', async () => {
  const site = await start('workers = 1');
  const [client] = await site.connect(1);
  if (!client) return expect.unreachable();
  const old = await ask(client);
  const held = ask(client, '/held');
  await hangUp(site);
  writeFileSync(join(site.directory, 'go'), '');
  expect(await held).toBe(old);
  expect(await ask(client)).not.toBe(old);
});

test('1,000 idle connections survive a HUP', async () => {
  const site = await start('workers = 2');
  const clients = await site.connect(1000);
  const before = new Set(await askAll(clients));
  const files = openFiles(site.program.pid);
  await hangUp(site);
  const after = await askAll(clients);
  expect(after.filter((worker) => before.has(worker))).toEqual([]);
  expect(Math.min(...shares(after))).toBeGreaterThanOrEqual(350);
  // The supervisor keeps no copy, which would keep connections open that both ends have closed.
  await eventually(() => openFiles(site.program.pid) < files + 100);
});

test('with --reload it gets the new version, the error page of one that does not load, and the version after that', async () => {
  const site = await start('workers = 2', { args: ['--reload'] });
  const clients = await site.connect(4);
  const before = await askAll(clients);
  writeFileSync(join(site.directory, 'app.js'), 'export default (;\n');
  await eventually(async () => {
    const answers = await Promise.all(clients.map((client) => client.ask(1, {})));
    return answers.every(({ status }) => status === 500);
  });
  writeFileSync(join(site.directory, 'app.js'), APP);
  await eventually(async () => (await clients[0]?.ask(1, {}))?.status === 200);
  for (const worker of await askAll(clients)) expect(before).not.toContain(worker);
});

test('at TTOU the connections of the removed worker go to the remaining one', async () => {
  const site = await start('workers = 2');
  const clients = await site.connect(8);
  expect(new Set(await askAll(clients)).size).toBe(2);
  site.program.child.kill('SIGTTOU');
  await eventually(async () => new Set(await askAll(clients)).size === 1);
});

test('at max_memory the connections of a worker that is too large go to its successor', async () => {
  const site = await start('workers = 1\nmax_memory = 200');
  const clients = await site.connect(4);
  const [grown = 0] = await askAll(clients);
  const [client] = clients;
  if (client) expect(await ask(client, '/grow')).toBe(grown);
  await eventually(async () => !(await askAll(clients)).includes(grown));
  expect(clients.some((each) => each.isClosed)).toBe(false);
});

test('if TERM is sent to the only worker, they wait for its successor', async () => {
  const site = await start('workers = 1');
  const clients = await site.connect(4);
  const [old = 0] = await askAll(clients);
  process.kill(old, 'SIGTERM');
  await site.program.says(new RegExp(`worker ${old} ended`));
  expect(await askAll(clients)).not.toContain(old);
});

test('if TERM is sent to all processes, as systemd does, requests in flight get their responses', async () => {
  const site = await start('workers = 1');
  const [client] = await site.connect(1);
  if (!client) return expect.unreachable();
  const worker = await ask(client);
  const held = ask(client, '/held');
  // It has been read by now, because the next request has been.
  await ask((await site.connect(1))[0] ?? client);
  process.kill(worker, 'SIGTERM');
  const ended = site.program.kill('SIGTERM');
  await eventually(() => !existsSync(join(site.directory, 'a.sock')));
  // Anything that would abort it has been sent by now.
  await sleep(200);
  writeFileSync(join(site.directory, 'go'), '');
  expect(await held).toBe(worker);
  expect((await ended).status).toBe(0);
});

test('no connection is lost if the worker that should take them dies first', async () => {
  const site = await start('workers = 2');
  const clients = await site.connect(8);
  const workers = await askAll(clients);
  const [leaving = 0] = workers;
  const dying = workers.find((each) => each !== leaving) ?? 0;
  // All of them are sent to this worker, which reads none.
  process.kill(dying, 'SIGSTOP');
  process.kill(leaving, 'SIGTERM');
  await site.program.says(new RegExp(`worker ${leaving} ended`));
  process.kill(dying, 'SIGKILL');
  const kept = clients.filter((_client, index) => workers[index] === leaving);
  expect(kept.length).toBeGreaterThan(0);
  for (const worker of await askAll(kept)) expect([leaving, dying]).not.toContain(worker);
});

test('they close if the new configuration has another protocol, and when the server stops', async () => {
  const site = await start('workers = 1');
  const [changed] = await site.connect(1);
  if (!changed) return expect.unreachable();
  await ask(changed);
  const socket = 'socket = a.sock';
  configure(site.directory, `use = npm:paster#http\n${socket}\nworkers = 1`);
  await hangUp(site);
  await changed.closed;

  const other = await start('workers = 1');
  const [stopped] = await other.connect(1);
  if (!stopped) return expect.unreachable();
  await ask(stopped);
  const ended = other.program.kill('SIGTERM');
  await stopped.closed;
  expect((await ended).status).toBe(0);
});
