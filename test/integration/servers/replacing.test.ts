/** Several servers with one set of processes: FastCGI for pages and HTTP for WebSockets, behind the real nginx. */
import { once } from 'node:events';
import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { text as received } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { project, runWebServer } from '../../export/site.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { echoingApp, Load } from '../../helpers/load.ts';
import { eventually, freePort, Program, paster, ROOT, requireProgram, serve } from '../../helpers/program.ts';
import { atTerminal, shown } from '../../helpers/terminal.ts';
import { FastcgiClient } from '../../servers/fastcgi/client.ts';

const nginx = requireProgram('nginx');
const python = requireProgram('python3');

/** The application of `echoingApp`, which echoes on WebSockets too, with its version and process in front. */
function chattyApp(version: string): string {
  return `import { WebSocketServer } from '${join(ROOT, 'node_modules/ws/wrapper.mjs')}';
${echoingApp(version).replace('export default', 'const page =')}
const sockets = new WebSocketServer({ noServer: true });
export default Object.assign(page, {
  upgrade(req, socket, head) {
    sockets.handleUpgrade(req, socket, head, (client) => {
      client.on('message', (text) => client.send('${version} ' + process.pid + ' ' + text));
    });
  },
});
`;
}

async function chat(url: string, text: string): Promise<string> {
  const socket = new WebSocket(url.replace('http', 'ws'));
  await once(socket, 'open');
  socket.send(text);
  const [answer] = await once(socket, 'message');
  socket.close();
  await once(socket, 'close');
  return String(answer);
}

class Site {
  readonly directory: string;
  readonly port: number;
  program: Program;

  constructor(directory: string, port: number, program: Program) {
    this.directory = directory;
    this.port = port;
    this.program = program;
  }

  /** Serves [server:web] by FastCGI on `web.sock`, and [server:live] by HTTP. */
  static async start({
    workers = 'workers = 2',
    args = [],
    more = '',
    app = chattyApp('v0'),
  }: {
    workers?: string;
    args?: readonly string[];
    more?: string;
    app?: string;
  } = {}): Promise<Site> {
    const port = await freePort();
    const directory = temporaryDirectory({
      'package.json': '{"type": "module", "name": "shop"}',
      'app.js': app,
      'x.ini': ini({ port, workers, more }),
    });
    const program = paster(['serve', 'x.ini', '-v', ...args], { cwd: directory });
    await program.says(/^serving on http:.*\n/m);
    return new Site(directory, port, program);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get socket(): string {
    return join(this.directory, 'web.sock');
  }

  save(name: string, text: string): void {
    writeFileSync(join(this.directory, `${name}.new`), text);
    renameSync(join(this.directory, `${name}.new`), join(this.directory, name));
  }

  count(pattern: RegExp): number {
    return this.program.output.match(pattern)?.length ?? 0;
  }

  /** @param outcome what the log says when it is over */
  async hup(outcome: RegExp = /^reloaded$/gm): Promise<void> {
    const before = this.count(outcome);
    this.program.child.kill('SIGHUP');
    await eventually(() => this.count(outcome) > before);
  }
}

const WEB = '[server:web]\nuse = npm:paster#fastcgi\nsocket = web.sock\n';
const live = (port: number) => `[server:live]\nuse = npm:paster#http\nport = ${port}\n`;

function ini({ port, workers = 'workers = 2', more = '', names = 'web, live' }: IniOptions): string {
  return `[paster]\nserve = ${names}\n[app:main]\nuse = module:./app.js\n${WEB}${workers}\n${live(port)}${more}`;
}

interface IniOptions {
  readonly port: number;
  readonly workers?: string;
  readonly more?: string;
  readonly names?: string;
}

/** Asks over FastCGI. */
async function page(socket: string): Promise<string> {
  const client = await FastcgiClient.connect(socket);
  try {
    const { body } = await client.ask(1, { REQUEST_METHOD: 'GET', REQUEST_URI: '/' });
    return body.toString();
  } finally {
    client.close();
  }
}

/** A page, as a client asks for it that could speak HTTP/2 without TLS. */
async function offeringHttp2(url: string): Promise<string> {
  const asking = request(url, { headers: { connection: 'upgrade', upgrade: 'h2c' }, agent: false }).end();
  const [response] = await once(asking, 'response');
  return received(response);
}

const text = async (url: string) => (await fetch(url, { headers: { connection: 'close' } })).text();

describe.runIf(nginx)('behind the nginx of paster export', () => {
  const APP = `import { writeFileSync } from 'node:fs';
import { WebSocketServer } from '${join(ROOT, 'node_modules/ws/wrapper.mjs')}';
const sockets = new WebSocketServer({ noServer: true });
export const makeApp = () => Object.assign(
  // nginx sets this header for HTTP alone.
  (req, res) => res.end(\`\${req.headers['x-forwarded-proto'] ? 'HTTP' : 'FastCGI'} \${req.url}\`),
  {
    upgrade(req, socket, head) {
      sockets.handleUpgrade(req, socket, head, (client) => client.on('message', (text) => {
        client.send(req.headers['x-forwarded-prefix'] + ' ' + req.url + ' ' + req.headers['x-forwarded-for'] + ' ' + text);
      }));
    },
  },
);
`;

  test.each([
    ['at the root', [], ''],
    ['below a prefix', ['--prefix', '/shop'], '/shop'],
  ])('pages go to FastCGI and WebSockets to HTTP, %s', async (_where, args, prefix) => {
    const port = await freePort();
    const servers = `use = npm:paster#fastcgi\nsocket = %(here)s/../var/web.sock\nworkers = 2\n`;
    const extra = `[paster]\nserve = main, live\n${live(port)}`;
    const directory = project(servers, extra, './app.js:makeApp');
    writeFileSync(join(directory, 'etc/app.js'), APP);
    await serve([join(directory, 'etc/config.ini')]);
    const url = await runWebServer('nginx', directory, args);
    expect(await text(`${url}${prefix}/page?q=1`)).toBe('FastCGI /page?q=1');
    expect(await offeringHttp2(`${url}${prefix}/page`)).toBe('FastCGI /page');
    expect(await (await fetch(`${url}${prefix}/static/site.css`)).text()).toContain('teal');
    expect(await chat(`${url}${prefix}/talk?q=2`, 'hello')).toBe(`${prefix || undefined} /talk?q=2 127.0.0.1 hello`);
  });

  test('ten HUPs under load fail no request of either server, and WebSockets go on', async () => {
    const site = await Site.start();
    const config = join(site.directory, 'nginx.conf');
    const at = await freePort();
    const output = ['--standalone', '--listen', `127.0.0.1:${at}`, '-o', config];
    expect((await paster(['export', 'nginx', 'x.ini', ...output], { cwd: site.directory }).finished()).status).toBe(0);
    new Program(nginx ?? '', ['-c', config]);
    const url = `http://127.0.0.1:${at}`;
    await eventually(() =>
      fetch(url).then(
        ({ ok }) => ok,
        () => false,
      ),
    );
    const loads = [new Load(url, { clients: 4 }), new Load(site.url, { clients: 4 })];
    for (let round = 1; round <= 10; round++) {
      site.save('app.js', chattyApp(`v${round}`));
      await site.hup();
      await eventually(() => loads.every((load) => load.versions.has(`v${round}`)));
      expect(await chat(`${url}/talk`, 'hello')).toMatch(new RegExp(`^v${round} \\d+ hello$`));
    }
    await Promise.all(loads.map((load) => load.stop()));
    expect(loads.map(({ failures }) => failures)).toEqual([[], []]);
    // Each worker accepts for both.
    const [pages, web] = loads.map(({ workers }) => workers);
    expect([...(pages ?? [])].filter((pid) => web?.has(pid)).length).toBeGreaterThan(10);
  });
});

/** A request for /two/a, whose mount the server's own setting decides. */
const TWO = { REQUEST_METHOD: 'GET', REQUEST_URI: '/two/a', SCRIPT_NAME: '', PATH_INFO: '/two/a' };

describe('HUP', () => {
  test('adds a server, moves one, and removes one, without a failed request of the others', async () => {
    const site = await Site.start();
    const loads = [new Load(site.url, { clients: 2 })];
    const [other, third] = [await freePort(), await freePort()];
    const scgi = `[server:third]\nuse = npm:paster#scgi\nport = ${third}\n`;
    site.save('x.ini', ini({ port: site.port, more: scgi, names: 'web live third' }));
    await site.hup();
    await site.program.says(new RegExp(`^serving on scgi://127.0.0.1:${third}$`, 'm'));
    await Promise.all(loads.map((load) => load.stop()));
    expect(loads.flatMap(({ failures }) => failures)).toEqual([]);
    site.save('x.ini', ini({ port: other }));
    await site.hup();
    await site.program.says(new RegExp(`^serving on http://127.0.0.1:${other}$`, 'm'));
    expect(await text(`http://127.0.0.1:${other}`)).toMatch(/^v0 /);
    await expect(text(site.url)).rejects.toThrow();
    expect(await page(site.socket)).toMatch(/^v0 /);
    site.save('x.ini', ini({ port: other, names: 'live', workers: '', more: 'workers = 2\n' }));
    await site.hup();
    expect(existsSync(site.socket)).toBe(false);
    expect(await text(`http://127.0.0.1:${other}`)).toMatch(/^v0 /);
  });

  test('changes nothing if one of the new addresses is taken', async () => {
    const site = await Site.start();
    const third = await freePort();
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as { port: number };
    const scgi = `[server:third]\nuse = npm:paster#scgi\nport = ${third}\n`;
    site.save('x.ini', ini({ port, more: scgi, names: 'third web live' }).replace(`${WEB}workers = 2`, WEB));
    await site.hup(/the old one keeps running/g);
    taken.close();
    expect(site.program.output).toMatch(/x\.ini:\d+:\d+: \[server:live\] port \d+ on 127\.0\.0\.1 is in use/);
    expect(await text(site.url)).toMatch(/^v0 /);
    expect(await page(site.socket)).toMatch(/^v0 /);
    await expect(text(`http://127.0.0.1:${third}`)).rejects.toThrow();
    site.save('x.ini', ini({ port: site.port }));
    await site.hup();
  });

  test('two servers that exchange their addresses', async () => {
    const site = await Site.start();
    const swapped = ini({ port: site.port }).replace('npm:paster#fastcgi', 'X').replace('npm:paster#http', 'Y');
    site.save('x.ini', swapped.replace('X', 'npm:paster#http').replace('Y', 'npm:paster#fastcgi'));
    await site.hup();
    const client = await FastcgiClient.connect(site.port);
    expect((await client.ask(1, { REQUEST_METHOD: 'GET', REQUEST_URI: '/' })).body.toString()).toMatch(/^v0 /);
    client.close();
  });

  test('a connection that a web server keeps goes on with its own server', async () => {
    const second =
      '[server:second]\nuse = npm:paster#fastcgi\nsocket = second.sock\nallow = 127.0.0.1\nscript_name = /two\n';
    const app = "export default (req, res) => res.end('v0 ' + (req.baseUrl ?? ''));\n";
    const site = await Site.start({ app, more: second });
    site.save('x.ini', ini({ port: site.port, more: second, names: 'live second web', workers: '' }));
    await site.hup();
    const clients = await Promise.all(
      ['web.sock', 'second.sock'].map((name) => FastcgiClient.connect(join(site.directory, name))),
    );
    const ask = (id: number) =>
      Promise.all(clients.map(async (client) => (await client.ask(id, TWO, { keep: true })).body.toString()));
    expect(await ask(1)).toEqual(['v0 ', 'v0 /two']);
    site.save('app.js', app.replace('v0', 'v1'));
    await site.hup();
    await eventually(async () => (await ask(2)).every((each) => each.startsWith('v1')));
    expect(await ask(3)).toEqual(['v1 ', 'v1 /two']);
    // The server is gone, and so are its connections.
    site.save('x.ini', ini({ port: site.port, names: 'live web', workers: '' }));
    await site.hup();
    await clients[1]?.closed;
    expect((await clients[0]?.ask(4, TWO))?.body.toString()).toBe('v1 ');
    for (const client of clients) client.close();
  });
});

describe.each([
  ['two workers', 'workers = 2'],
  ['one process', ''],
])('%s', (_what, workers) => {
  test('paster upgrade takes over the sockets and the kept connections of both', async () => {
    const site = await Site.start({ workers });
    const load = new Load(site.url, { clients: 2, pause: 2 });
    const client = await FastcgiClient.connect(site.socket);
    const ask = async (id: number) =>
      (await client.ask(id, { REQUEST_METHOD: 'GET', REQUEST_URI: '/' }, { keep: true })).body.toString();
    expect(await ask(1)).toMatch(/^v0 /);
    for (const version of ['v1', 'v2']) {
      site.save('app.js', chattyApp(version));
      const { status, stdout } = await paster(['upgrade', 'x.ini'], { cwd: site.directory }).finished();
      expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringMatching(/is replaced by/) });
      await eventually(async () => (await ask(2)).startsWith(version) && load.versions.has(version));
    }
    await load.stop();
    expect(load.failures).toEqual([]);
    client.close();
    expect(await chat(site.url, 'hello')).toMatch(/^v2 /);
  });

  test('TERM finishes the requests of both', async () => {
    const app = `import { existsSync, writeFileSync } from 'node:fs';
export default (req, res) => {
  if (req.url === '/') return res.end();
  writeFileSync('held' + req.url.slice(1), '');
  const timer = setInterval(() => existsSync('release') && (clearInterval(timer), res.end('done')), 20);
};
`;
    const site = await Site.start({ workers, app });
    const client = await FastcgiClient.connect(site.socket);
    const answers = [
      fetch(`${site.url}/1`).then((response) => response.text()),
      client.ask(1, { REQUEST_METHOD: 'GET', REQUEST_URI: '/2' }).then(({ body }) => body.toString()),
    ];
    await eventually(() => ['held1', 'held2'].every((name) => existsSync(join(site.directory, name))));
    site.program.child.kill('SIGTERM');
    await eventually(() =>
      fetch(site.url).then(
        () => false,
        () => true,
      ),
    );
    site.save('release', '');
    expect(await Promise.all(answers)).toEqual(['done', 'done']);
    expect((await site.program.finished()).status).toBe(0);
    expect(existsSync(site.socket)).toBe(false);
  });
});

test('--reload serves the new version, and the error of one that does not load, on both', async () => {
  const site = await Site.start({ workers: '', args: ['--reload'] });
  site.save('app.js', chattyApp('v1'));
  await eventually(async () => (await text(site.url)).startsWith('v1'));
  await eventually(async () => (await page(site.socket)).startsWith('v1'));
  site.save('x.ini', 'no section\n');
  await eventually(async () => (await text(site.url)).includes('x.ini'));
  await eventually(async () => (await page(site.socket)).includes('x.ini'));
  site.save('x.ini', ini({ port: site.port, workers: '' }));
  site.save('app.js', chattyApp('v2'));
  await eventually(async () => (await text(site.url)).startsWith('v2'));
  await eventually(async () => (await page(site.socket)).startsWith('v2'));
});

test('in the background, with status and metrics of both', async () => {
  const port = await freePort();
  const metrics = '[app:main]\nuse = npm:paster#metrics\n';
  const cwd = temporaryDirectory({ 'x.ini': `[paster]\nserve = web live\n${metrics}${WEB}workers = 1\n${live(port)}` });
  const started = await paster(['serve', 'x.ini', 'start'], { cwd }).finished();
  expect({ status: started.status, lines: started.stdout.trimEnd().split('\n').slice(1) }).toEqual({
    status: 0,
    lines: [`serving on fastcgi://unix:${cwd}/web.sock`, `serving on http://127.0.0.1:${port}`],
  });
  try {
    await page(join(cwd, 'web.sock'));
    await text(`http://127.0.0.1:${port}`);
    const { stdout } = await paster(['status', 'x.ini'], { cwd }).finished();
    expect(stdout).toMatch(/: 2 requests, 0 in flight/);
    expect(await text(`http://127.0.0.1:${port}`)).toMatch(/^paster_http_requests_total\{.*\} 2$/m);
  } finally {
    await paster(['serve', 'x.ini', 'stop'], { cwd }).finished();
  }
  expect(existsSync(join(cwd, 'web.sock'))).toBe(false);
});

test('sticky: a client reaches the same worker over both', async () => {
  const [one, two] = [await freePort(), await freePort()];
  const cwd = temporaryDirectory({
    'app.js': "export default (req, res) => { res.setHeader('x-pid', process.pid); res.end(); };\n",
    'package.json': '{"type": "module"}',
    'x.ini': `[app:main]\nuse = module:./app.js\n[server:one]\nuse = npm:paster#http\nport = ${one}\nworkers = 3\nsticky = true
[server:two]\nuse = npm:paster#http\nport = ${two}\n`,
  });
  const program = paster(['serve', 'x.ini', '--server-name', 'one', '--server-name', 'two'], { cwd });
  await program.says(new RegExp(`127.0.0.1:${two}$`, 'm'));
  const first = await fetch(`http://127.0.0.1:${one}`);
  const cookie = first.headers.getSetCookie()[0]?.split(';')[0] ?? '';
  const pids = new Set<string | null>([first.headers.get('x-pid')]);
  for (let round = 0; round < 20; round++) {
    const answer = await fetch(`http://127.0.0.1:${round % 2 ? one : two}`, {
      headers: { cookie, connection: 'close' },
    });
    pids.add(answer.headers.get('x-pid'));
  }
  expect(pids.size).toBe(1);
});

test('two free ports', async () => {
  const cwd = temporaryDirectory({
    'x.ini': `[paster]\nserve = a, b\n[app:main]\nuse = npm:paster#test\n[server:a]\nuse = npm:paster#http\nport = 0\nworkers = 1
[server:b]\nuse = npm:paster#http\nport = 0\n`,
  });
  const program = paster(['serve', 'x.ini'], { cwd });
  const [, one, two] = await program.says(/^serving on (http\S+)\nserving on (http\S+)$/m);
  expect(one).not.toBe(two);
  expect((await fetch(one ?? '')).ok && (await fetch(two ?? '')).ok).toBe(true);
  program.child.kill('SIGHUP');
  await program.says(/^reloaded$/m);
  expect((await fetch(one ?? '')).ok && (await fetch(two ?? '')).ok).toBe(true);
});

test('-p is for the only HTTP server', async () => {
  const site = await Site.start();
  const port = await freePort();
  const { directory: cwd } = site;
  await site.program.kill('SIGTERM');
  const program = paster(['serve', 'x.ini', '-p', String(port)], { cwd });
  await program.says(new RegExp(`^serving on fastcgi://unix:.*\nserving on http://127.0.0.1:${port}$`, 'm'));
});

test('at a terminal, all addresses are shown', async () => {
  const site = await Site.start();
  await site.program.kill('SIGTERM');
  const program = atTerminal(['serve', 'x.ini'], { cwd: site.directory });
  await program.says(/shows its processes/);
  const banner = shown(program.output);
  expect(banner).toContain(`Socket:  fastcgi://unix:${site.socket}`);
  expect(banner).toContain(`Local:   http://127.0.0.1:${site.port}`);
});

/** Opens a TCP and a Unix socket as descriptors 3 and 4, and becomes the program. */
const ACTIVATE = `
import os, socket, sys
unix = socket.socket(socket.AF_UNIX); unix.bind(sys.argv[1]); unix.listen()
tcp = socket.socket(); tcp.bind(('127.0.0.1', int(sys.argv[2]))); tcp.listen()
os.dup2(tcp.fileno(), 20); os.dup2(unix.fileno(), 21)
os.dup2(20, 3); os.dup2(21, 4)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='2')
os.execv(sys.argv[3], sys.argv[3:])
`;

describe.runIf(python)('sockets of systemd', () => {
  async function activated(portOfUnit: number | undefined): Promise<{ site: Site; program: Program; port: number }> {
    const site = await Site.start();
    await site.program.kill('SIGTERM');
    const port = portOfUnit ?? site.port;
    const command = [process.execPath, join(ROOT, 'bin/paster.js'), 'serve', 'x.ini'];
    const program = new Program(python ?? '', ['-c', ACTIVATE, site.socket, String(port), ...command], {
      cwd: site.directory,
    });
    return { site, program, port };
  }

  test('go to the servers whose sections name them', async () => {
    const { site, program } = await activated(undefined);
    await program.says(/^serving on http.*\n/m);
    expect(await page(site.socket)).toMatch(/^v0 /);
    expect(await text(site.url)).toMatch(/^v0 /);
    program.child.kill('SIGHUP');
    await program.says(/^reloaded$/m);
    expect(await text(site.url)).toMatch(/^v0 /);
  });

  test('are refused if no section names them', async () => {
    const { program, port } = await activated(await freePort());
    const { status, stderr } = await program.finished();
    expect(status).toBe(2);
    expect(stderr).toContain(`systemd has opened 127.0.0.1:${port}, which [server:web] and [server:live] do not name`);
  });
});

test('export names the servers that a configuration leaves out', async () => {
  const web = '[server:web]\nuse = npm:paster#fastcgi\nsocket = web.sock\n';
  const text = `[paster]\nserve = web live more\n[app:main]\nuse = npm:paster#test\n${web}${live(8090)}${live(8091).replace('live', 'more')}`;
  const cwd = temporaryDirectory({ 'x.ini': text });
  const notes = async (target: string) => (await paster(['export', target, 'x.ini'], { cwd }).finished()).stderr;
  const more = 'paster: [server:more] is not in this configuration: --server-section more writes it\n';
  expect(await notes('nginx')).toBe(more);
  expect(await notes('caddy')).toBe(
    `paster: this is [server:web] alone, which carries no WebSockets: --server-section live writes [server:live], for pages and WebSockets\n${more}`,
  );
});
