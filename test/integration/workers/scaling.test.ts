/** `workers = 1-3`: more workers under load, fewer afterwards; no request fails, and no ending worker aborts one. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import WebSocket from 'ws';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { echoingApp, Load } from '../../helpers/programs/load.ts';
import { eventually, needProgram, type Program, paster, serve } from '../../helpers/programs/program.ts';
import { ask, askForStart } from '../../helpers/requests/ask.ts';
import { startNginx } from '../../helpers/web-servers/front-end.ts';
import { FastcgiClient } from '../../servers/fastcgi/client.ts';
import { ScgiClient } from '../../servers/scgi/client.ts';

/** Computes for some milliseconds, then echoes; holds requests and WebSockets. */
const APP = `import { existsSync } from 'node:fs';
import { WebSocketServer } from 'ws';
import echo from './echo.js';
const sockets = new WebSocketServer({ noServer: true });
async function app(req, res) {
  if (req.url === '/held') {
    res.write(String(process.pid));
    while (!existsSync(new URL('./go', import.meta.url))) await new Promise((r) => setTimeout(r, 10));
    return res.end(' done');
  }
  const end = performance.now() + (req.url === '/pid' ? 0 : 4);
  while (performance.now() < end);
  echo(req, res);
}
app.upgrade = (req, socket, head) => sockets.handleUpgrade(req, socket, head, (each) => each.send(String(process.pid)));
export default app;
`;

const HTTP = 'use = npm:paster#http\nport = 0';

interface Site {
  readonly directory: string;
  readonly program: Program & { url: string };
  /** The numbers of workers that were logged, in order. */
  readonly counts: () => number[];
}

async function start(settings: string, args: readonly string[] = []): Promise<Site> {
  const directory = temporaryDirectory({
    'package.json': '{"type": "module"}',
    'app.js': APP.replace("'ws'", JSON.stringify(import.meta.resolve('ws'))),
    'echo.js': echoingApp('v0'),
    'x.ini': `[app:main]\nuse = module:./app.js\n\n[server:main]\n${settings}\n`,
  });
  const program = await serve(['x.ini', '-v', ...args], { cwd: directory });
  const counts = () => [...program.output.matchAll(/^(\d+) workers? \(/gm)].map(([, count]) => Number(count));
  return { directory, program, counts };
}

const isAscending = (counts: readonly number[]) => counts.every((count, index) => count > (counts[index - 1] ?? 0));

test.each([true, false])('the number goes from one to three and back, with keep-alive: %s', async (keepAlive) => {
  const { directory, program, counts } = await start(`${HTTP}\nworkers = 1-3\nidle_timeout = 1`);
  const load = new Load(program.url, { clients: 12, keepAlive });
  await eventually(() => counts().at(-1) === 3);
  await eventually(() => load.workers.size === 3);
  expect((await paster(['status', 'x.ini'], { cwd: directory }).finished()).stdout).toContain('3 workers of 1-3');
  // Under the same load the number stays, for longer than idle_timeout.
  await sleep(1500);
  const up = counts();
  expect(isAscending(up)).toBe(true);
  await load.stop();
  await eventually(() => counts().at(-1) === 1);
  expect(counts().slice(up.length)).toEqual([2, 1]);
  expect(load.failures).toEqual([]);
  expect(program.output).toMatch(/^\d workers \(\d more\): event loops are busy for \d+ % of the time$/m);
  expect(program.output).toMatch(/^1 worker \(1 fewer\): not needed for 1 s$/m);
});

test('no request fails under a varying load', async () => {
  const { program, counts } = await start(`${HTTP}\nworkers = 0-3\nidle_timeout = 0.3`);
  for (let round = 0; round < 3; round++) {
    const load = new Load(program.url, { clients: 8, keepAlive: round % 2 === 0 });
    const before = counts().length;
    await eventually(() => counts().length > before && load.answered > 100);
    await load.stop();
    expect(load.failures).toEqual([]);
    await eventually(() => (program.output.match(/^no worker/gm)?.length ?? 0) > round);
  }
});

test('keep-alive connections of a web server move to workers that start later', async () => {
  const { directory, counts } = await start(
    'use = npm:paster#fastcgi\nsocket = a.sock\nworkers = 1-2\nidle_timeout = 60',
  );
  const clients = await Promise.all(Array.from({ length: 8 }, () => FastcgiClient.connect(join(directory, 'a.sock'))));
  onTestFinished(() => {
    for (const client of clients) client.close();
  });
  const workers = new Set<string>();
  await Promise.all(
    clients.map(async (client, index) => {
      // Each connection continues until both workers have responded, and a little longer.
      for (let rest = 15; rest > 0; rest -= workers.size > 1 ? 1 : 0) {
        const { body } = await client.ask(1, { REQUEST_METHOD: 'GET', REQUEST_URI: `/${index}` });
        workers.add(/^v0 (\d+) /.exec(body.toString())?.[1] ?? body.toString());
      }
    }),
  );
  expect(counts()).toEqual([2]);
  expect(workers.size).toBe(2);
  expect(clients.some(({ isClosed }) => isClosed)).toBe(false);
});

test('behind nginx no request fails while workers start and end', async () => {
  const nginx = needProgram('nginx');
  const { directory, counts } = await start(
    'use = npm:paster#fastcgi\nsocket = a.sock\nmode = 666\nworkers = 1-3\nidle_timeout = 0.5',
  );
  chmodSync(directory, 0o755);
  const { url } = await startNginx(nginx, { socket: join(directory, 'a.sock') }, '');
  for (let round = 0; round < 2; round++) {
    const load = new Load(url, { clients: 12 });
    const before = counts().length;
    await eventually(() => counts().slice(before).includes(3) && load.workers.size === 3);
    // nginx keeps its connections to the workers that now end.
    const quiet = new Load(url, { clients: 2, pause: 60 });
    await load.stop();
    await eventually(() => counts().at(-1) === 1);
    await quiet.stop();
    expect([...load.failures, ...quiet.failures]).toEqual([]);
  }
});

/** Two workers, of which the load no longer needs both. */
async function twoWorkers(settings = ''): Promise<Site> {
  const site = await start(`${HTTP}\nworkers = 1-2\nidle_timeout = 1\n${settings}`);
  const load = new Load(site.program.url, { clients: 8 });
  await eventually(() => site.counts().at(-1) === 2 && load.workers.size === 2);
  await load.stop();
  return site;
}

test('a worker with a request in flight keeps running', async () => {
  const { directory, program, counts } = await twoWorkers();
  const held = new Map<string, Promise<string>>();
  while (held.size < 2) {
    const { first, rest } = await askForStart(program.url, '/held');
    held.set(first, rest);
  }
  // Longer than idle_timeout, after which a worker without a request would end.
  await sleep(3000);
  expect(counts()).toEqual([2]);
  writeFileSync(join(directory, 'go'), '');
  for (const [pid, rest] of held) expect(await rest).toBe(`${pid} done`);
  await eventually(() => counts().at(-1) === 1);
});

test('a worker with a WebSocket keeps running', async () => {
  const { program, counts } = await twoWorkers();
  const sockets: WebSocket[] = [];
  const workers = new Set<string>();
  while (workers.size < 2) {
    const socket = new WebSocket(program.url.replace('http', 'ws'));
    sockets.push(socket);
    workers.add(await new Promise((resolve) => socket.once('message', (data) => resolve(String(data)))));
  }
  onTestFinished(() => {
    for (const socket of sockets) socket.terminate();
  });
  // Longer than idle_timeout, after which a worker without a WebSocket would end.
  await sleep(3000);
  expect(counts()).toEqual([2]);
  expect(sockets.every(({ readyState }) => readyState === WebSocket.OPEN)).toBe(true);
  for (const socket of sockets) socket.close();
  await eventually(() => counts().at(-1) === 1);
});

test('HUP applies a new range, or a fixed number', async () => {
  const { directory, program, counts } = await twoWorkers();
  const load = new Load(program.url, { clients: 4, pause: 20 });
  const change = async (to: string, reloads: number) => {
    const text = `[app:main]\nuse = module:./app.js\n\n[server:main]\n${HTTP}\nworkers = ${to}\nidle_timeout = 1\n`;
    writeFileSync(join(directory, 'x.ini'), text);
    program.child.kill('SIGHUP');
    await eventually(() => (program.output.match(/^reloaded$/gm)?.length ?? 0) === reloads);
  };
  await change('3-4', 1);
  await program.says(/^3 workers: reloaded$/m);
  // Longer than idle_timeout: the lower bound keeps all three workers.
  await sleep(1500);
  expect(counts()).toEqual([2]);
  await change('2', 2);
  await program.says(/^2 workers$/m);
  await load.stop();
  expect(load.failures).toEqual([]);
  expect((await paster(['status', 'x.ini'], { cwd: directory }).finished()).stdout).not.toContain('workers of ');
});

test.each([
  ['max_requests_in_flight', 'HTTP', HTTP],
  ['max_connections', 'HTTP', HTTP],
  ['max_connections', 'SCGI', 'use = npm:paster#scgi\nsocket = a.sock'],
])('a worker at its limit counts as busy: %s of %s', async (limit, _protocol, server) => {
  const { directory, program, counts } = await start(`${server}\nworkers = 1-2\n${limit} = 1`);
  const isHttp = server === HTTP;
  const held = isHttp
    ? (await askForStart(program.url, '/held')).rest
    : (await ScgiClient.connect(join(directory, 'a.sock')))
        .ask({ REQUEST_URI: '/held' })
        .then(({ body }) => String(body));
  await eventually(() => counts().at(-1) === 2);
  // The new worker gets the requests that the other one refuses.
  if (isHttp) await eventually(async () => (await ask(program.url, '/')).status === 200);
  writeFileSync(join(directory, 'go'), '');
  expect(await held).toMatch(/ done$/);
});

test('the number does not change while a canary is on trial', async () => {
  const { directory, program, counts } = await start(`${HTTP}\nworkers = 1-3\ncanary = 2`);
  writeFileSync(join(directory, 'echo.js'), echoingApp('v1'));
  program.child.kill('SIGHUP');
  await program.says(/serves beside the old one for 2 s/);
  const load = new Load(program.url, { clients: 12 });
  await program.says(/^reloaded$/m);
  expect(counts()).toEqual([]);
  await eventually(() => counts().at(-1) === 3);
  await load.stop();
  expect(load.failures).toEqual([]);
});

test('the metrics and the status page show the range', async () => {
  const directory = temporaryDirectory({
    'x.ini': `[composite:main]
use = npm:paster#urlmap
/metrics = metrics
/ = status

[app:metrics]
use = npm:paster#metrics

[app:status]
use = npm:paster#status

[server:main]
${HTTP}
workers = 2-3
`,
  });
  const program = await serve(['x.ini'], { cwd: directory });
  const metrics = (await ask(program.url, '/metrics')).body.toString();
  expect(metrics).toMatch(/^paster_workers_wanted 2$/m);
  expect(metrics).toMatch(/^paster_workers_min 2$/m);
  expect(metrics).toMatch(/^paster_workers_max 3$/m);
  const page = await ask(program.url, '/', { headers: { accept: 'text/html' } });
  expect(page.body.toString()).toContain('2 workers of 2-3');
});

test('with --reload the lower bound of a range is the number of workers', async () => {
  const { directory, program } = await start(`${HTTP}\nworkers = 2-4`, ['--reload']);
  const seen = new Set<string>();
  await eventually(async () => {
    seen.add((await ask(program.url, '/pid')).body.toString().split(' ')[1] ?? '');
    return seen.size === 2;
  });
  const { stdout } = await paster(['status', 'x.ini'], { cwd: directory }).finished();
  // A spare worker is on standby and serves nothing.
  expect(stdout.match(/^worker \d+, up /gm)).toHaveLength(2);
  expect(stdout).not.toContain('of 2-4');
});
