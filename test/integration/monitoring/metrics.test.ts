/** What a server tells of itself: metrics and the status page of all workers, whatever becomes of them, and WINCH. */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, test } from 'vitest';
import { askUpgrade } from '../../filters/upgrade.ts';
import { ask, askForStart } from '../../helpers/ask.ts';
import { makeCertificate } from '../../helpers/certificate.ts';
import { leastContrast, overhang, startChromium, visit } from '../../helpers/chromium.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { startNginx, startNginxForScgi } from '../../helpers/front-end.ts';
import { runNginx } from '../../helpers/nginx.ts';
import { eventually, needProgram, type Program, serve } from '../../helpers/program.ts';

const APP = `import { setTimeout as sleep } from 'node:timers/promises';
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

const INI = (server: string) => `[composite:main]
use = npm:paster#urlmap
/ = site
/metrics = metrics
/status = status

[app:site]
use = module:./app.js

[app:metrics]
use = npm:paster#metrics

[app:status]
use = egg:Paste#watch_threads

[server:main]
${server}
`;

const HTTP = 'use = npm:paster#http\nport = 0\n';

let directory = '';

beforeEach(() => {
  directory = temporaryDirectory({ 'app.js': APP, 'package.json': '{"type": "module"}' });
});

function start(server: string, ...args: string[]): Promise<Program & { url: string }> {
  writeFileSync(join(directory, 'x.ini'), INI(server));
  return serve(['x.ini', ...args], { cwd: directory, env: { XDG_RUNTIME_DIR: directory } });
}

const get = async (url: string) => (await ask(url, '/')).body.toString();

/** Every sample of a scrape, by its name with labels. */
async function scrape(origin: string): Promise<Map<string, number>> {
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

const OF_SITE = 'paster_http_requests_total{section="app:site",method="GET",status="200"}';

/** Those that may never become less. */
function totals(samples: ReadonlyMap<string, number>): [string, number][] {
  return [...samples].filter(([name]) => /_(?:total|bucket|count|sum)(?:\{|$)/.test(name));
}

function expectNoLess(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): void {
  for (const [name, value] of totals(before)) expect(after.get(name), name).toBeGreaterThanOrEqual(value);
}

/** A server that takes its time before it takes connections; it makes one itself in the meantime, and says what it got. */
const LATE_SERVER = `import { createServer } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
export const make = () => ({
  scheme: 'http',
  defaultAddress: { kind: 'tcp', host: '127.0.0.1', port: 0 },
  async serve(app, [listener]) {
    const early = connect(listener.address().port, '127.0.0.1');
    early.write('GET /early HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n');
    early.on('data', (data) => process.stderr.write(data));
    await sleep(50);
    const http = createServer(app);
    listener.on('connection', (socket) => http.emit('connection', socket));
    return { addresses: [listener.address()], async close() { http.closeAllConnections(); listener.close(); } };
  },
});
`;

describe('metrics', () => {
  test.each([
    ['one process', ''],
    ['a worker', 'workers = 1'],
  ])('a server that takes its time loses no connection of those before: %s', async (_what, processes) => {
    writeFileSync(join(directory, 'server.js'), LATE_SERVER);
    const program = await start(`paste.server_factory = ./server.js:make\n${processes}`);
    await program.says(/HTTP\/1\.1 200 OK/);
    expect((await scrape(program.url)).get('paster_connections_total')).toBe(2);
  });

  test.each([
    ['one process', ''],
    ['two workers', 'workers = 2'],
  ])('a scrape has what all have served: %s', async (_what, server) => {
    const { url } = await start(HTTP + server);
    for (let round = 0; round < 10; round++) await get(url);
    await ask(url, '/missing');
    expect((await askUpgrade(url)).status).toBe(101);
    const samples = await eventually(async () => {
      const found = await scrape(url);
      return found.get('paster_connections_open') === 1 && found;
    });
    expect(samples.get(OF_SITE)).toBe(10);
    expect(samples.get('paster_http_requests_total{section="app:site",method="GET",status="404"}')).toBe(1);
    expect(samples.get('paster_http_request_duration_seconds_count{section="app:site"}')).toBe(11);
    expect(samples.get('paster_http_request_duration_seconds_bucket{le="+Inf",section="app:site"}')).toBe(11);
    expect(samples.get('paster_http_upgrades_total')).toBe(1);
    expect(samples.get('paster_http_requests_in_flight')).toBe(1);
    expect(samples.get('paster_connections_total')).toBeGreaterThanOrEqual(13);
    expect(samples.get('paster_received_bytes_total')).toBeGreaterThan(13 * 40);
    expect(samples.get('paster_sent_bytes_total')).toBeGreaterThan(13 * 80);
    const processes = [...samples.keys()].filter((name) => name.startsWith('paster_resident_memory_bytes'));
    expect(processes).toHaveLength(server === '' ? 1 : 2);
  });

  test('totals never go back, while workers are killed, crash and are exchanged', async () => {
    const program = await start(`${HTTP}workers = 2`);
    const { url } = program;
    let before = await scrape(url);
    let answered = 0;
    const acts: [reason: string, (pid: number) => unknown][] = [
      ['crash', (pid) => process.kill(pid, 'SIGKILL')],
      ['crash', () => ask(url, '/crash').catch(() => {})],
      ['crash', () => ask(url, '/exit').catch(() => {})],
      ['reload', () => program.child.kill('SIGHUP')],
      ['signal', (pid) => process.kill(pid, 'SIGTERM')],
    ];
    const restarts = (of: ReadonlyMap<string, number>, reason: string) =>
      of.get(`paster_worker_restarts_total{reason="${reason}"}`) ?? 0;
    for (const [reason, act] of acts) {
      let pid = 0;
      for (let each = 0; each < 8; each++) {
        pid = Number(await get(url).catch(() => 0));
        if (pid > 0) answered++;
      }
      const last = before;
      await act(pid);
      before = await eventually(async () => {
        const after = await scrape(url).catch(() => undefined);
        if (after) expectNoLess(last, after);
        return (
          after &&
          after.get('paster_workers{state="ready"}') === 2 &&
          restarts(after, reason) > restarts(last, reason) &&
          after
        );
      });
    }
    const last = before;
    expect(restarts(last, 'crash')).toBe(3);
    expect(restarts(last, 'reload')).toBe(2);
    expect(restarts(last, 'signal')).toBe(1);
    expect(last.get('paster_reloads_total{result="done"}')).toBe(1);
    expect(last.get('paster_reload_duration_seconds_sum')).toBeGreaterThan(0);
    // Of a worker that is killed at most the last second is lost.
    expect(last.get(OF_SITE)).toBeLessThanOrEqual(answered);
    expect(last.get(OF_SITE)).toBeGreaterThanOrEqual(answered - 8);
  });

  test('workers that are replaced for max_requests, and one that stands still, are counted by their reason', async () => {
    const { url } = await start(`${HTTP}workers = 1\nmax_requests = 5\nworker_timeout = 1`);
    const restartsFor = async (reason: string) =>
      (await scrape(url).catch(() => undefined))?.get(`paster_worker_restarts_total{reason="${reason}"}`) ?? 0;
    // On a machine that is busy enough a worker may be taken for blocked, and a request of its own is lost.
    await eventually(async () => {
      await get(url).catch(() => {});
      return (await restartsFor('max_requests')) >= 1;
    });
    await ask(url, '/spin').catch(() => {});
    await eventually(async () => (await restartsFor('stuck')) >= 1);
  });

  test('over TLS and HTTP/2 a connection is gone when the client is', async () => {
    const made = makeCertificate(directory);
    const { url } = await start(`${HTTP}http2 = true\nssl_pem = ${made.pem}`);
    for (let round = 0; round < 3; round++) {
      const client = connectHttp2(url, { rejectUnauthorized: false });
      await once(client.request({ ':path': '/' }).resume(), 'end');
      client.close();
    }
    const samples = await eventually(async () => {
      const found = await scrape(url);
      return found.get('paster_connections_open') === 1 && found;
    });
    expect(samples.get(OF_SITE)).toBe(3);
    expect(samples.get('paster_received_bytes_total')).toBeGreaterThan(1000);
    const expires = samples.get('paster_certificate_expiry_time_seconds{name="127.0.0.1"}') ?? 0;
    expect(Math.round((expires - Date.now() / 1000) / 86_400)).toBe(30);
    const page = await ask(url, '/status', { headers: { accept: 'text/html' } });
    expect(page.body.toString()).toMatch(/127\.0\.0\.1 expires in (?:29|30) days, on /);
  });

  test('only those may read them that allow names', async () => {
    writeFileSync(join(directory, 'x.ini'), INI(HTTP).replace('#metrics\n', '#metrics\nallow = 10.0.0.0/8\n'));
    const { url } = await serve(['x.ini'], { cwd: directory, env: { XDG_RUNTIME_DIR: directory } });
    expect((await ask(url, '/metrics')).status).toBe(403);
    expect((await ask(url, '/status', { method: 'POST' })).status).toBe(405);
  });
});

interface StatusJson {
  readonly workers: readonly {
    readonly pid: number;
    readonly silent?: number;
    readonly report?: { readonly inFlight: readonly Record<string, unknown>[] };
  }[];
}

async function statusOf(origin: string): Promise<StatusJson> {
  return JSON.parse((await ask(origin, '/status')).body.toString());
}

const inHand = ({ workers }: StatusJson) => workers.flatMap(({ report }) => report?.inFlight ?? []);

describe('status', () => {
  test('names the requests of all workers, and the answer by what the client accepts', async () => {
    const { url } = await start(`${HTTP}workers = 2`);
    const leave = new AbortController();
    const held = await Promise.all(
      Array.from({ length: 4 }, (_, index) => fetch(`${url}/held?token=t&n=${index}`, { signal: leave.signal })),
    );
    const found = (await inHand(await statusOf(url))).filter(({ section }) => section === 'app:site');
    expect(found.map((each) => each['url']).sort()).toEqual([0, 1, 2, 3].map((n) => `/held?token=********&n=${n}`));
    expect(found[0]).toMatchObject({ method: 'GET', client: '127.0.0.1', section: 'app:site' });
    const page = await ask(url, '/status', { headers: { accept: 'text/html' } });
    expect(page.headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': expect.not.stringContaining('unsafe'),
    });
    expect(page.body.toString()).toContain('/held?token=********&amp;n=0');
    expect((await ask(url, '/status?format=html')).headers['content-type']).toMatch(/html/);
    expect((await ask(url, '/status?format=json', { headers: { accept: 'text/html' } })).headers['content-type']).toBe(
      'application/json',
    );
    leave.abort();
    for (const each of held) await each.body?.cancel().catch(() => {});
  });

  test('a worker that stands still is shown as it was', async () => {
    const { url } = await start(`${HTTP}workers = 2`);
    await scrape(url);
    const found = await eventually(async () => {
      const spinning = ask(url, '/spin');
      // Or the one that spins may have taken the question first.
      await sleep(200);
      const { workers } = await statusOf(url);
      await spinning;
      return workers.find(({ silent }) => silent !== undefined);
    });
    expect(found.silent).toBeGreaterThan(0.2);
  });

  test('is for this machine: not for who comes through a proxy on it', async () => {
    const { url } = await start(HTTP);
    expect((await ask(url, '/status')).status).toBe(200);
    for (const name of ['X-Forwarded-For', 'Forwarded', 'Via', 'X-Real-IP']) {
      expect((await ask(url, '/status', { headers: { [name]: '192.0.2.1' } })).status, name).toBe(403);
    }
  });

  test.each(['fastcgi', 'scgi'])('behind nginx by %s the client is who it is for', async (protocol) => {
    const binary = needProgram('nginx');
    const socket = join(directory, 'a.sock');
    await start(`use = npm:paster#${protocol}\nsocket = ${socket}\nworkers = 2`);
    const { url } = await (protocol === 'scgi' ? startNginxForScgi(binary, socket) : startNginx(binary, { socket }));
    const before = (await scrape(url)).get(OF_SITE) ?? 0;
    for (let round = 0; round < 5; round++) await ask(url, '/');
    const broken = new AbortController();
    const held = fetch(`${url}/held`, { signal: broken.signal }).then((answer) => answer.text());
    await eventually(async () => inHand(await statusOf(url)).some((each) => each['url'] === '/held'));
    broken.abort();
    await held.catch(() => {});
    const samples = await eventually(async () => {
      const found = await scrape(url);
      return found.get('paster_http_requests_aborted_total{section="app:site"}') === 1 && found;
    });
    expect(samples.get(OF_SITE)).toBe(before + 6);
    expect(samples.get('paster_received_bytes_total')).toBeGreaterThan(500);
    // nginx tells where its client is; loopback here, and that is what decides.
    expect((await ask(url, '/status')).status).toBe(200);
    const elsewhere = await startNginxFor(binary, socket, protocol);
    expect((await ask(elsewhere, '/status')).status).toBe(403);
  });

  test('in a browser: live, with the keyboard, on a telephone and a desktop, dark and light', async () => {
    const chromium = needProgram('chromium');
    const program = await start(`${HTTP}workers = 2`);
    const { url } = program;
    const leave = new AbortController();
    const held = await askForStart(url, '/held?<script>alert(1)</script><img/src=x/onerror=alert(1)>"\'');
    const long = fetch(`${url}/held?${'a'.repeat(250)}`, { signal: leave.signal }).catch(() => {});
    await eventually(async () => inHand(await statusOf(url)).length >= 3);
    const browser = await startChromium(chromium);
    for (const [width, dark] of [
      [360, true],
      [1440, false],
    ] as const) {
      const { page, errors } = await visit(browser, `${url}/status`, { dark, viewport: { width, height: 800 } });
      await page.locator('#live', { hasText: 'live' }).waitFor();
      expect(await overhang(page)).toBe(0);
      const { ratio, brightness } = await leastContrast(page);
      expect(ratio).toBeGreaterThanOrEqual(4.5);
      expect(brightness < 0.5).toBe(dark);
      expect(await page.locator('main img, main script').count()).toBe(0);
      expect(await page.locator('#requests td.url').allInnerTexts()).toEqual(
        expect.arrayContaining(['/held?<script>alert(1)</script><img/src=x/onerror=alert(1)>"\'']),
      );
      expect(await page.locator('#workers tbody tr').count()).toBe(2);
      expect(errors).toEqual([]);
      if (width === 360) continue;
      // What happens on the server comes without another load of the page, also after its worker has ended.
      await page.evaluate('window.isSamePage = true');
      program.child.kill('SIGHUP');
      await page.locator('#events', { hasText: 'HUP' }).waitFor();
      expect(await page.evaluate('window.isSamePage')).toBe(true);
      await page.locator('#live', { hasText: 'live' }).waitFor();
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      await page.locator('#live', { hasText: 'paused' }).waitFor();
      expect(await page.locator('button:focus').innerText()).toBe('Continue');
    }
    // Without JavaScript the page loads itself again.
    const plain = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
    await plain.goto(`${url}/status`);
    expect(await plain.locator('#workers tbody tr').count()).toBeGreaterThanOrEqual(2);
    await plain.waitForEvent('framenavigated', { timeout: 60_000 });
    leave.abort();
    held.leave();
    await long;
  });

  test('open pages do not count as requests in flight, are bounded, and end when their worker drains', async () => {
    const program = await start(`${HTTP}workers = 1`);
    const { url } = program;
    const leave = new AbortController();
    const events = `${url}/status?format=events`;
    const pages = await Promise.all(Array.from({ length: 16 }, () => fetch(events, { signal: leave.signal })));
    const [page] = pages;
    expect(page?.headers.get('content-type')).toBe('text/event-stream');
    // One more gets the status once, and is told to come back later.
    const crowded = await (await fetch(events)).text();
    expect(crowded).toMatch(/^retry: 10000\ndata: \{"build":/);
    expect(JSON.parse(crowded.replace(/^[^{]*/, '')).parts).toHaveProperty('workers');
    expect(await inHand(await statusOf(url))).toHaveLength(1);
    expect(
      await scrape(url).then((samples) => samples.get('paster_http_requests_aborted_total{section="app:status"}')),
    ).toBe(0);
    program.child.kill('SIGHUP');
    const [text = ''] = await Promise.all(pages.map((each) => each.text()));
    expect(text).toMatch(/^retry: 1000\n/);
    // The supervisor notes the reload when the old worker has begun to drain.
    await eventually(async () => {
      const { events: happened } = JSON.parse((await ask(url, '/status')).body.toString());
      return happened.length === 1 && happened[0].kind === 'reload' && happened[0].text === 'HUP';
    });
  });
});

/** nginx that says of every client that it is elsewhere. */
async function startNginxFor(binary: string, socket: string, protocol: string): Promise<string> {
  const { url } = await runNginx(
    binary,
    `server {
    listen 80;
    location / {
      ${protocol}_pass unix:${socket};
      ${protocol}_param REQUEST_METHOD $request_method;
      ${protocol}_param REQUEST_URI $request_uri;
      ${protocol}_param SERVER_PROTOCOL $server_protocol;
      ${protocol}_param CONTENT_LENGTH ${protocol === 'scgi' ? '0' : '$content_length'};
      ${protocol}_param SCGI 1;
      ${protocol}_param REMOTE_ADDR 192.0.2.7;
    }
  }`,
  );
  return url;
}

describe('what is written down', () => {
  test.each([
    ['one process', '', /^process (\d+), up \d+ s: 1 request, 1 in flight/m],
    [
      'workers',
      'workers = 1',
      /^server \d+, up \d+ s: 1 request, 1 in flight.*\nworker (\d+), up \d+ s: 1 request, 1/m,
    ],
  ])('WINCH has %s say how it is', async (_what, server, line) => {
    const program = await start(HTTP + server);
    const pid = await get(program.url);
    const leave = new AbortController();
    await fetch(`${program.url}/held?password=p`, { signal: leave.signal });
    program.child.kill('SIGWINCH');
    const [, named] = await program.says(line);
    expect(named).toBe(pid);
    await program.says(/^ {2}GET \/held\?password=\*{8}, for \d+\.\d s, from 127\.0\.0\.1, \[app:site\]$/m);
    leave.abort();
    // The worker itself ends neither of it nor of USR2.
    process.kill(Number(pid), 'SIGWINCH');
    if (server !== '') process.kill(Number(pid), 'SIGUSR2');
    expect(await get(program.url)).toBe(pid);
  });

  test('a crash is one record: how, of what, where in the application, and what it held', async () => {
    const program = await start(`${HTTP}workers = 1`);
    const pid = await get(program.url);
    const held = fetch(`${program.url}/held?token=t`).then((answer) => answer.text());
    await eventually(async () => inHand(await statusOf(program.url)).length === 2);
    await ask(program.url, '/crash').catch(() => {});
    await held.catch(() => {});
    await program.says(/\[app:site\]\n.*\/crash/);
    expect(program.stderr).toMatch(
      new RegExp(
        [
          `^paster: error: worker ${pid} ended with status 1: app\\.js:4:\\d+: TypeError: boom`,
          '  at .*app\\.js:4:\\d+\\)?',
          '(?:  at .*\\n)+  it had these requests in flight:',
          '    GET /held\\?token=\\*{8}, for [\\d.]+ s, from 127\\.0\\.0\\.1, \\[app:site\\]',
          '    GET /crash, for [\\d.]+ s, from 127\\.0\\.0\\.1, \\[app:site\\]\\n$',
        ].join('\\n'),
      ),
    );
  });

  test.each([
    ['/reject', /worker \d+ ended with status 1: app\.js:5:\d+: rejected\n/],
    ['/exit', /worker \d+ ended with status 9\n {2}it had these requests in flight:\n {4}GET \/exit, /],
  ])('so is the end by %s', async (path, record) => {
    const program = await start(`${HTTP}workers = 1`);
    await ask(program.url, path).catch(() => {});
    await program.says(record);
    expect(await get(program.url)).toMatch(/^\d+$/);
    expect(program.stderr.match(/^paster: /gm)).toHaveLength(1);
  });

  test.each([
    [
      '/crash',
      /^paster: error: process \d+ ended with status 1: app\.js:4:\d+: TypeError: boom\n(?: {2}at .*\n)+ {2}it had/,
    ],
    ['/reject', /^paster: error: process \d+ ended with status 1: app\.js:5:\d+: rejected\n/],
  ])('one process without workers writes it of itself: %s', async (path, record) => {
    const program = await start(HTTP);
    await ask(program.url, path).catch(() => {});
    const { status, stderr } = await program.finished();
    expect(status).toBe(1);
    expect(stderr).toMatch(record);
    expect(stderr).toMatch(new RegExp(` {2}it had these requests in flight:\n {4}GET ${path}, .*\n$`));
  });

  test('a worker that somebody has killed had no time to say what it held', async () => {
    const program = await start(`${HTTP}workers = 1`);
    process.kill(Number(await get(program.url)), 'SIGKILL');
    await program.says(/worker \d+ ended by SIGKILL: it was killed, perhaps by the system when memory ran out\n$/);
    expect(await get(program.url)).toMatch(/^\d+$/);
  });

  test('an application that catches its errors itself goes on', async () => {
    writeFileSync(join(directory, 'app.js'), `${APP}process.on('uncaughtException', () => {});\n`);
    const program = await start(`${HTTP}workers = 1`);
    const pid = await get(program.url);
    const leave = new AbortController();
    const asked = fetch(`${program.url}/crash`, { signal: leave.signal }).catch(() => {});
    expect(await get(program.url)).toBe(pid);
    await eventually(async () => inHand(await statusOf(program.url)).length === 2);
    expect(await get(program.url)).toBe(pid);
    expect(program.stderr).toBe('');
    leave.abort();
    await asked;
    // What it has survived is not what it dies of later.
    process.kill(Number(pid), 'SIGKILL');
    await program.says(new RegExp(`worker ${pid} ended by SIGKILL: it was killed`));
    expect(program.stderr).not.toContain('boom');
  });
});
