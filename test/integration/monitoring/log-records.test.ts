/** What a server logs about its requests in flight: at WINCH, and when a worker dies. */
import { describe, expect, test } from 'vitest';
import { eventually } from '../../helpers/programs/program.ts';
import { ask } from '../../helpers/requests/ask.ts';
import { APP, get, HTTP, inflightRequests, start } from './monitored-server.ts';

describe('log records', () => {
  test.each([
    ['one process', '', /^process (\d+), up \d+ s: 1 request, 1 in flight/m],
    [
      'workers',
      'workers = 1',
      /^server \d+, up \d+ s: 1 request, 1 in flight.*\nworker (\d+), up \d+ s: 1 request, 1/m,
    ],
  ])('WINCH logs the status of %s', async (_what, server, line) => {
    const program = await start(HTTP + server);
    const pid = await get(program.url);
    const leave = new AbortController();
    await fetch(`${program.url}/held?password=p`, { signal: leave.signal });
    program.child.kill('SIGWINCH');
    const [, named] = await program.says(line);
    expect(named).toBe(pid);
    await program.says(/^ {2}GET \/held\?password=\*{8}, for \d+\.\d s, from 127\.0\.0\.1, \[app:site\]$/m);
    leave.abort();
    // A worker is not ended by WINCH, nor by USR2.
    process.kill(Number(pid), 'SIGWINCH');
    if (server !== '') process.kill(Number(pid), 'SIGUSR2');
    expect(await get(program.url)).toBe(pid);
  });

  test('a crash is one record: the status, the error, its place, and the requests in flight', async () => {
    const program = await start(`${HTTP}workers = 1`);
    const pid = await get(program.url);
    const held = fetch(`${program.url}/held?token=t`).then((answer) => answer.text());
    await eventually(async () => (await inflightRequests(program.url)).length === 2);
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
  ])('the end by %s is one record', async (path, record) => {
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
  ])('one process without workers logs its own end: %s', async (path, record) => {
    const program = await start(HTTP);
    await ask(program.url, path).catch(() => {});
    const { status, stderr } = await program.finished();
    expect(status).toBe(1);
    expect(stderr).toMatch(record);
    expect(stderr).toMatch(new RegExp(` {2}it had these requests in flight:\n {4}GET ${path}, .*\n$`));
  });

  test('a killed worker cannot report its requests in flight', async () => {
    const program = await start(`${HTTP}workers = 1`);
    process.kill(Number(await get(program.url)), 'SIGKILL');
    await program.says(/worker \d+ ended by SIGKILL: it was killed, perhaps by the system when memory ran out\n$/);
    expect(await get(program.url)).toMatch(/^\d+$/);
  });

  test('an application that catches its errors itself continues', async () => {
    const files = { 'app.js': `${APP}process.on('uncaughtException', () => {});\n` };
    const program = await start(`${HTTP}workers = 1`, { files });
    const pid = await get(program.url);
    const leave = new AbortController();
    const asked = fetch(`${program.url}/crash`, { signal: leave.signal }).catch(() => {});
    expect(await get(program.url)).toBe(pid);
    await eventually(async () => (await inflightRequests(program.url)).length === 2);
    expect(await get(program.url)).toBe(pid);
    expect(program.stderr).toBe('');
    leave.abort();
    await asked;
    // The error that it has survived is not reported for a later death.
    process.kill(Number(pid), 'SIGKILL');
    await program.says(new RegExp(`worker ${pid} ended by SIGKILL: it was killed`));
    expect(program.stderr).not.toContain('boom');
  });
});
