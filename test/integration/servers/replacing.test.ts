/** Several servers while their processes are replaced or end: HUP, `paster upgrade`, TERM and `--reload`. */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Load } from '../../helpers/programs/load.ts';
import { eventually, freePort, paster } from '../../helpers/programs/program.ts';
import { FastcgiClient } from '../../servers/fastcgi/client.ts';
import { chat, chattyApp, get, getByFastcgi, ini, TwoServers, WEB } from './two-servers.ts';

/** A request for /two/a, whose mount is set by the server. */
const TWO = { REQUEST_METHOD: 'GET', REQUEST_URI: '/two/a', SCRIPT_NAME: '', PATH_INFO: '/two/a' };

describe('HUP', () => {
  test('adds a server without a failed request to another one, and moves and removes servers', async () => {
    const site = await TwoServers.start();
    const load = new Load(site.url, { clients: 2 });
    const [other, third] = [await freePort(), await freePort()];
    const scgi = `[server:third]\nuse = npm:paster#scgi\nport = ${third}\n`;
    site.save('x.ini', ini({ port: site.port, more: scgi, names: 'web live third' }));
    await site.hup();
    await site.program.says(new RegExp(`^serving on scgi://127.0.0.1:${third}$`, 'm'));
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(load.answered).toBeGreaterThan(0);
    site.save('x.ini', ini({ port: other }));
    await site.hup();
    await site.program.says(new RegExp(`^no longer serving on ${site.url}$`, 'm'));
    await site.program.says(new RegExp(`^no longer serving on scgi://127.0.0.1:${third}$`, 'm'));
    await site.program.says(new RegExp(`^serving on http://127.0.0.1:${other}$`, 'm'));
    const addresses = [
      { server: 'web', url: `fastcgi://unix:${site.socket}` },
      { server: 'live', url: `http://127.0.0.1:${other}` },
    ];
    const status = (...args: string[]) => paster(['status', ...args, 'x.ini'], { cwd: site.directory }).finished();
    expect(JSON.parse((await status('--json')).stdout).servers[0].addresses).toEqual(addresses);
    for (const { server, url } of addresses)
      expect((await status()).stdout).toContain(`\nlistens on ${url} (server ${server})\n`);
    expect(await get(`http://127.0.0.1:${other}`)).toMatch(/^v0 /);
    await expect(get(site.url)).rejects.toThrow();
    expect(await getByFastcgi(site.socket)).toMatch(/^v0 /);
    site.save('x.ini', ini({ port: other, names: 'live', workers: '', more: 'workers = 2\n' }));
    await site.hup();
    expect(existsSync(site.socket)).toBe(false);
    expect(await get(`http://127.0.0.1:${other}`)).toMatch(/^v0 /);
  });

  test('changes nothing if one of the new addresses is taken', async () => {
    const site = await TwoServers.start();
    const third = await freePort();
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as { port: number };
    const scgi = `[server:third]\nuse = npm:paster#scgi\nport = ${third}\n`;
    site.save('x.ini', ini({ port, more: scgi, names: 'third web live' }).replace(`${WEB}workers = 2`, WEB));
    await site.hup(/the old one keeps running/g);
    taken.close();
    expect(site.program.output).toMatch(
      /x\.ini:\d+:\d+: \[server:live\] port \d+ on 127\.0\.0\.1 is in use by another program \(.*: port = \d+\)/,
    );
    expect(await get(site.url)).toMatch(/^v0 /);
    expect(await getByFastcgi(site.socket)).toMatch(/^v0 /);
    await expect(get(`http://127.0.0.1:${third}`)).rejects.toThrow();
    site.save('x.ini', ini({ port: site.port }));
    await site.hup();
  });

  test('lets two servers exchange their addresses', async () => {
    const site = await TwoServers.start();
    const swapped = ini({ port: site.port }).replace('npm:paster#fastcgi', 'X').replace('npm:paster#http', 'Y');
    site.save('x.ini', swapped.replace('X', 'npm:paster#http').replace('Y', 'npm:paster#fastcgi'));
    await site.hup();
    const client = await FastcgiClient.connect(site.port);
    expect((await client.ask(1, { REQUEST_METHOD: 'GET', REQUEST_URI: '/' })).body.toString()).toMatch(/^v0 /);
    client.close();
  });

  test('a keep-alive connection of a web server stays with its own server', async () => {
    const second =
      '[server:second]\nuse = npm:paster#fastcgi\nsocket = second.sock\nallow = 127.0.0.1\nscript_name = /two\n';
    const app = "export default (req, res) => res.end('v0 ' + (req.baseUrl ?? ''));\n";
    const site = await TwoServers.start({ app, more: second });
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
    // The server is removed, and its connections close.
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
  test('paster upgrade takes over the sockets and the keep-alive connections of both servers', async () => {
    const site = await TwoServers.start({ workers });
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

  test('TERM finishes the requests of both servers', async () => {
    const app = `import { existsSync, writeFileSync } from 'node:fs';
export default (req, res) => {
  if (req.url === '/') return res.end();
  writeFileSync('held' + req.url.slice(1), '');
  const timer = setInterval(() => existsSync('release') && (clearInterval(timer), res.end('done')), 20);
};
`;
    const site = await TwoServers.start({ workers, app });
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

test('--reload serves the new version, or the error of one that does not load, on both servers', async () => {
  const site = await TwoServers.start({ workers: '', args: ['--reload'] });
  site.save('app.js', chattyApp('v1'));
  await eventually(async () => (await get(site.url)).startsWith('v1'));
  await eventually(async () => (await getByFastcgi(site.socket)).startsWith('v1'));
  site.save('x.ini', 'no section\n');
  await eventually(async () => (await get(site.url)).includes('x.ini'));
  await eventually(async () => (await getByFastcgi(site.socket)).includes('x.ini'));
  site.save('x.ini', ini({ port: site.port, workers: '' }));
  site.save('app.js', chattyApp('v2'));
  await eventually(async () => (await get(site.url)).startsWith('v2'));
  await eventually(async () => (await getByFastcgi(site.socket)).startsWith('v2'));
});
