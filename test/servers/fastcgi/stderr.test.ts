/** STDERR (FastCGI specification 1.0 section 5.3): as records, and in the error logs of real web servers. */
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { errorStream } from '../../../src/gateway/error-stream.ts';
import { type FrontEnd, startLighttpd, startNginx, type Upstream } from '../../helpers/front-end.ts';
import { eventually, requireProgram } from '../../helpers/program.ts';
import { request, TYPE } from './client.ts';
import { type Served, serveFastcgi } from './serve.ts';

let served: Served;
afterEach(() => served.close());

async function app(req: IncomingMessage, res: ServerResponse): Promise<void> {
  const path = req.url?.split('?')[0];
  if (path === '/error') {
    throw Object.assign(new TypeError('password=hunter2\nsecond line'), { code: 'ERR_DEMO' });
  }
  if (path === '/rejected') await Promise.reject('a text');
  if (path === '/writes') {
    errorStream(req).write('a note é\n');
    res.write('part, ');
    await sleep(1);
    errorStream(req).write('x'.repeat(70_000));
  }
  res.end('end');
}

test('records: what is written, in order, and the end of the stream', async () => {
  served = await serveFastcgi(app);
  const client = await served.client();
  client.write(request(5, { REQUEST_URI: '/writes' }));
  await client.until(() => client.records.find((each) => each.type === TYPE.end));
  const types = client.records.map((each) => [each.type, each.content.length]);
  expect(types).toEqual([
    [TYPE.stderr, 10],
    [TYPE.stdout, 24],
    [TYPE.stderr, 65_535],
    [TYPE.stderr, 4465],
    [TYPE.stderr, 0],
    [TYPE.stdout, 3],
    [TYPE.stdout, 0],
    [TYPE.end, 8],
  ]);
  const answer = await client.answer(5);
  expect(answer.stderr.toString()).toBe(`a note é\n${'x'.repeat(70_000)}`);
  expect(answer.body.toString()).toBe('part, end');
});

test('an error of the application: one line without its message, its stack or the query', async () => {
  served = await serveFastcgi(app);
  const client = await served.client();
  const error = await client.ask(1, { REQUEST_URI: '/error?token=secret' });
  expect(error.status).toBe(500);
  expect(error.stderr.toString()).toBe(
    "paster: GET /error failed: TypeError (ERR_DEMO); the application's log says more\n",
  );
  expect((await client.ask(1, { REQUEST_URI: '/rejected' })).stderr.toString()).toContain('a string was thrown;');
  expect((await client.ask(1, { REQUEST_URI: '/fine' })).stderr.toString()).toBe('');
  expect(served.log.some((line) => line.includes('hunter2'))).toBe(true);
});

test('after the answer it goes to standard error, and the connection lives', async () => {
  let late: IncomingMessage | undefined;
  served = await serveFastcgi((req, res) => {
    late ??= req;
    res.end();
  });
  const client = await served.client();
  await client.ask(1);
  if (late !== undefined) errorStream(late).write('too late for the web server\n');
  const answer = await client.ask(1);
  expect([answer.status, answer.stderr.length]).toEqual([200, 0]);
});

const FRONT_ENDS: Record<string, (binary: string, upstream: Upstream) => Promise<FrontEnd>> = {
  nginx: (binary, upstream) => startNginx(binary, upstream),
  lighttpd: (binary, upstream) => startLighttpd(binary, upstream, '/'),
};

test.each(Object.entries(FRONT_ENDS))(
  'the error log of %s has a line for an error, and what is written',
  async (name, start) => {
    served = await serveFastcgi(app, {}, { allowHalfOpen: true });
    const binary = requireProgram(name);
    if (binary === undefined) return;
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
