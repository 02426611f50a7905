/** A graceful stop accepts the connections that wait in the kernel's queue, which would reset them when the socket closes. */
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { eventually, freePort, type Program, serve } from '../../helpers/programs/program.ts';
import { makeCertificate } from '../../helpers/web-servers/certificate.ts';
import { FastcgiClient } from '../../servers/fastcgi/client.ts';
import { ScgiClient } from '../../servers/scgi/client.ts';

/**
 * `/block` blocks its process until the file `go` exists. Does not load while the file `broken` exists, and waits while `held`
 * exists.
 */
const APP = `import { existsSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
const file = (name) => new URL('./' + name, import.meta.url);
if (existsSync(file('broken'))) process.exit(3);
while (existsSync(file('held'))) await sleep(10);
export default (req, res) => {
  if (req.url === '/block') {
    writeFileSync(file('blocked-' + process.pid), '');
    while (!existsSync(file('go')));
  }
  res.end('served');
};
`;
const CLIENTS = 50;

/** Sends a request on an open connection. @returns the body of the response */
type Ask = (path: string) => Promise<string>;

interface Protocol {
  readonly name: string;
  /** Settings of the server. */
  readonly settings: (directory: string) => Promise<string> | string;
  /** Resolves when the system has accepted the connection. */
  readonly connect: (program: Program & { readonly url: string }, directory: string) => Promise<Ask>;
}

async function connected<T extends Socket>(socket: T): Promise<T> {
  onTestFinished(() => void socket.destroy());
  await once(socket, 'connect');
  return socket;
}

const portOf = ({ url }: { readonly url: string }): number => Number(new URL(url).port);

/** Connected; the TLS handshake follows. */
const encrypted = (program: { readonly url: string }, ALPNProtocols: string[]): Promise<Socket> =>
  connected(connectTls({ port: portOf(program), ALPNProtocols, rejectUnauthorized: false }));

/** Over HTTP/1.1. The server must announce that it closes the connection. */
const askOver =
  (socket: Socket): Ask =>
  async (path) => {
    const [response] = (await once(request({ path, createConnection: () => socket }).end(), 'response')) as [
      IncomingMessage,
    ];
    if (path === '/') expect(response.headers.connection).toBe('close');
    return text(response);
  };

async function text(stream: AsyncIterable<unknown>): Promise<string> {
  let all = '';
  for await (const part of stream) all += part;
  return all;
}

const HTTP = 'use = npm:paster#http\nport = 0';
const withTls = (directory: string): string => `${HTTP}\nssl_pem = ${makeCertificate(directory).pem}`;

const OVER_HTTP: Protocol = {
  name: 'HTTP',
  settings: () => HTTP,
  connect: async (program) => askOver(await connected(connect(portOf(program), '127.0.0.1'))),
};

const PROTOCOLS: readonly Protocol[] = [
  OVER_HTTP,
  {
    name: 'HTTP on a Unix socket',
    settings: () => 'use = npm:paster#http\nsocket = a.sock',
    connect: async (_program, directory) => askOver(await connected(connect(join(directory, 'a.sock')))),
  },
  {
    name: 'HTTPS',
    settings: withTls,
    connect: async (program) => askOver(await encrypted(program, ['http/1.1'])),
  },
  {
    name: 'HTTP/2',
    settings: (directory) => `${withTls(directory)}\nhttp2 = true`,
    connect: async (program) => overHttp2(program.url, await encrypted(program, ['h2'])),
  },
  {
    name: 'HTTP/2 without TLS',
    settings: () => `${HTTP}\nhttp2 = true`,
    connect: async (program) => overHttp2(program.url, await connected(connect(portOf(program), '127.0.0.1'))),
  },
  {
    name: 'FastCGI',
    settings: () => 'use = npm:paster#fastcgi\nsocket = a.sock',
    async connect(_program, directory) {
      const client = await FastcgiClient.connect(join(directory, 'a.sock'));
      onTestFinished(() => client.close());
      return async (path) => (await client.ask(1, { REQUEST_URI: path })).body.toString();
    },
  },
  {
    name: 'SCGI',
    settings: async () => `use = npm:paster#scgi\nhost = 127.0.0.1\nport = ${await freePort()}`,
    async connect(program) {
      const client = await ScgiClient.connect(portOf(program));
      return async (path) => (await client.ask({ REQUEST_URI: path })).body.toString();
    },
  },
];

function overHttp2(url: string, socket: Socket): Ask {
  const session = connectHttp2(url, { createConnection: () => socket });
  onTestFinished(() => session.destroy());
  return (path) => text(session.request({ ':path': path }));
}

/** The sockets that a process has open. */
function socketsOf(pid: number): number {
  const directory = `/proc/${pid}/fd`;
  const isSocket = (fd: string): boolean => {
    try {
      return readlinkSync(join(directory, fd)).startsWith('socket:');
    } catch {
      return false;
    }
  };
  return readdirSync(directory).filter(isSocket).length;
}

/** @param own settings of the server */
async function site(own: Protocol['settings']): Promise<string> {
  const directory = temporaryDirectory({ 'app.mjs': APP });
  const ini = `[app:main]\nuse = module:./app.mjs\n[server:main]\n${await own(directory)}\n`;
  writeFileSync(join(directory, 'x.ini'), ini);
  return directory;
}

/** Connects clients while every process is blocked, sends TERM, and unblocks the processes. @returns the responses to the clients */
async function stopWithClients(
  { settings, connect }: Protocol,
  workers: number | undefined,
  env: NodeJS.ProcessEnv = {},
): Promise<string[]> {
  const directory = await site(settings);
  const args = workers === undefined ? [] : ['-w', String(workers)];
  const program = await serve(['x.ini', ...args], { cwd: directory, env });
  const blocked: Promise<string>[] = [];
  for (let count = 1; count <= (workers ?? 1); count++) {
    blocked.push((await connect(program, directory))('/block'));
    await eventually(() => readdirSync(directory).filter((name) => name.startsWith('blocked-')).length === count);
  }
  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => connect(program, directory)));
  const answers = clients.map((ask) => ask('/'));
  const open = socketsOf(program.pid);
  const ended = program.kill('SIGTERM');
  // The supervisor closes its sockets when it tells the workers to stop.
  if (workers !== undefined) await eventually(() => socketsOf(program.pid) < open);
  writeFileSync(join(directory, 'go'), '');
  const all = await Promise.all([...blocked, ...answers]);
  expect((await ended).status).toBe(0);
  return all;
}

describe.runIf(process.platform === 'linux')('TERM while connections wait serves them first', () => {
  const all = (workers: number) => Array.from({ length: CLIENTS + workers }, () => 'served');

  test.each(PROTOCOLS)('one process: $name', async (protocol) => {
    expect(await stopWithClients(protocol, undefined)).toEqual(all(1));
  });

  test.each(PROTOCOLS)('two workers: $name', async (protocol) => {
    expect(await stopWithClients(protocol, 2)).toEqual(all(2));
  });

  test.each(PROTOCOLS.filter(({ name }) => name === 'FastCGI'))(
    'without private interfaces of Node: $name',
    async (protocol) => {
      expect(await stopWithClients(protocol, undefined, { PASTER_WITHOUT_INTERNALS: 'all' })).toEqual(all(1));
    },
  );
});

test.each([
  ['one process', []],
  ['workers', ['-w', '2']],
])('clients that keep connecting do not prevent the server from ending: %s', async (_what, args) => {
  const program = await serve(['x.ini', ...args], { cwd: await site(() => HTTP) });
  let isOver = false;
  const flood = async (): Promise<void> => {
    while (!isOver) {
      const socket = connect(portOf(program), '127.0.0.1');
      socket.on('error', () => {}).on('connect', () => socket.destroy());
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const flooding = Promise.all([flood(), flood(), flood()]);
  const ended = await program.kill('SIGTERM');
  isOver = true;
  await flooding;
  expect(ended.status).toBe(0);
});

const SERVES_FIRST = /a connection waits: a worker serves it before the server ends/;

/** A server without a running worker. */
async function withoutWorker({ settings }: Protocol, more = '') {
  const directory = await site(async (where) => `${await settings(where)}\nworkers = 0-1\nidle_timeout = 0.2\n${more}`);
  const program = await serve(['x.ini'], { cwd: directory });
  await program.says(/^no worker: not needed/m);
  await eventually(() => childrenOf(program.pid).length === 0);
  return { directory, program };
}

function childrenOf(pid: number): string[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
}

/** A client connects and TERM is sent while the supervisor is stopped, so that it sees both at the same time. */
async function stopWithClient({ directory, program }: Awaited<ReturnType<typeof withoutWorker>>, protocol = OVER_HTTP) {
  process.kill(program.pid, 'SIGSTOP');
  const ask = await protocol.connect(program, directory);
  const answer = ask('/');
  answer.catch(() => {});
  const ended = program.kill('SIGTERM');
  process.kill(program.pid, 'SIGCONT');
  return { answer, ended };
}

describe.runIf(process.platform === 'linux')('TERM without a worker while a connection waits', () => {
  test.each(PROTOCOLS)('a worker starts to serve it first: $name', async (protocol) => {
    const { answer, ended } = await stopWithClient(await withoutWorker(protocol), protocol);
    expect(await answer).toBe('served');
    expect((await ended).status).toBe(0);
  });

  test('a starting worker serves it first', async () => {
    const { directory, program } = await withoutWorker(OVER_HTTP);
    writeFileSync(join(directory, 'held'), '');
    const answer = (await OVER_HTTP.connect(program, directory))('/');
    await eventually(() => childrenOf(program.pid).length === 1);
    const ended = program.kill('SIGTERM');
    await program.says(SERVES_FIRST);
    rmSync(join(directory, 'held'));
    expect(await answer).toBe('served');
    expect((await ended).status).toBe(0);
    // Once when it started, once when the server stopped.
    expect(program.output.match(/a connection waits/g)).toHaveLength(2);
  });

  test.each([
    ['that does not start', 'broken', ''],
    ['that takes longer than graceful_timeout', 'held', 'graceful_timeout = 0.5'],
  ])('a worker %s does not prevent the server from ending', async (_what, obstacle, limit) => {
    const running = await withoutWorker(OVER_HTTP, limit);
    writeFileSync(join(running.directory, obstacle), '');
    const { answer, ended } = await stopWithClient(running);
    await expect(answer).rejects.toThrow();
    expect((await ended).status).toBe(0);
    expect(running.program.output).toMatch(SERVES_FIRST);
  });

  test('INT ends the server without serving it', async () => {
    const running = await withoutWorker(OVER_HTTP);
    writeFileSync(join(running.directory, 'held'), '');
    const { answer, ended } = await stopWithClient(running);
    await running.program.says(SERVES_FIRST);
    running.program.child.kill('SIGINT');
    expect((await ended).status).toBe(0);
    await expect(answer).rejects.toThrow();
  });
});
