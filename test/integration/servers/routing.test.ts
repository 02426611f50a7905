/** Which of several servers and workers a request reaches: behind the nginx of `paster export`, and with `sticky`. */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { text as received } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { project, runWebServer } from '../../export/site.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { Load } from '../../helpers/programs/load.ts';
import { eventually, freePort, Program, paster, ROOT, requireProgram, serve } from '../../helpers/programs/program.ts';
import { chat, chattyApp, get, live, TwoServers } from './two-servers.ts';

const nginx = requireProgram('nginx');

/** A request for a page by a client that could use HTTP/2 without TLS. */
async function offeringHttp2(url: string): Promise<string> {
  const asking = request(url, { headers: { connection: 'upgrade', upgrade: 'h2c' }, agent: false }).end();
  const [response] = await once(asking, 'response');
  return received(response);
}

describe.runIf(nginx)('behind the nginx of paster export', () => {
  const APP = `import { writeFileSync } from 'node:fs';
import { WebSocketServer } from '${join(ROOT, 'node_modules/ws/wrapper.mjs')}';
const sockets = new WebSocketServer({ noServer: true });
export const makeApp = () => Object.assign(
  // nginx sets this header only for HTTP.
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
    expect(await get(`${url}${prefix}/page?q=1`)).toBe('FastCGI /page?q=1');
    expect(await offeringHttp2(`${url}${prefix}/page`)).toBe('FastCGI /page');
    expect(await (await fetch(`${url}${prefix}/static/site.css`)).text()).toContain('teal');
    expect(await chat(`${url}${prefix}/talk?q=2`, 'hello')).toBe(`${prefix || undefined} /talk?q=2 127.0.0.1 hello`);
  });

  test('ten HUPs under load fail no request of either server, and WebSockets stay open', async () => {
    const site = await TwoServers.start();
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
    // Each worker accepts connections of both servers.
    const [pages, web] = loads.map(({ workers }) => workers);
    expect([...(pages ?? [])].filter((pid) => web?.has(pid)).length).toBeGreaterThan(10);
  });
});

test('sticky: a client reaches the same worker over both servers', async () => {
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
  expect([...pids]).toEqual([expect.stringMatching(/^\d+$/)]);
});

test('export lists the servers that a configuration leaves out', async () => {
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
