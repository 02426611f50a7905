/** What every server does with more requests than it can handle, and how long requests have waited in front of it. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { loadContext, loadServer } from '../../src/deploy/load.ts';
import { exemptPaths, guardOverload, type OverloadLimits } from '../../src/deploy/server/overload.ts';
import { measureQueueTime, queueSeconds } from '../../src/deploy/server/queue-time.ts';
import { InflightList } from '../../src/metrics/inflight-requests.ts';
import { LoopLag } from '../../src/metrics/loop-lag.ts';
import { meter } from '../../src/metrics/meter.ts';
import { openListener } from '../../src/net/listener.ts';
import { Peers } from '../../src/net/peers.ts';
import type { App } from '../../src/protocol/types.ts';
import type { Serving } from '../contract/backends/backend.ts';
import { fastcgiBackend } from '../contract/backends/fastcgi-backend.ts';
import { httpBackend } from '../contract/backends/http-backend.ts';
import { http2Backend } from '../contract/backends/http2-backend.ts';
import { scgiBackend } from '../contract/backends/scgi-backend.ts';
import { askUpgrade, upgrading } from '../filters/servers/upgrade.ts';
import { temporaryDirectory } from '../helpers/directory.ts';
import { whenOver } from '../helpers/programs/lifetime.ts';
import { eventually } from '../helpers/programs/program.ts';
import { signal } from '../helpers/programs/signal.ts';

const INI = `[composite:main]
use = npm:paster#urlmap
/ = site
/probes = health
/probes/app = site
/metrics = metrics
/old = threads
/nested = inner
[composite:inner]
use = npm:paster#urlmap
/h = health
/ = site
[app:site]
use = npm:paster#welcome
[app:health]
use = npm:paster#health
filter-with = hops
[filter:hops]
use = npm:paster#security_headers
[app:metrics]
use = npm:paster#metrics
[app:threads]
use = egg:Paste#watch_threads
`;

const context = async () =>
  loadContext('app', 'config:x.ini', { relativeTo: temporaryDirectory({ 'x.ini': INI }), name: undefined });

async function guarded(app: App, limits: Partial<OverloadLimits>, log: string[] = []): Promise<App> {
  const note = (line: string): unknown => log.push(line);
  const logger = { debug: note, info: note, warn: note, error: note } as never;
  const exempt = await exemptPaths(await context(), ['/own']);
  const guard = guardOverload({ inFlight: undefined, lag: undefined, exempt, ...limits }, logger);
  whenOver(() => guard.end());
  return guard.around(app);
}

const header = ({ rawHeaders }: { readonly rawHeaders: readonly string[] }, name: string): string | undefined =>
  rawHeaders[rawHeaders.findIndex((each, index) => index % 2 === 0 && each.toLowerCase() === name) + 1];

describe.each([httpBackend, http2Backend, fastcgiBackend, scgiBackend])('$name', (backend) => {
  async function serve(app: App): Promise<Serving> {
    const serving = await backend.start(app);
    whenOver(() => serving.close());
    return serving;
  }

  test('max_requests_in_flight: more requests get a 503 at once, except health checks', async () => {
    const [arrived, go] = [signal(), signal()];
    const log: string[] = [];
    const app: App = async (req, res) => {
      if (req.url === '/held') {
        arrived.fire();
        await go.fired;
      }
      res.end(req.url);
    };
    const serving = await serve(await guarded(app, { inFlight: 1 }, log));
    const before = meter().counts().refused.in_flight;
    const held = serving.request({ path: '/held' });
    await arrived.fired;
    const refused = await serving.request({ path: '/more' });
    expect(refused.status).toBe(503);
    expect(header(refused, 'retry-after')).toBe('1');
    expect((await serving.request({ path: '/more', method: 'POST', body: ['some'] })).status).toBe(503);
    expect(meter().isBusy()).toBe(true);
    const statuses: Record<string, number> = {};
    for (const path of [
      '/probes/readyz',
      '/nested/h/healthz',
      '/metrics',
      '/old/x',
      '/own',
      '/probes/app',
      '/healthz',
    ]) {
      statuses[path] = (await serving.request({ path })).status;
    }
    expect(statuses).toEqual({
      '/probes/readyz': 200,
      '/nested/h/healthz': 200,
      '/metrics': 200,
      '/old/x': 200,
      '/own': 200,
      '/probes/app': 503,
      '/healthz': 503,
    });
    expect((await serving.request({ path: '/metrics', method: 'POST', body: ['x'] })).status).toBe(503);
    go.fire();
    expect((await held).status).toBe(200);
    await eventually(async () => (await serving.request({ path: '/later' })).status === 200);
    expect(meter().isBusy()).toBe(false);
    expect(meter().counts().refused.in_flight - before).toBeGreaterThanOrEqual(5);
    expect(log).toEqual([
      expect.stringContaining('overload: a request was refused with 503: 1 requests are in flight'),
    ]);
  });

  test('a client that leaves is no longer in flight', async () => {
    const [arrived, leave] = [signal(), signal()];
    const app = await guarded((req, res) => void (req.url === '/held' ? arrived.fire() : res.end()), { inFlight: 1 });
    const serving = await serve(app);
    const held = serving.request({ path: '/held', abort: leave.fired });
    await arrived.fired;
    leave.fire();
    await held;
    await eventually(async () => (await serving.request()).status === 200);
  });

  test('overload_lag: a request that has waited too long for its turn gets a 503', async () => {
    const before = meter().counts().refused.lag;
    let again: App = () => {};
    const app: App = (req, res) => {
      if (req.url !== '/blocks') return res.end('served');
      const start = performance.now();
      while (performance.now() - start < 60);
      // Like a request that arrived meanwhile: it gets its turn before any timer does.
      req.url = '/waiting';
      return again(req, res);
    };
    again = await guarded(app, { lag: 20 });
    const serving = await serve(again);
    expect((await serving.request({ path: '/blocks' })).status).toBe(503);
    // On a busy machine the test itself may be late.
    await eventually(async () => (await serving.request()).body.toString() === 'served');
    expect(meter().counts().refused.lag).toBeGreaterThan(before);
  });

  test('X-Request-Start gives the time that a request has waited', async () => {
    const serving = await serve(measureQueueTime((_req, res) => res.end(), undefined));
    const { seconds } = meter().counts().queue;
    await serving.request({ headers: { 'X-Request-Start': `t=${Date.now() / 1000 - 20}` } });
    expect(meter().counts().queue.seconds - seconds).toBeGreaterThanOrEqual(20);
  });
});

test('overload_lag: requests delayed by other code get a 503, but not the first requests of a process', async () => {
  // Time before `begin` does not count, such as that in which the process starts.
  const lag = new LoopLag();
  const before = performance.now();
  lag.begin();
  expect(lag.now).toBeGreaterThanOrEqual(before);

  meter().begin();
  const statuses: number[] = [];
  const app = await guarded(() => {}, { lag: 20 });
  const start = performance.now();
  while (performance.now() - start < 200);
  await app(
    { method: 'GET', url: '/' } as never,
    { writeHead: (status: number) => statuses.push(status), end() {} } as never,
  );
  expect(statuses).toEqual([503]);
});

test('an upgrade gets a 503 like other requests', async () => {
  const [arrived, go] = [signal(), signal()];
  const holding: App = async (_req, res) => {
    arrived.fire();
    await go.fired;
    res.end();
  };
  const app = await guarded(upgrading(holding), { inFlight: 1 });
  const server = createServer(app).on('upgrade', (req, socket, head) => app.upgrade?.(req, socket, head));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  whenOver(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const held = fetch(url);
  await arrived.fired;
  expect((await askUpgrade(url)).status).toBe(503);
  go.fire();
  await (await held).text();
  await eventually(async () => (await askUpgrade(url)).status === 101);
});

test('only X-Request-Start of listed peers is trusted', async () => {
  const start = { 'X-Request-Start': String(Date.now() - 20_000) };
  for (const [peers, counts] of [
    [new Peers([{ address: '192.0.2.1', family: 'ipv4', prefix: 32 }]), false],
    [new Peers(undefined), true],
  ] as const) {
    const serving = await httpBackend.start(measureQueueTime((_req, res) => res.end(), peers));
    whenOver(() => serving.close());
    const { seconds } = meter().counts().queue;
    await serving.request({ headers: start });
    expect(meter().counts().queue.seconds - seconds >= 20).toBe(counts);
  }
});

test.each([
  ['t=1700000000.5', 1],
  ['t=1700000000500', 1],
  ['1700000000500', 1],
  ['1700000000500000', 1],
  ['1700000000', 1.5],
  ['t=1700000002.0', 0],
  ['1700000100', undefined],
  ['1600000000', undefined],
  ['yesterday', undefined],
  ['t=', undefined],
  ['t=-1700000000', undefined],
  ['1'.repeat(100_000), undefined],
])('X-Request-Start: %.30s means a wait of %s s', (text, waited) => {
  const seconds = queueSeconds(text, 1_700_000_001.5);
  if (waited === undefined) expect(seconds).toBeUndefined();
  else expect(seconds).toBeCloseTo(waited, 5);
});

test('the cost of a refusal does not grow with the number of requests in flight', () => {
  const list = new InflightList();
  let looks = 0;
  for (let count = 0; count < 10_000; count++) {
    list.add(
      {
        get destroyed() {
          looks++;
          return false;
        },
      } as never,
      0,
    );
  }
  looks = 0;
  for (let count = 0; count < 1000; count++) expect(list.reaches(10_000)).toBe(true);
  // On average, a call may look at 256 responses.
  expect(looks).toBeLessThanOrEqual(256 * 1000);
});

function limitedServer(type: string) {
  const limits = 'max_requests_in_flight = 1\noverload_lag = 30\noverload_except = /own\nqueue_time = 10.0.0.5';
  const relativeTo = temporaryDirectory({
    'x.ini': `${INI}[server:main]\nuse = npm:paster#${type}\nport = 0\n${limits}\n`,
  });
  return loadServer('config:x.ini', { relativeTo });
}

test.each(['http', 'fastcgi', 'scgi'])('a section of npm:paster#%s accepts the settings', async (type) => {
  const { settings } = await limitedServer(type);
  expect(settings).toMatchObject({ max_requests_in_flight: 1, overload_lag: 30, overload_except: ['/own'] });
});

test('the settings of a section limit the requests of its server', async () => {
  const server = await limitedServer('http');
  const [arrived, go] = [signal(), signal()];
  const app: App = async (req, res) => {
    if (req.url === '/held') {
      arrived.fire();
      await go.fired;
    }
    res.end();
  };
  const open = async () => [await openListener({ kind: 'tcp', host: '127.0.0.1', port: 0 }, {})];
  const running = await server.serveOn(app, open, { isFirst: true, context: await context() });
  whenOver(() => running.close({ graceful: false }));
  const [address] = running.addresses;
  const origin = `http://127.0.0.1:${address?.kind === 'tcp' ? address.port : 0}`;
  const held = fetch(`${origin}/held`);
  await arrived.fired;
  expect((await fetch(`${origin}/more`)).status).toBe(503);
  expect((await fetch(`${origin}/probes/healthz`)).status).toBe(200);
  go.fire();
  expect((await held).status).toBe(200);
});

test('a path of overload_except must begin with a slash', async () => {
  const relativeTo = temporaryDirectory({
    'x.ini': '[server:main]\nuse = npm:paster#http\noverload_except = /a healthz\n',
  });
  await expect(loadServer('config:x.ini', { relativeTo })).rejects.toThrow('"healthz" does not begin with a slash');
});
