/** Which clients `status` and `metrics` treat as local: never one that came through a proxy on this machine. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { freePort, requireProgram, serve } from '../../helpers/programs/program.ts';
import { ask } from '../../helpers/requests/ask.ts';
import { runNginx } from '../../helpers/web-servers/nginx.ts';

/** Status and metrics, behind filters that change what a request says about its client. */
const INI = (server: string, filter: string) => `[composite:main]
use = npm:paster#urlmap
/status = status
/metrics = metrics
/included = includer
/ = site
filter-with = recursive

[app:site]
use = npm:paster#test

[app:status]
use = npm:paster#status

[app:metrics]
use = npm:paster#metrics
allow = 127.0.0.1

[app:includer]
use = module:./includer.js

[filter:recursive]
use = npm:paster#recursive
filter-with = client

[filter:client]
${filter}

[server:main]
${server}
`;

/** Includes the status page in the response to another request. */
const INCLUDER = `export default async (req, res) => {
  const { status } = await req.include('/status');
  res.statusCode = status;
  res.end();
};
`;

const FILTERS: Readonly<Record<string, string>> = {
  'a filter that changes nothing': 'use = npm:paster#security_headers',
  'proxy_headers for another proxy': 'use = npm:paster#proxy_headers\ntrusted_proxies = 10.0.0.0/8',
  'proxy_headers for other headers': 'use = npm:paster#proxy_headers\nheaders = forwarded',
  'proxy_headers for this proxy': 'use = npm:paster#proxy_headers',
  'prefix for another proxy': 'use = npm:paster#prefix\ntrusted_proxies = 10.0.0.0/8',
};

const PAGES = ['/status', '/metrics', '/status/?format=html'];

let directory = '';

beforeEach(() => {
  directory = temporaryDirectory({ 'includer.js': INCLUDER, 'package.json': '{"type": "module"}' });
});

async function start(server: string, filter: string): Promise<string> {
  writeFileSync(join(directory, 'x.ini'), INI(server, filter));
  const { url } = await serve(['x.ini'], { cwd: directory });
  return url;
}

async function statuses(origin: string, headers: Record<string, string> = {}, prefix = ''): Promise<number[]> {
  return Promise.all(PAGES.map(async (path) => (await ask(origin, prefix + path, { headers })).status));
}

const ALL = PAGES.map(() => 200);
const NONE = PAGES.map(() => 403);

/** The settings in a location of nginx, for an application over TCP. */
const PROXIES: Readonly<Record<string, string>> = {
  'no header at all': '',
  'HTTP/1.1 and Host': 'proxy_http_version 1.1; proxy_set_header Host $http_host;',
  'X-Forwarded-For': 'proxy_http_version 1.1; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;',
  'X-Real-IP': 'proxy_http_version 1.1; proxy_set_header X-Real-IP $remote_addr;',
  'X-Forwarded-Proto': 'proxy_http_version 1.1; proxy_set_header X-Forwarded-Proto $scheme;',
  Forwarded: 'proxy_http_version 1.1; proxy_set_header Forwarded for=$remote_addr;',
};

const nginx = requireProgram('nginx');

describe.each(Object.entries(FILTERS))('behind %s', (_what, filter) => {
  test('a client on this machine is local', async () => {
    const url = await start('use = npm:paster#http\nhost = 127.0.0.1\nport = 0', filter);
    expect(await statuses(url)).toEqual(ALL);
    expect(await statuses(url, { host: 'localhost' })).toEqual(ALL);
    expect(await statuses(url, { host: '[::1]:80' })).toEqual(ALL);
    // The Host of a page whose name now resolves to 127.0.0.1.
    expect(await statuses(url, { host: 'evil.example' })).toEqual(NONE);
    for (const name of ['x-forwarded-port', 'via', 'cf-connecting-ip', 'x-forwarded-for']) {
      expect(await statuses(url, { [name]: '127.0.0.1' })).toEqual(NONE);
    }
  });

  test.runIf(nginx)('a client of an nginx on this machine is not', async () => {
    const port = await freePort();
    const socket = join(directory, 'app.sock');
    const tcp = await start(`use = npm:paster#http\nlisten = 127.0.0.1:${port} unix:${socket}`, filter);
    expect(await statuses(tcp)).toEqual(ALL);
    const proxies = [`127.0.0.1:${port}`, `unix:${socket}:`].flatMap((upstream, index) =>
      Object.entries(PROXIES).map(([what, settings], number) => ({
        what: `${what} (${upstream})`,
        prefix: `/${index}-${number}`,
        pass: `proxy_pass http://${upstream}/; ${settings}`,
      })),
    );
    const locations = proxies.map(({ prefix, pass }) => `location ${prefix}/ { ${pass} }`);
    const { url } = await runNginx(nginx ?? '', `server { listen 80; ${locations.join('\n')} }`);
    const headers = { host: 'shop.example.org' };
    for (const { what, prefix } of proxies) {
      expect({ what, statuses: await statuses(url, headers, prefix) }).toEqual({ what, statuses: NONE });
      const { status } = await ask(url, `${prefix}/included`, { headers });
      expect({ what, status }).toEqual({ what, status: 403 });
    }
  });

  test.runIf(nginx)('over FastCGI the web server says whether the client is local', async () => {
    const port = await freePort();
    await start(`use = npm:paster#fastcgi\nhost = 127.0.0.1\nport = ${port}`, filter);
    const location = `location / { fastcgi_pass 127.0.0.1:${port}; include fastcgi_params; fastcgi_param PATH_INFO $uri; fastcgi_param SCRIPT_NAME ""; fastcgi_param HTTP_HOST $http_host; }`;
    const { url } = await runNginx(nginx ?? '', `server { listen 80; ${location} }`);
    expect(await statuses(url)).toEqual(ALL);
    expect(await statuses(url, { 'x-forwarded-for': '127.0.0.1' })).toEqual(NONE);
    const elsewhere = location.replace(
      'include fastcgi_params;',
      'include fastcgi_params; fastcgi_param REMOTE_ADDR 192.0.2.1;',
    );
    const { url: other } = await runNginx(nginx ?? '', `server { listen 80; ${elsewhere} }`);
    expect(await statuses(other)).toEqual(NONE);
  });
});
