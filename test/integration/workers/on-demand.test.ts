/** `workers = 0-4`: no worker runs without requests. The first connection waits in the kernel's queue for the worker that it starts. */
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import {
  eventually,
  freePort,
  getOver,
  isAlive,
  needProgram,
  Program,
  paster,
  ROOT,
  serve,
} from '../../helpers/programs/program.ts';
import { ask } from '../../helpers/requests/ask.ts';
import { makeCertificate } from '../../helpers/web-servers/certificate.ts';
import { FastcgiClient } from '../../servers/fastcgi/client.ts';
import { ScgiClient } from '../../servers/scgi/client.ts';

/** Responds with its PID and the body that it received. Does not load while the file `broken` exists. */
const app = (version = 'one') => `import { existsSync } from 'node:fs';
if (existsSync(new URL('./broken', import.meta.url))) process.exit(3);
export default async (req, res) => {
  const parts = [];
  for await (const part of req) parts.push(part);
  res.end('${version} ' + process.pid + ' ' + Buffer.concat(parts));
};
`;

const NONE = /^no worker: not needed for 0\.5 s; the next connection starts one$/gm;

class Site {
  readonly directory = temporaryDirectory({ 'package.json': '{"type": "module"}', 'app.js': app() });
  program: (Program & { url: string }) | undefined;

  /** @param settings of the server; a range of workers and a short idle_timeout are added */
  async start(settings: string, range = '0-2'): Promise<string> {
    const server = `[server:main]\n${settings}\nworkers = ${range}\nidle_timeout = 0.5\n`;
    writeFileSync(join(this.directory, 'x.ini'), `[app:main]\nuse = module:./app.js\n\n${server}`);
    this.program = await serve(['x.ini', '-v', '--pid-file', 'x.pid'], { cwd: this.directory });
    return this.program.url;
  }

  /** Resolves when the last worker has ended this number of times. */
  async empty(times = 1): Promise<void> {
    await eventually(() => (this.output.match(NONE)?.length ?? 0) >= times && this.workers.length === 0);
  }

  get output(): string {
    return this.program?.output ?? '';
  }

  /** The workers of the supervisor. */
  get workers(): number[] {
    const pid = this.program?.pid;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    return children === '' ? [] : children.split(' ').map(Number);
  }

  save(name: string, text: string): void {
    writeFileSync(join(this.directory, name), text);
  }
}

const HTTP = 'use = npm:paster#http\nport = 0';
const answerOf = async (url: string, body = 'whole') => (await ask(url, '/', { method: 'POST', body })).body.toString();

async function overHttp2(url: string): Promise<string> {
  const session = connectHttp2(url, { rejectUnauthorized: false });
  const stream = session.request({ ':method': 'POST' });
  stream.end('whole');
  let text = '';
  for await (const part of stream) text += part;
  session.close();
  return text;
}

const PROTOCOLS: readonly (readonly [string, (site: Site) => Promise<() => Promise<string>>])[] = [
  [
    'HTTP',
    async (site) => {
      const url = await site.start(HTTP);
      return () => answerOf(url);
    },
  ],
  [
    'HTTP on a Unix socket',
    async (site) => {
      await site.start('use = npm:paster#http\nsocket = a.sock');
      return () => getOver(join(site.directory, 'a.sock'));
    },
  ],
  [
    'HTTPS',
    async (site) => {
      const { pem } = makeCertificate(site.directory);
      const url = await site.start(`${HTTP}\nssl_pem = ${pem}`);
      return () => answerOf(url);
    },
  ],
  [
    'HTTP/2',
    async (site) => {
      const { pem } = makeCertificate(site.directory);
      const url = await site.start(`${HTTP}\nssl_pem = ${pem}\nhttp2 = true`);
      return () => overHttp2(url);
    },
  ],
  [
    'FastCGI',
    async (site) => {
      await site.start('use = npm:paster#fastcgi\nsocket = a.sock');
      return async () => {
        const client = await FastcgiClient.connect(join(site.directory, 'a.sock'));
        onTestFinished(() => client.close());
        const { body } = await client.ask(1, { REQUEST_METHOD: 'POST', REQUEST_URI: '/' }, { body: 'whole' });
        client.close();
        return body.toString();
      };
    },
  ],
  [
    'SCGI',
    async (site) => {
      const port = await freePort();
      await site.start(`use = npm:paster#scgi\nhost = 127.0.0.1\nport = ${port}`);
      return async () => (await (await ScgiClient.connect(port)).ask({ REQUEST_URI: '/' })).body.toString();
    },
  ],
];

test.each(PROTOCOLS)('%s: the last worker ends, and the next connection starts one', async (_protocol, start) => {
  const site = new Site();
  const question = await start(site);
  const answers: string[] = [];
  for (let round = 1; round < 4; round++) {
    answers.push(await question());
    await site.empty(round);
  }
  for (const answer of answers) expect(answer).toMatch(/^one \d+ /);
  expect(new Set(answers).size).toBe(3);
  expect(site.output).not.toMatch(/error/i);
});

test('each of several servers starts a worker for its connections', async () => {
  const site = new Site();
  const range = 'workers = 0-1\nidle_timeout = 0.5';
  site.save(
    'x.ini',
    `[paster]
serve = web, gateway

[app:main]
use = module:./app.js

[server:web]
use = npm:paster#http
socket = a.sock
${range}

[server:gateway]
use = npm:paster#fastcgi
socket = b.sock
`,
  );
  site.program = await serve(['x.ini'], { cwd: site.directory });
  await site.empty();
  expect(await getOver(join(site.directory, 'a.sock'))).toMatch(/^one \d+/);
  await site.empty(2);
  const client = await FastcgiClient.connect(join(site.directory, 'b.sock'));
  expect((await client.ask(1, { REQUEST_URI: '/' })).body.toString()).toMatch(/^one \d+/);
  client.close();
  await site.empty(3);
});

test('a hundred connections at once wait for the first worker', async () => {
  const site = new Site();
  const url = await site.start(HTTP);
  await site.empty();
  const answers = await Promise.all(Array.from({ length: 100 }, (_, index) => answerOf(url, String(index))));
  expect(answers.map((answer) => answer.split(' ')[2])).toEqual(answers.map((_, index) => String(index)));
  expect(site.output).toContain('1 worker (1 more): a connection waits');
});

test('a worker that dies while it starts loses no connection, and is restarted only after a pause', async () => {
  const site = new Site();
  const url = await site.start(HTTP);
  await site.empty();
  site.save('broken', '');
  const answer = answerOf(url);
  await eventually(() => (site.output.match(/a worker does not start/g)?.length ?? 0) >= 3);
  expect(site.output).toMatch(/the next worker starts in \d{3,} ms/);
  rmSync(join(site.directory, 'broken'));
  expect(await answer).toMatch(/^one \d+ whole$/);
  await site.empty(2);
});

test('HUP without a worker starts one of the new version, or none if it does not load', async () => {
  const site = new Site();
  const url = await site.start(HTTP);
  await site.empty();
  site.save('broken', '');
  site.program?.child.kill('SIGHUP');
  await site.program?.says(/the new version does not start, the old one keeps running/);
  expect(site.workers).toEqual([]);
  rmSync(join(site.directory, 'broken'));
  site.save('app.js', app('two'));
  site.program?.child.kill('SIGHUP');
  await site.program?.says(/^reloaded$/m);
  expect(site.workers).toHaveLength(1);
  expect(await answerOf(url)).toMatch(/^two /);
  await site.empty(2);
  expect(await answerOf(url)).toMatch(/^two /);
});

test('HUP to another address: the new socket starts workers, the old one is closed', async () => {
  const site = new Site();
  await site.start('use = npm:paster#http\nsocket = a.sock');
  await site.empty();
  const text = readFileSync(join(site.directory, 'x.ini'), 'utf8');
  site.save('x.ini', text.replace('a.sock', 'b.sock'));
  site.program?.child.kill('SIGHUP');
  await site.program?.says(/^reloaded$/m);
  await site.empty(2);
  expect(existsSync(join(site.directory, 'a.sock'))).toBe(false);
  expect(await getOver(join(site.directory, 'b.sock'))).toMatch(/one \d+/);
});

test('the last worker keeps running while a connection is open', async () => {
  const site = new Site();
  await site.start('use = npm:paster#fastcgi\nsocket = a.sock');
  const client = await FastcgiClient.connect(join(site.directory, 'a.sock'));
  onTestFinished(() => client.close());
  const first = await client.ask(1, { REQUEST_URI: '/' });
  await sleep(2000);
  expect(site.output).not.toMatch(NONE);
  expect((await client.ask(1, { REQUEST_URI: '/' })).body).toEqual(first.body);
  client.close();
  await site.empty();
});

test('a spare worker takes the first connection', async () => {
  const site = new Site();
  const url = await site.start(`${HTTP}\nspare_workers = 1`);
  await eventually(() => site.output.match(NONE) !== null && site.workers.length === 1);
  const [spare] = site.workers;
  expect(await answerOf(url)).toBe(`one ${spare} whole`);
});

test('a number set by paster control stays until the next reload', async () => {
  const site = new Site();
  const url = await site.start(HTTP);
  await site.empty();
  const run = (...args: string[]) => paster(args, { cwd: site.directory }).finished();
  expect((await run('status', 'x.ini')).stdout).toContain('no workers of 0-2');
  expect((await run('control', 'x.ini', 'workers', '1')).stdout).toBe('1 worker\n');
  expect((await run('status', 'x.ini')).stdout).toContain('1 worker of 0-2 until the next reload');
  await sleep(2000);
  expect(site.workers).toHaveLength(1);
  expect(await answerOf(url)).toMatch(/^one /);
  site.program?.child.kill('SIGHUP');
  await site.empty(2);
});

test('if a number set by paster control fails to start, the next connection starts a worker', async () => {
  const site = new Site();
  const url = await site.start(HTTP);
  await site.empty();
  site.save('broken', '');
  const { status, stderr } = await paster(['control', 'x.ini', 'workers', '1'], { cwd: site.directory }).finished();
  expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringMatching(/another worker does not start/) });
  rmSync(join(site.directory, 'broken'));
  expect(await answerOf(url)).toMatch(/^one /);
});

test('after an upgrade without a worker the next connection starts one too', async () => {
  const site = new Site();
  const url = await site.start(HTTP);
  await site.empty();
  const old = site.program?.pid ?? 0;
  expect((await paster(['upgrade', 'x.ini'], { cwd: site.directory }).finished()).status).toBe(0);
  await eventually(() => !isAlive(old) || site.output.match(NONE)?.length === 2);
  expect(await answerOf(url)).toMatch(/^one /);
  const pid = Number(readFileSync(join(site.directory, 'x.pid'), 'utf8').split('\n')[0]);
  expect(pid).not.toBe(old);
  process.kill(pid, 'SIGTERM');
  await eventually(() => !isAlive(pid));
});

/** Opens a Unix socket as descriptor 3 and executes the program. */
const ACTIVATE = `
import os, socket, sys
unix = socket.socket(socket.AF_UNIX); unix.bind(sys.argv[1]); unix.listen()
os.dup2(unix.fileno(), 20); os.dup2(20, 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')
os.execv(sys.argv[2], sys.argv[2:])
`;

test('a socket of systemd starts a worker too', async () => {
  const python = needProgram('python3');
  const site = new Site();
  const socket = join(site.directory, 'a.sock');
  const ini =
    '[app:main]\nuse = module:./app.js\n[server:main]\nuse = npm:paster#http\nport = 1\nworkers = 0-1\nidle_timeout = 0.5\n';
  site.save('x.ini', ini);
  const command = [process.execPath, join(ROOT, 'bin/paster.js'), 'serve', 'x.ini'];
  const program = new Program(python, ['-c', ACTIVATE, socket, ...command], { cwd: site.directory });
  await program.says(/^serving on /m);
  for (let round = 1; round < 3; round++) {
    await eventually(() => (program.output.match(NONE)?.length ?? 0) >= round);
    expect(await getOver(socket)).toMatch(/one \d+/);
  }
});

test('TERM without a worker ends at once', async () => {
  const site = new Site();
  const url = await site.start(HTTP);
  await site.empty();
  const begun = performance.now();
  expect((await site.program?.kill('SIGTERM'))?.status).toBe(0);
  // Otherwise it would take graceful_timeout, 30 seconds.
  expect(performance.now() - begun).toBeLessThan(10_000);
  const refused = connect(Number(new URL(url).port), '127.0.0.1');
  await once(refused, 'error');
});
