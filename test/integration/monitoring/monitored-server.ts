/** A server with an application that fails on request, metrics and a status page. */
import { expect } from 'vitest';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { type Program, serve } from '../../helpers/programs/program.ts';
import { ask } from '../../helpers/requests/ask.ts';

export const APP = `import { setTimeout as sleep } from 'node:timers/promises';
const app = async (req, res) => {
  const path = req.url.replace(/\\?.*/, '');
  if (path === '/crash') setTimeout(() => { throw new TypeError('boom'); });
  else if (path === '/reject') setTimeout(async () => { throw new Error('rejected'); });
  else if (path === '/exit') process.exit(9);
  else if (path === '/held') res.write('first');
  else if (path === '/missing') { res.statusCode = 404; res.end(); }
  else if (path === '/spin') { const end = Date.now() + 2000; while (Date.now() < end); res.end(); }
  else res.end(String(process.pid));
};
app.upgrade = (req, socket) => {
  socket.end('HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: echo\\r\\n\\r\\n{}');
};
export default app;
`;

const INI = (server: string, metrics: string) => `[composite:main]
use = npm:paster#urlmap
/ = site
/metrics = metrics
/status = status

[app:site]
use = module:./app.js

[app:metrics]
use = npm:paster#metrics
${metrics}

[app:status]
use = egg:Paste#watch_threads

[server:main]
${server}
`;

export const HTTP = 'use = npm:paster#http\nport = 0\n';

/** Starts a server with settings for `[server:main]` and `[app:metrics]`, and with more files next to its INI file. */
export function start(
  server: string,
  { metrics = '', files = {} }: { metrics?: string; files?: Readonly<Record<string, string>> } = {},
): Promise<Program & { url: string }> {
  const cwd = temporaryDirectory({
    'app.js': APP,
    'package.json': '{"type": "module"}',
    'x.ini': INI(server, metrics),
    ...files,
  });
  return serve(['x.ini'], { cwd, env: { XDG_RUNTIME_DIR: cwd } });
}

export const get = async (url: string) => (await ask(url, '/')).body.toString();

/** Every sample of a scrape, by its name with labels. */
export async function scrape(origin: string): Promise<Map<string, number>> {
  const { status, headers, body } = await ask(origin, '/metrics');
  expect(status).toBe(200);
  expect(headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
  const samples = new Map<string, number>();
  for (const line of body.toString().split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const [, name = '', value = ''] = /^([a-z_]+(?:\{.*\})?) (\S+)$/.exec(line) ?? [];
    expect(name, line).not.toBe('');
    expect(samples.has(name), `${name} twice`).toBe(false);
    samples.set(name, Number(value));
  }
  return samples;
}

/** The sample that counts the successful responses of the application. */
export const OF_SITE = 'paster_http_requests_total{section="app:site",method="GET",status="200"}';

interface StatusJson {
  readonly workers: readonly {
    readonly pid: number;
    readonly silent?: number;
    readonly report?: { readonly inFlight: readonly Record<string, unknown>[] };
  }[];
}

export async function statusOf(origin: string): Promise<StatusJson> {
  return JSON.parse((await ask(origin, '/status')).body.toString());
}

export async function inflightRequests(origin: string): Promise<Record<string, unknown>[]> {
  const { workers } = await statusOf(origin);
  return workers.flatMap(({ report }) => report?.inFlight ?? []);
}
