/** What the meter counts for requests over HTTP, FastCGI and SCGI, and for every way in which a response can end. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { constants } from 'node:http2';
import { type AddressInfo, connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { countBySection } from '../../src/metrics/count-by-section.ts';
import { requestsOf } from '../../src/metrics/counts.ts';
import { Meter, meter } from '../../src/metrics/meter.ts';
import type { App } from '../../src/protocol/types.ts';
import { fastcgiBackend } from '../contract/backends/fastcgi-backend.ts';
import { httpBackend } from '../contract/backends/http-backend.ts';
import { http2Backend } from '../contract/backends/http2-backend.ts';
import { scgiBackend } from '../contract/backends/scgi-backend.ts';
import { askUpgrade, upgrading } from '../filters/servers/upgrade.ts';
import { collectGarbage } from '../helpers/heap.ts';
import { whenOver } from '../helpers/programs/lifetime.ts';
import { eventually } from '../helpers/programs/program.ts';
import { signal } from '../helpers/programs/signal.ts';
import { overHttp2 } from '../helpers/requests/http2.ts';

/** Responses by status, and the number of aborted ones. */
function answersOf(of: Meter): { answers: Record<string, number>; aborted: number } {
  const { sections } = of.counts();
  const answers: Record<string, number> = {};
  for (const each of sections) {
    for (const { method, status, count } of each.answers) {
      const name = `${each.section} ${method} ${status}`.trim();
      answers[name] = (answers[name] ?? 0) + count;
    }
  }
  return { answers, aborted: sections.reduce((sum, { aborted }) => sum + aborted, 0) };
}

/** More than the buffers of a socket hold. */
const BIG = Buffer.alloc(2 ** 25);

const app: App = async (req, res) => {
  switch (req.url) {
    case '/streamed':
      res.writeHead(201);
      for (let round = 0; round < 5; round++) {
        res.write('x'.repeat(20_000));
        await sleep(1);
      }
      return void res.end();
    case '/endless':
      res.write('first');
      return;
    case '/never':
      return;
    case '/breaks':
      res.write('first');
      await sleep(5);
      return void res.destroy();
    case '/big':
      return void res.end(BIG);
    case '/throws':
      throw new Error('no');
    default:
      res.end('Hello');
  }
};

describe.each([httpBackend, http2Backend, fastcgiBackend, scgiBackend])('$name', ({ start }) => {
  async function serving() {
    const own = new Meter();
    const running = await start(own.observe(app));
    whenOver(() => running.close());
    return { own, running };
  }

  test('counts responses of every kind', async () => {
    const { own, running } = await serving();
    for (const path of ['/', '/', '/streamed']) await running.request({ path });
    await running.request({ method: 'POST', body: ['a', 'b'] });
    await running.request({ method: 'HEAD' });
    await running.request({ path: '/throws' });
    await eventually(() => own.report().inFlightCount === 0);
    expect(answersOf(own)).toEqual({
      answers: { 'GET 200': 2, 'GET 201': 1, 'POST 200': 1, 'HEAD 200': 1, 'GET 500': 1 },
      aborted: 0,
    });
  });

  test('counts a response that the application aborts, and one whose client leaves', async () => {
    const { own, running } = await serving();
    await running.request({ path: '/breaks' });
    await eventually(() => own.report().inFlightCount === 0);
    const inFlight = () => eventually(() => own.report().inFlightCount === 1);
    await running.request({ path: '/endless', abort: inFlight() });
    await eventually(() => own.report().inFlightCount === 0);
    expect(answersOf(own)).toEqual({ answers: { 'GET 200': 2 }, aborted: 2 });
    await running.request({ path: '/never', abort: inFlight() });
    await eventually(() => own.report().inFlightCount === 0);
    expect(answersOf(own)).toEqual({ answers: { 'GET 200': 2, 'GET 499': 1 }, aborted: 3 });
  });

  test('without an application that shows counts, it only counts requests and lists those in flight', async () => {
    const own = new Meter();
    const running = await start(own.watch(app));
    whenOver(() => running.close());
    for (let round = 0; round < 40; round++) await running.request({ path: round % 2 === 0 ? '/' : '/streamed' });
    await running.request({ path: '/breaks' });
    await eventually(() => requestsOf(own.report().counts) === 41);
    const inFlight = async () => {
      await eventually(() => own.report().inFlightCount === 1);
      expect(own.report().inFlight).toMatchObject([{ method: 'PUT', url: '/endless', seconds: expect.any(Number) }]);
    };
    await running.request({ path: '/endless', method: 'PUT', abort: inFlight() });
    await eventually(() => own.report().inFlightCount === 0);
    expect(requestsOf(own.counts())).toBe(42);
  });

  test('lists requests in flight, without secrets', async () => {
    const { own, running } = await serving();
    const leave = new AbortController();
    const left = new Promise((resolve) => leave.signal.addEventListener('abort', resolve));
    const over = running.request({ path: '/never', method: 'PUT', abort: left });
    await eventually(() => own.report().inFlightCount === 1);
    expect(own.report().inFlight).toEqual([
      {
        method: 'PUT',
        url: '/never',
        client: expect.stringMatching(/^[\d.]+$/),
        section: undefined,
        seconds: expect.any(Number),
      },
    ]);
    leave.abort();
    await over;
  });
});

test('a response that is complete on the server counts as aborted if the client leaves in the middle', async () => {
  const own = new Meter();
  const server = createServer(own.observe(app)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  whenOver(() => server.close());
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.write('GET /big HTTP/1.1\r\nHost: a\r\n\r\n');
  await once(client, 'data');
  client.destroy();
  await eventually(() => own.report().inFlightCount === 0);
  expect(answersOf(own)).toEqual({ answers: { 'GET 200': 1 }, aborted: 1 });
});

test('HTTP/2: complete responses and aborted streams are counted', async () => {
  const own = new Meter();
  const { client } = await overHttp2(own.observe(app));
  const whole = client.request({ ':path': '/streamed' });
  await once(whole.resume(), 'end');
  const broken = client.request({ ':path': '/endless' });
  broken.on('error', () => {});
  await once(broken, 'data');
  expect(own.report().inFlight).toMatchObject([{ method: 'GET', url: '/endless', client: '127.0.0.1' }]);
  const cut = client.request({ ':path': '/big' });
  cut.on('error', () => {});
  await once(cut, 'data');
  cut.close(constants.NGHTTP2_CANCEL);
  await eventually(() => own.report().inFlightCount === 1);
  client.destroy();
  await eventually(() => own.report().inFlightCount === 0);
  expect(answersOf(own)).toEqual({ answers: { 'GET 201': 1, 'GET 200': 2 }, aborted: 2 });
});

test('the innermost section is counted, wherever a response comes from', async () => {
  const own = meter();
  own.isWatching = true;
  whenOver(() => {
    own.isWatching = false;
  });
  const inner = countBySection(app, 'app:inner');
  const outer = countBySection(
    (req, res) => (req.url === '/own' ? res.end('mine') : inner(req, res)),
    'pipeline:outer',
  );
  const running = await httpBackend.start(own.observe(outer));
  whenOver(() => running.close());
  await running.request({ path: '/own' });
  await running.request();
  await eventually(() => own.report().inFlightCount === 0);
  expect(answersOf(own).answers).toEqual({ 'pipeline:outer GET 200': 1, 'app:inner GET 200': 1 });
});

test('an unknown method is counted as other, and a long URL with a password is masked and shortened', async () => {
  const own = new Meter();
  const inspected = signal();
  const waiting: App = (_req, res) => void inspected.fired.then(() => res.end());
  const server = createServer(own.observe(waiting)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  whenOver(() => server.close());
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.write(`PROPFIND /a?password=hunter2&${'x'.repeat(400)}&token=t HTTP/1.1\r\nHost: a\r\n\r\n`);
  await eventually(() => own.report().inFlightCount === 1);
  const [request] = own.report().inFlight;
  expect(request?.method).toBe('PROPFIND');
  expect(request?.url).toMatch(/^\/a\?password=\*{8}&x+\.\.\.$/);
  inspected.fire();
  await once(client, 'data');
  client.destroy();
  await eventually(() => own.report().inFlightCount === 0);
  expect(answersOf(own).answers).toEqual({ 'other 200': 1 });
});

test('pipelined requests do not stay in flight after their connection has closed', async () => {
  const own = new Meter();
  const server = createServer(own.observe(() => {})).listen(0, '127.0.0.1');
  await once(server, 'listening');
  whenOver(() => server.close());
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.write('GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n');
  await eventually(() => own.report().inFlightCount === 2);
  client.destroy();
  await eventually(() => own.report().inFlightCount === 0);
  expect(answersOf(own)).toEqual({ answers: { 'GET 499': 2 }, aborted: 2 });
});

test.each(['observe', 'watch'] as const)(
  '%s: a response that pipelining leaves unfinished is released, even if the counts are never requested',
  async (how) => {
    const own = new Meter();
    let first: WeakRef<object> | undefined;
    let unfinished = 0;
    const server = createServer(
      own[how]((req, res) => {
        first ??= new WeakRef(req);
        if (req.url === '/') res.end();
        else unfinished++;
      }),
    ).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const closed = new Promise<void>((resolve) => {
      server.once('connection', (socket) => socket.once('close', () => resolve()));
    });
    whenOver(() => server.close());
    const { port } = server.address() as AddressInfo;
    const client = connect(port, '127.0.0.1');
    client.write('GET /held HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(100));
    await eventually(() => unfinished === 100);
    client.destroy();
    await closed;
    const other = connect(port, '127.0.0.1');
    other.resume().write('GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(200));
    await eventually(() => {
      collectGarbage();
      return first?.deref() === undefined;
    });
    other.destroy();
  },
);

test('an upgrade counts as a connection as long as it is open', async () => {
  const own = new Meter();
  const observed = own.observe(upgrading(app));
  const server = createServer(observed).listen(0, '127.0.0.1');
  server.on('connection', own.connected);
  server.on('upgrade', (req, socket, head) => observed.upgrade?.(req, socket, head));
  await once(server, 'listening');
  whenOver(() => server.close());
  expect((await askUpgrade(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)).status).toBe(101);
  await eventually(() => own.report().connections === 0);
  const report = own.report();
  expect(report).toMatchObject({
    upgraded: 0,
    inFlightCount: 0,
    counts: { upgrades: 1, connections: 1, sections: [] },
  });
  expect(report.counts.received).toBeGreaterThan(50);
  expect(report.counts.sent).toBeGreaterThan(50);
});
