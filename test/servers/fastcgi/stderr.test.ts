/** STDERR (FastCGI specification 1.0 section 5.3): as records, and in the error logs of real web servers. */
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { errorStream, REPORT } from '../../../src/gateway/error-stream.ts';
import { eventually, needProgram, requireProgram } from '../../helpers/programs/program.ts';
import { type FrontEnd, startLighttpd, startNginx, type Upstream } from '../../helpers/web-servers/front-end.ts';
import { runHaproxy } from '../../helpers/web-servers/haproxy.ts';
import { runNginx } from '../../helpers/web-servers/nginx.ts';
import { request, TYPE } from './client.ts';
import { type Served, serveFastcgi } from './serve.ts';

let served: Served;
// Several of these texts are written to standard error, where the test reporter should not show them.
beforeEach(() => void vi.spyOn(process.stderr, 'write').mockReturnValue(true));
afterEach(async () => {
  vi.restoreAllMocks();
  await served.close();
});

async function app(req: IncomingMessage, res: ServerResponse): Promise<void> {
  const path = req.url?.split('?')[0];
  if (path === '/error') {
    throw Object.assign(new TypeError('password=hunter2\nsecond line'), { code: 'ERR_DEMO' });
  }
  if (path === '/rejected') await Promise.reject('a text');
  if (path === '/streamed') {
    errorStream(req).write('before\n');
    for (let i = 0; i < 5; i++) {
      res.write('x'.repeat(50_000));
      await sleep(1);
      errorStream(req).write('within\n');
    }
    res.end('end');
    errorStream(req).write('after\n');
    return;
  }
  if (path === '/breaks') {
    res.write('part');
    await sleep(1);
    throw new Error('broken');
  }
  if (path === '/writes') {
    errorStream(req).write('a note é\n');
    res.write('part, ');
    await sleep(1);
    errorStream(req).write('x'.repeat(60_000));
  }
  res.end('end');
}

test('what the application writes becomes records, after the response, before the end of each stream', async () => {
  served = await serveFastcgi(app);
  const client = await served.client();
  client.write(request(5, { REQUEST_URI: '/writes' }));
  await client.until(() => client.records.find((each) => each.type === TYPE.end));
  const types = client.records.map((each) => [each.type, each.content.length]);
  const full = Math.floor(60_010 / 4096);
  expect(types).toEqual([
    [TYPE.stdout, 24],
    [TYPE.stdout, 3],
    [TYPE.stdout, 0],
    ...Array.from({ length: full }, () => [TYPE.stderr, 4096]),
    [TYPE.stderr, 60_010 - full * 4096],
    [TYPE.stderr, 0],
    [TYPE.end, 8],
  ]);
  const answer = await client.answer(5);
  expect(answer.stderr.toString()).toBe(`a note é\n${'x'.repeat(60_000)}`);
  expect(answer.body.toString()).toBe('part, end');
});

test('an error of the application is one line without its message, its stack or the query', async () => {
  served = await serveFastcgi(app);
  const client = await served.client();
  const error = await client.ask(1, { REQUEST_URI: '/error?token=secret' });
  expect(error.status).toBe(500);
  expect(error.stderr.toString()).toBe(
    "paster: GET /error failed: TypeError (ERR_DEMO); the application's log says more\n",
  );
  expect((await client.ask(1, { REQUEST_URI: '/rejected' })).stderr.toString()).toContain('a string was thrown;');
  expect((await client.ask(1, { REQUEST_URI: '/fine' })).stderr.toString()).toBe('');
  expect(served.log.some((line) => line.includes('second line'))).toBe(true);
});

test('text after the response goes to standard error, and the connection stays open', async () => {
  let late: IncomingMessage | undefined;
  served = await serveFastcgi((req, res) => {
    late ??= req;
    res.end();
  });
  const client = await served.client();
  await client.ask(1);
  if (late === undefined) return expect.unreachable();
  errorStream(late).write('too late for the web server\n');
  expect(process.stderr.write).toHaveBeenCalledWith('too late for the web server\n');
  const answer = await client.ask(1);
  expect([answer.status, answer.stderr.length]).toEqual([200, 0]);
});

const FRONT_ENDS: Record<string, (binary: string, upstream: Upstream) => Promise<FrontEnd>> = {
  nginx: (binary, upstream) => startNginx(binary, upstream),
  lighttpd: (binary, upstream) => startLighttpd(binary, upstream, '/'),
};

test.each(Object.entries(FRONT_ENDS))(
  'the error log of %s has a line for an error, and the text that is written',
  async (name, start) => {
    served = await serveFastcgi(app, {});
    const binary = needProgram(name);
    const front = await start(binary, { socket: served.path });
    const log = (): string => readFileSync(front.errorLog, 'utf8');
    expect((await fetch(`${front.url}/error?token=secret`)).status).toBe(500);
    const line = await eventually(() =>
      log()
        .split('\n')
        .find((each) => each.includes('paster: GET /error failed')),
    );
    expect(line).toContain("TypeError (ERR_DEMO); the application's log says more");
    expect(log()).not.toContain('hunter2');
    const answer = await fetch(`${front.url}/writes`);
    expect(await answer.text()).toBe('part, end');
    await eventually(() => log().includes('a note'));
  },
);

const haproxy = requireProgram('haproxy');

test.skipIf(haproxy === undefined).each(['option keep-conn', 'no option keep-conn', 'option mpxs-conns'])(
  'HAProxy survives errors before, within and after responses (%s)',
  async (option) => {
    served = await serveFastcgi(app, { multiplexed: 'true' });
    const { program, url } = await runHaproxy(haproxy ?? '', served.path, `path-info ^()(/.*)?$\n${option}`);
    const statuses = { error: 500, rejected: 500, writes: 200, streamed: 200, fine: 200 };
    for (let round = 0; round < 5; round++) {
      const paths = Object.entries(statuses);
      const answers = await Promise.all(
        paths.map(async ([path]) => {
          const response = await fetch(`${url}/${path}`);
          return [path, response.status, (await response.text()).length > 0];
        }),
      );
      expect(answers).toEqual(paths.map(([path, status]) => [path, status, true]));
      await fetch(`${url}/breaks`)
        .then((response) => response.text())
        .catch(() => {});
    }
    expect([program.child.exitCode, program.child.signalCode]).toEqual([null, null]);
  },
);

test.skipIf(requireProgram('nginx') === undefined)(
  'nginx with its defaults, without keep-alive connections, logs them too',
  async () => {
    served = await serveFastcgi(app, {});
    const { url, errorLog } = await runNginx(
      requireProgram('nginx') ?? '',
      `server { listen 80; location / { fastcgi_pass unix:${served.path}; fastcgi_param REQUEST_METHOD $request_method;
      fastcgi_param REQUEST_URI $request_uri; fastcgi_param SERVER_PROTOCOL $server_protocol; } }`,
    );
    for (const path of ['error', 'streamed']) await fetch(`${url}/${path}`).then((response) => response.text());
    const log = (): string => readFileSync(errorLog, 'utf8');
    await eventually(() => log().includes('paster: GET /error failed') && log().includes('within'));
  },
);

test('text beyond the limit of a request goes to standard error', async () => {
  const taken: boolean[] = [];
  const tooMuch = `${'y'.repeat(10_000)}\n`;
  served = await serveFastcgi((req, res) => {
    const report = Reflect.get(req.socket, REPORT);
    for (let i = 0; i < 10; i++) taken.push(report.call(req.socket, 'x'.repeat(10_000)));
    errorStream(req).write(tooMuch);
    res.end();
  });
  const client = await served.client();
  expect((await client.ask(1)).stderr).toHaveLength(60_000);
  expect(taken).toEqual([true, true, true, true, true, true, false, false, false, false]);
  expect(process.stderr.write).toHaveBeenCalledWith(tooMuch);
});
