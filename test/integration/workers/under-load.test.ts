/** Nothing that is done to a running server loses a request: reloads, replacements and deaths of workers, under load. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { echoingApp, Load, type LoadOptions } from '../../helpers/programs/load.ts';
import { eventually, type Program, requireProgram, serve } from '../../helpers/programs/program.ts';
import { startNginx, startNginxForScgi } from '../../helpers/web-servers/front-end.ts';
import { saveByRename } from '../../process/program.ts';

const nginx = requireProgram('nginx');

/** `PASTER_LOAD_TIMES=10` makes a long run: the factor for the number of reloads, deaths and edits. */
const TIMES = Number(process.env['PASTER_LOAD_TIMES'] ?? 1);
const HUPS = 4 * TIMES;
const SLOW_HUPS = 4 * TIMES;
const REPLACED = 4 * TIMES;
const KILLS = 2 * TIMES;
const EDITS = 5 * TIMES;

/**
 * Milliseconds that a client pauses: without pauses the clients take the processor from the workers that start meanwhile, and the tests
 * take longer without testing more. Some request is in flight nearly all the time.
 */
const PAUSE = 2;

interface Row extends LoadOptions {
  readonly over: 'HTTP' | 'FastCGI behind nginx' | 'SCGI behind nginx';
  readonly workers: 1 | 2;
}

const HTTP: readonly Row[] = [
  { over: 'HTTP', workers: 1, keepAlive: true },
  { over: 'HTTP', workers: 1, keepAlive: false },
  { over: 'HTTP', workers: 2, keepAlive: true },
  { over: 'HTTP', workers: 2, keepAlive: false },
];
const BEHIND_NGINX: readonly Row[] = nginx
  ? (['FastCGI behind nginx', 'SCGI behind nginx'] as const).flatMap((over) => [
      { over, workers: 1, keepAlive: true },
      { over, workers: 2, keepAlive: true },
    ])
  : [];
const ROWS = [...HTTP, ...BEHIND_NGINX];

const ADDRESSES = {
  HTTP: 'use = npm:paster#http\nport = 0',
  'FastCGI behind nginx': 'use = npm:paster#fastcgi\nsocket = a.sock',
  'SCGI behind nginx': 'use = npm:paster#scgi\nsocket = a.sock',
};

class Site {
  readonly directory: string;
  readonly program: Program;
  readonly url: string;

  constructor(directory: string, program: Program, url: string) {
    this.directory = directory;
    this.program = program;
    this.url = url;
  }

  static async start(
    { over, workers }: Row,
    {
      settings = '',
      args = [],
      app = echoingApp('v0'),
    }: { settings?: string; args?: readonly string[]; app?: string } = {},
  ): Promise<Site> {
    const directory = temporaryDirectory({
      'package.json': '{"type": "module"}',
      'app.js': app,
      'x.ini': `[app:main]\nuse = module:./app.js\n[server:main]\n${ADDRESSES[over]}\nworkers = ${workers}\n${settings}\n`,
    });
    const program = await serve(['x.ini', '-v', ...args], { cwd: directory });
    if (over === 'HTTP') return new Site(directory, program, program.url);
    const socket = join(directory, 'a.sock');
    const start =
      over === 'SCGI behind nginx' ? startNginxForScgi(nginx ?? '', socket) : startNginx(nginx ?? '', { socket });
    const { url } = await start;
    return new Site(directory, program, url);
  }

  /** Saves the application. */
  save(text: string): void {
    saveByRename(join(this.directory, 'app.js'), text);
  }

  /** Saves a version, reloads with HUP for the n-th time, and waits for a response of that version. */
  async reload(n: number, text: string, load: Load): Promise<void> {
    this.save(text);
    this.program.child.kill('SIGHUP');
    await eventually(() => this.count(/^reloaded$/gm) === n);
    await eventually(() => load.versions.has(`v${n}`));
  }

  count(pattern: RegExp): number {
    return this.program.output.match(pattern)?.length ?? 0;
  }
}

test.each(ROWS)('no request fails at HUP: $over, $workers workers, kept alive: $keepAlive', async (row) => {
  const site = await Site.start(row);
  const load = new Load(site.url, { ...row, pause: PAUSE });
  for (let round = 1; round <= HUPS; round++) {
    await site.reload(round, echoingApp(`v${round}`), load);
  }
  await load.stop();
  expect(load.failures).toEqual([]);
  expect(load.versions.size).toBe(HUPS + 1);
});

test.each(ROWS)(
  'no request fails at max_requests = 100: $over, $workers workers, kept alive: $keepAlive',
  async (row) => {
    const site = await Site.start(row, { settings: 'max_requests = 100' });
    const load = new Load(site.url, { ...row, pause: PAUSE });
    await eventually(() => site.count(/takes over from/g) >= REPLACED);
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(load.workers.size).toBeGreaterThanOrEqual(REPLACED);
  },
);

test('requests that begin before a HUP and end after it succeed, on keep-alive connections', async () => {
  const slow = (version: string) =>
    `const app = (() => { ${echoingApp(version)
      .replace(/^import.*\n/, '')
      .replace('export default', 'return')} })();
export default (req, res) => { setTimeout(() => app(req, res), 400 * Math.random()); };\n`;
  const row: Row = { over: 'HTTP', workers: 2, keepAlive: true, clients: 30, pause: 3 };
  const site = await Site.start(row, { app: slow('v0') });
  const load = new Load(site.url, row);
  for (let round = 1; round <= SLOW_HUPS; round++) {
    await site.reload(round, slow(`v${round}`), load);
  }
  await load.stop();
  expect(load.failures).toEqual([]);
});

describe('kill -9 loses only requests of the killed worker', () => {
  test.each(ROWS)('$over, $workers workers, kept alive: $keepAlive', async (row) => {
    const journal = join(temporaryDirectory(), 'journal');
    const site = await Site.start(row, { app: echoingApp('v0', journal) });
    const clients = 8;
    const load = new Load(site.url, { ...row, clients, pause: PAUSE });
    const killed = new Set<number>();
    for (let round = 1; round <= KILLS; round++) {
      const victim = await eventually(() => [...load.workers].find((pid) => !killed.has(pid)));
      killed.add(victim);
      process.kill(victim, 'SIGKILL');
      await eventually(() => site.count(/ended by SIGKILL/g) === round);
      const before = load.answered;
      await eventually(() => load.answered > before + 100);
    }
    await load.stop();
    // A client has one request in flight; no other one can be lost.
    expect(load.failures.length).toBeLessThanOrEqual(clients * killed.size);
    // The worker that received such a request has been killed; behind nginx the request may have been sent to several, one after the other.
    const taken = readFileSync(journal, 'latin1').split('\n');
    expect(taken.length).toBeGreaterThanOrEqual(load.answered);
    const lost = new Set(load.failures.map(({ path }) => path));
    const takers = taken.map((line) => line.split(' ')).filter(([, path = '']) => lost.has(path));
    for (const [worker] of takers) expect([...killed]).toContain(Number(worker));
    if (row.over !== 'HTTP' || !row.keepAlive) return;
    // On a connection that has had a response, the worker is known.
    for (const { previous } of load.failures) expect([undefined, ...killed]).toContain(previous);
  });
});

test.each([{ ...HTTP[0], workers: 1 }, { ...HTTP[3], workers: 2 }, ...BEHIND_NGINX] as Row[])(
  'no request fails during edits, some with syntax errors: $over, $workers workers',
  async (row) => {
    const site = await Site.start(row, { args: ['--reload'] });
    // A light load: most of the time goes into starting two processes for each edit, and the load must not compete with them.
    const load = new Load(site.url, { ...row, clients: 2, pause: 10 });
    let mistakes = 0;
    for (let round = 1; round <= EDITS; round++) {
      if (round % 5 === 3) {
        site.save('export default (;\n');
        mistakes++;
        await eventually(() => site.count(/app\.js:1:\d+: .*SyntaxError/g) === mistakes);
      } else {
        site.save(echoingApp(`v${round}`));
        await eventually(() => load.versions.has(`v${round}`));
      }
    }
    await load.stop();
    // A request that arrives while the file has an error gets the error.
    const lost = load.failures.filter(({ reason }) => !reason.includes(': 500, ') || !reason.includes('does not load'));
    expect(lost).toEqual([]);
    expect(load.versions.size).toBe(EDITS - mistakes + 1);
  },
  180_000 * TIMES,
);
