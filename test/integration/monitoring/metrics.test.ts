/** The metrics of all workers, including those that have ended. */
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { describe, expect, test } from 'vitest';
import { askUpgrade } from '../../filters/servers/upgrade.ts';
import { temporaryDirectory } from '../../helpers/directory.ts';
import { eventually } from '../../helpers/programs/program.ts';
import { ask } from '../../helpers/requests/ask.ts';
import { makeCertificate } from '../../helpers/web-servers/certificate.ts';
import { get, HTTP, OF_SITE, scrape, start } from './monitored-server.ts';

/** The samples that must never decrease. */
function totals(samples: ReadonlyMap<string, number>): [string, number][] {
  return [...samples].filter(([name]) => /_(?:total|bucket|count|sum)(?:\{|$)/.test(name));
}

function expectNoLess(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): void {
  for (const [name, value] of totals(before)) expect(after.get(name), name).toBeGreaterThanOrEqual(value);
}

/** A server that is slow to accept connections; meanwhile it connects to itself, and prints the response. */
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
  ])('a server that starts slowly counts earlier connections too: %s', async (_what, processes) => {
    const files = { 'server.js': LATE_SERVER };
    const program = await start(`paste.server_factory = ./server.js:make\n${processes}`, { files });
    await program.says(/HTTP\/1\.1 200 OK/);
    expect((await scrape(program.url)).get('paster_connections_total')).toBe(2);
  });

  test.each([
    ['one process', ''],
    ['two workers', 'workers = 2'],
  ])('a scrape has the requests of all workers: %s', async (_what, server) => {
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

  test('totals never decrease, while workers are killed, crash and are replaced', async () => {
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
    // If a worker is killed, at most the counts of its last second are lost.
    expect(last.get(OF_SITE)).toBeLessThanOrEqual(answered);
    expect(last.get(OF_SITE)).toBeGreaterThanOrEqual(answered - 8);
  });

  test('worker restarts are counted by reason: max_requests, and a blocked worker', async () => {
    const { url } = await start(`${HTTP}workers = 1\nmax_requests = 5\nworker_timeout = 1`);
    const restartsFor = async (reason: string) =>
      (await scrape(url).catch(() => undefined))?.get(`paster_worker_restarts_total{reason="${reason}"}`) ?? 0;
    // On a very busy machine a worker may be taken for blocked, and its request is lost.
    await eventually(async () => {
      await get(url).catch(() => {});
      return (await restartsFor('max_requests')) >= 1;
    });
    await ask(url, '/spin').catch(() => {});
    await eventually(async () => (await restartsFor('stuck')) >= 1);
  });

  test('a closed connection is no longer counted over TLS and HTTP/2', async () => {
    const made = makeCertificate(temporaryDirectory());
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

  test('the metrics are only for the clients in allow, and the status page only for GET', async () => {
    const { url } = await start(HTTP, { metrics: 'allow = 10.0.0.0/8' });
    expect((await ask(url, '/metrics')).status).toBe(403);
    expect((await ask(url, '/status', { method: 'POST' })).status).toBe(405);
  });
});
