/** A range of workers combined with everything else that starts, ends and chooses workers: no request fails, and the number stays in the range. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { runHere } from '../../helpers/programs/command.ts';
import { echoingApp, Load } from '../../helpers/programs/load.ts';
import { eventually, freePort, paster } from '../../helpers/programs/program.ts';
import { saveByRename } from '../../process/program.ts';
import { FastcgiClient } from '../../servers/fastcgi/client.ts';

/** Computes for some milliseconds, uses some memory, and echoes. */
const app = (version: string) =>
  `const kept = [];\n${echoingApp(version).replace('export default', 'const echo =')}
export default (req, res) => {
  const end = performance.now() + 4;
  while (performance.now() < end);
  kept.push(Buffer.alloc(100_000, 1));
  echo(req, res);
};
`;

/** Sends requests over keep-alive FastCGI connections, like a web server, until it is stopped. */
class FastcgiLoad {
  readonly failures: string[] = [];
  readonly #running: Promise<unknown>;
  #isStopped = false;

  constructor(socket: string, clients: number) {
    this.#running = Promise.all(Array.from({ length: clients }, (_, client) => this.#client(socket, client)));
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  async #client(socket: string, number: number): Promise<void> {
    const client = await FastcgiClient.connect(socket);
    for (let round = 0; !this.#isStopped && this.failures.length === 0; round++) {
      const path = `/${number}/${round}`;
      const { body } = await client.ask(1, { REQUEST_URI: path }, {});
      if (!body.toString().endsWith(` GET ${path} `)) this.failures.push(`${path}: ${body}`);
    }
    client.close();
  }
}

const WEB = '[server:web]\nuse = npm:paster#fastcgi\nsocket = a.sock\n';

test.each([
  ['two servers and max_requests', '0-3', 'max_requests = 5', /max_requests/],
  ['sticky, a spare worker and max_memory', '1-3', 'sticky = true\nspare_workers = 1\nmax_memory = 75', /max_memory/],
])('no request fails with %s', async (_what, range, settings, restarts) => {
  const least = Number(range[0]);
  const port = await freePort();
  const live = `[server:live]\nuse = npm:paster#http\nport = ${port}\n`;
  const processes = `workers = ${range}\nidle_timeout = 1\n${settings}\n`;
  const isSticky = settings.includes('sticky');
  const servers = isSticky ? live + processes : WEB + processes + live;
  const directory = temporaryDirectory({
    'package.json': '{"type": "module"}',
    'app.js': app('v0'),
    'x.ini': `[paster]\nserve = ${isSticky ? 'live' : 'web, live'}\n[app:main]\nuse = module:./app.js\n${servers}`,
  });
  const program = paster(['serve', 'x.ini'], { cwd: directory });
  await program.says(/^serving on http/m);
  const counts = () =>
    [...program.output.matchAll(/^(no|\d+) workers?(?: \(|:)/gm)].map(([, count]) => Number(count) || 0);
  const status = async () => (await runHere(['status', 'x.ini'], { cwd: directory })).stdout;
  if (least === 0) await eventually(() => counts().at(-1) === 0);

  const load = new Load(`http://127.0.0.1:${port}`, { clients: 8 });
  const web = isSticky ? undefined : new FastcgiLoad(join(directory, 'a.sock'), 4);
  await eventually(() => load.answered > 0);
  saveByRename(join(directory, 'app.js'), app('v1'));
  program.child.kill('SIGHUP');
  await eventually(() => load.versions.has('v1'));
  await eventually(() => counts().at(-1) === 3);
  await eventually(async () => restarts.test(await status()));
  expect(await status()).toContain(`3 workers of ${range}`);
  await load.stop();
  await web?.stop();
  await eventually(() => counts().at(-1) === 2);
  saveByRename(join(directory, 'app.js'), app('v2'));
  program.child.kill('SIGHUP');
  await eventually(() => counts().at(-1) === least);
  expect([...load.failures, ...(web?.failures ?? [])]).toEqual([]);
  expect(Math.max(...counts())).toBe(3);

  const last = new Load(`http://127.0.0.1:${port}`, { clients: 1 });
  await eventually(() => last.versions.has('v2'));
  await last.stop();
  expect([...last.versions]).toEqual(['v2']);
  expect((await program.kill('SIGTERM')).status).toBe(0);
});
