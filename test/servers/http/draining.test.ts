/** What clients of the HTTP server see while it drains, and when they ask before sending a body. */
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { eventually, type Program, serve } from '../../helpers/programs/program.ts';

const APP = `
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
const GO = new URL('./go', import.meta.url);
export default async function app(req, res) {
  if (req.url === '/wait') writeFileSync(new URL('./arrived', import.meta.url), '');
  if (req.url === '/wait') while (!existsSync(GO)) await sleep(10);
  if (req.url === '/refuse') return res.writeHead(401).end('no');
  let body = '';
  for await (const part of req) body += part;
  res.end('got ' + body);
}
`;

class Site {
  readonly directory: string;
  readonly program: Program & { readonly url: string };

  constructor(directory: string, program: Program & { readonly url: string }) {
    this.directory = directory;
    this.program = program;
  }

  static async start(settings = ''): Promise<Site> {
    const directory = temporaryDirectory({
      'app.mjs': APP,
      'x.ini': `[app:main]\nuse = module:./app.mjs\n[server:main]\nuse = npm:paster#http\nport = 0\n${settings}\n`,
    });
    return new Site(directory, await serve(['x.ini'], { cwd: directory }));
  }

  async connect(): Promise<Client> {
    const socket = createConnection(Number(new URL(this.program.url).port), '127.0.0.1');
    onTestFinished(() => void socket.destroy());
    await once(socket, 'connect');
    return new Client(socket);
  }

  /** Sends TERM and waits until no new connection is accepted. */
  async drain(): Promise<void> {
    this.program.child.kill('SIGTERM');
    await eventually(async () => {
      const probe = await this.connect().catch(() => undefined);
      probe?.socket.destroy();
      return probe === undefined;
    });
  }
}

class Client {
  readonly socket: Socket;
  text = '';
  closed = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (data) => {
      this.text += data.toString('latin1');
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.closed = true;
    });
  }

  /** Sends a request and resolves to everything received up to the end of its response. */
  async ask(path: string, end = 'got '): Promise<string> {
    this.text = '';
    this.socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await eventually(() => this.text.includes(end));
    return this.text;
  }
}

describe('while the server drains', () => {
  test('the response to an earlier request announces that the connection is closed', async () => {
    const site = await Site.start();
    const client = await site.connect();
    const asked = client.ask('/wait');
    await eventually(() => existsSync(join(site.directory, 'arrived')));
    await site.drain();
    writeFileSync(join(site.directory, 'go'), '');
    expect(await asked).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*^Connection: close\r$/m);
    await eventually(() => client.closed);
  });

  test('an idle connection may send a request for one second', async () => {
    const site = await Site.start('keep_alive_timeout = 20');
    const client = await site.connect();
    await client.ask('/');
    await site.drain();
    expect(await client.ask('/')).toMatch(/^Connection: close\r$/m);
    await eventually(() => client.closed);
    expect(await site.program.finished()).toMatchObject({ status: 0 });
  });

  test('an idle connection is closed without a request, however long its keep-alive timeout is', async () => {
    const site = await Site.start('keep_alive_timeout = 20');
    const client = await site.connect();
    await client.ask('/');
    const begun = performance.now();
    await site.drain();
    expect(client.closed).toBe(false);
    await eventually(() => client.closed);
    expect(await site.program.finished()).toMatchObject({ status: 0 });
    expect(performance.now() - begun).toBeLessThan(2000);
  });
});

describe('while another worker continues', () => {
  const replaceWorker = async (site: Site): Promise<void> => {
    site.program.child.kill('SIGHUP');
    await site.program.says(/^reloaded$/m);
    // Longer than an idle connection is kept open if no worker continues.
    await sleep(2000);
  };

  test('an idle connection may send a request until its keep-alive timeout', async () => {
    const site = await Site.start('keep_alive_timeout = 20\nworkers = 1');
    const client = await site.connect();
    expect(await client.ask('/')).toMatch(/^Keep-Alive: timeout=20\r$/m);
    await replaceWorker(site);
    expect(await client.ask('/')).toMatch(/^Connection: close\r$/m);
    await eventually(() => client.closed);
  });

  test('an idle connection is closed after its keep-alive timeout', async () => {
    const site = await Site.start('keep_alive_timeout = 3\nworkers = 1');
    const client = await site.connect();
    await client.ask('/');
    const idleSince = performance.now();
    site.program.child.kill('SIGHUP');
    await site.program.says(/^reloaded$/m);
    await eventually(() => client.closed);
    // The server's time begins a little earlier.
    expect(performance.now() - idleSince).toBeGreaterThan(2500);
  });

  test('TERM after a HUP does not wait for the keep-alive timeout', async () => {
    const site = await Site.start('keep_alive_timeout = 20\nworkers = 1');
    const client = await site.connect();
    await client.ask('/');
    await replaceWorker(site);
    const begun = performance.now();
    expect(await site.program.kill('SIGTERM')).toMatchObject({ status: 0 });
    expect(performance.now() - begun).toBeLessThan(2000);
  });

  test.runIf(process.platform === 'linux')(
    'TERM to all processes at once, as a service manager sends it, does not wait for the keep-alive timeout',
    async () => {
      const site = await Site.start('keep_alive_timeout = 20\nworkers = 2');
      const client = await site.connect();
      await client.ask('/');
      const { pid = 0 } = site.program.child;
      const workers = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
      const begun = performance.now();
      for (const worker of workers) process.kill(Number(worker), 'SIGTERM');
      expect(await site.program.kill('SIGTERM')).toMatchObject({ status: 0 });
      expect(performance.now() - begun).toBeLessThan(2000);
    },
  );
});

describe('Expect: 100-continue', () => {
  const HEAD = (path: string) =>
    `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n`;

  test('a refused request gets no 100 Continue, and its connection is closed', async () => {
    const client = await (await Site.start()).connect();
    client.socket.write(HEAD('/refuse'));
    await eventually(() => client.closed);
    expect(client.text).toMatch(/^HTTP\/1\.1 401 Unauthorized\r\n[\s\S]*^Connection: close\r$/m);
  });

  test('a request whose body is read gets 100 Continue, and its connection is kept open', async () => {
    const client = await (await Site.start()).connect();
    client.socket.write(HEAD('/'));
    await eventually(() => client.text.includes('\r\n\r\n'));
    expect(client.text).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    client.socket.write('body');
    await eventually(() => client.text.includes('got body'));
    expect(client.text).toMatch(/^Connection: keep-alive\r$/m);
    expect(await client.ask('/')).toContain('got ');
  });
});
