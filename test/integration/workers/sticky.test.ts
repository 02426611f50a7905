/** `sticky = true` with several workers: each client's requests reach one worker, whichever worker accepts them. */
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { beforeSuite } from '../../helpers/programs/lifetime.ts';
import { eventually, type Program, ROOT, serve } from '../../helpers/programs/program.ts';

const PROGRAM = `
  import { createServer } from 'node:http';
  import { WebSocketServer } from '${join(ROOT, 'node_modules/ws/wrapper.mjs')}';
  const server = createServer(async (req, res) => {
    let body = '';
    try { for await (const piece of req) body += piece; } catch { return; }
    if (req.url === '/abort') return res.destroy();
    const { remoteAddress, remotePort } = req.socket;
    if (req.url.startsWith('/engine')) return res.end('0{"sid":"of-' + process.pid + '"}');
    res.setHeader('x-pid', process.pid);
    res.setHeader('set-cookie', 'own=1');
    res.end(JSON.stringify({ url: req.url, method: req.method, headers: req.rawHeaders, body, remoteAddress, remotePort }));
  });
  new WebSocketServer({ server }).on('connection', (socket) => {
    socket.send(String(process.pid));
    socket.on('message', (data) => socket.send('echo ' + data));
  });
  server.listen(3000);
`;
const INI = `[app:main]
use = listen:./server.mjs
[server:main]
use = npm:paster#http
port = 0
workers = 3
sticky = true
`;
/** Connections for one check: if the worker were not the client's own, some would almost certainly reach another of the three. */
const ROUNDS = 12;

interface Answer {
  readonly status: number;
  readonly pid: string;
  readonly cookies: readonly string[];
  readonly body: string;
  readonly localPort: number | undefined;
}

/** Sends a request over a new connection, so that any worker may accept it. */
function ask(url: string, headers: readonly string[] = [], body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const method = body === undefined ? 'GET' : 'POST';
    const all = [
      'host',
      'shop.example',
      ...headers,
      ...(body === undefined ? [] : ['content-length', `${body.length}`]),
    ];
    const sent = request(url, { agent: false, method, headers: all }, async (response) => {
      const localPort = response.socket.localPort;
      let text = '';
      for await (const piece of response.setEncoding('utf8')) text += piece;
      const { statusCode: status = 0, headers: received } = response;
      const cookies = received['set-cookie'] ?? [];
      resolve({ status, pid: String(received['x-pid']), cookies, body: text, localPort });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

function workerCookie({ cookies }: Answer): string {
  return cookies.flatMap((each) => /^paster_worker_[\da-f]{8}=[\w-]{22}(?=;)/.exec(each) ?? []).join();
}

const times = <T>(action: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: ROUNDS }, (_, index) => action(index)));

describe('sticky = true', () => {
  let program: Program & { url: string };
  let temporary: string;
  let project: string;

  beforeSuite(async () => {
    const cwd = temporaryDirectory({ 'server.mjs': PROGRAM, 'x.ini': INI });
    project = cwd;
    temporary = temporaryDirectory();
    program = await serve(['x.ini'], { cwd, env: { TMPDIR: temporary } });
  });

  test('keeps a client with its cookie at the worker that set the cookie', async () => {
    const first = await ask(program.url);
    const cookie = workerCookie(first);
    expect(first.cookies).toEqual(['own=1', `${cookie}; Path=/; HttpOnly; SameSite=Lax`]);
    const answers = await times(() => ask(program.url, ['cookie', `a=b; ${cookie}`]));
    expect(new Set(answers.map(({ pid }) => pid))).toEqual(new Set([first.pid]));
    expect(answers.flatMap(workerCookie).join('')).toBe('');
    // Without the cookie, other workers respond too.
    await eventually(async () => (await ask(program.url)).pid !== first.pid);
  });

  test('forwards the client’s request unchanged, with its address', async () => {
    const cookie = workerCookie(await ask(program.url));
    const headers = ['X-Twice', '1', 'x-twice', '2', 'Cookie', cookie, 'Connection', 'close', 'Expect', '100-continue'];
    const body = 'b'.repeat(100_000);
    const answers = await times(() => ask(`${program.url}/a%2Fb?c=d`, headers, body));
    for (const answer of answers) {
      const seen = JSON.parse(answer.body) as Record<string, unknown>;
      expect(seen).toMatchObject({ url: '/a%2Fb?c=d', method: 'POST', body, remoteAddress: '127.0.0.1' });
      expect(seen['remotePort']).toBe(answer.localPort);
      expect((seen['headers'] as string[]).filter((each) => !/^(?:100-continue|expect)$/i.test(each))).toEqual([
        'host',
        'shop.example',
        ...headers.slice(0, -2),
        'content-length',
        '100000',
      ]);
    }
  });

  test('recognizes sessions of Engine.IO without a cookie', async () => {
    const opened = await ask(`${program.url}/engine/?EIO=4&transport=polling`);
    const pid = /of-(\d+)/.exec(opened.body)?.[1];
    const poll = `/socket.io/?EIO=4&transport=polling&sid=of-${pid}`;
    const answers = await times((index) => ask(program.url + poll, [], index % 2 === 0 ? 'x' : undefined));
    expect(new Set(answers.map((each) => each.pid))).toEqual(new Set([pid]));
    const sockets = await times(async () => {
      const socket = new WebSocket(`${program.url.replace('http', 'ws')}${poll.replace('polling', 'websocket')}`);
      const [greeting] = await once(socket, 'message');
      socket.send('x'.repeat(70_000));
      const [echo] = await once(socket, 'message');
      socket.close();
      await once(socket, 'close');
      return `${greeting} ${String(echo).length}`;
    });
    expect(new Set(sockets)).toEqual(new Set([`${pid} 70005`]));
  });

  test('lets no client choose where a request goes', async () => {
    const name = workerCookie(await ask(program.url)).split('=')[0];
    for (const value of ['../sessions', 'AAAAAAAAAAAAAAAAAAAAAA', '', 'x'.repeat(5000)]) {
      const answer = await ask(program.url, ['cookie', `${name}=${value}`]);
      expect(answer.status).toBe(200);
      expect(workerCookie(answer)).not.toBe('');
    }
    const [directory = ''] = readdirSync(temporary).filter((each) => each.startsWith('paster-workers-'));
    expect(readdirSync(join(temporary, directory, 'workers'))).toHaveLength(3);
  });

  test('aborts a response as the worker of the session does', async () => {
    const cookie = workerCookie(await ask(program.url));
    const results = await times(() => ask(`${program.url}/abort`, ['cookie', cookie]).catch(() => 'broken'));
    expect(results.every((each) => each === 'broken' || (typeof each === 'object' && each.status === 502))).toBe(true);
    // The worker keeps running.
    expect((await ask(program.url, ['cookie', cookie])).status).toBe(200);
  });

  test('survives a client that closes in the middle of a request', async () => {
    const cookie = workerCookie(await ask(program.url));
    await times(async () => {
      const { port } = new URL(program.url);
      const socket = connect(Number(port), '127.0.0.1');
      socket.write(`POST / HTTP/1.1\r\nHost: x\r\nCookie: ${cookie}\r\nContent-Length: 9\r\n\r\nabc`);
      await once(socket, 'connect');
      socket.destroy();
    });
    expect((await ask(program.url, ['cookie', cookie], 'after')).status).toBe(200);
  });

  test('moves a client of an ended worker to another one, and loses no request', async () => {
    const first = await ask(program.url);
    const cookie = workerCookie(first);
    const answers: Answer[] = [];
    let isOver = false;
    const asking = times(async () => {
      while (!isOver) answers.push(await ask(program.url, ['cookie', cookie], 'body'));
    });
    await eventually(() => answers.length > ROUNDS);
    program.child.kill('SIGHUP');
    await program.says(/^reloaded$/m);
    const before = answers.length;
    await eventually(() => answers.length > before + 3 * ROUNDS);
    isOver = true;
    await asking;
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    const last = await ask(program.url, ['cookie', cookie]);
    expect(last.pid).not.toBe(first.pid);
    expect(workerCookie(last)).toMatch(/^paster_worker_/);
    expect(workerCookie(last)).not.toBe(cookie);
  });

  test('leaves no files behind', async () => {
    const directories = (): string[] => readdirSync(temporary).filter((each) => each.startsWith('paster-workers-'));
    expect(directories()).toHaveLength(1);
    const { status } = await program.kill('SIGTERM');
    expect([status, directories()]).toEqual([0, []]);
  });

  test('leaves no files behind after its supervisor was killed', async () => {
    const killed = await serve(['x.ini'], { cwd: project, env: { TMPDIR: temporary } });
    const directories = (): string[] => readdirSync(temporary).filter((each) => each.startsWith('paster-workers-'));
    expect(directories()).toHaveLength(1);
    await killed.kill('SIGKILL');
    await eventually(() => directories().length === 0);
  });
});
