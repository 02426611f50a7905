/** Scripts that cannot be run, that take too long, and more of them than may run at once. */
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { cgi } from '../../../src/apps/cgi/cgi.ts';
import { lineLogger } from '../../../src/log.ts';
import { eventually, isAlive } from '../../helpers/programs/program.ts';
import { askRaw, serveApp } from '../static/serve.ts';
import { bin, ENV, scripts } from './scripts.ts';

describe('scripts that cannot be run', () => {
  test.each([
    ['without a #! line that names an interpreter', 'touch "$0.ran"\n', 0o755, /names no interpreter/],
    [
      'with an interpreter that does not exist',
      '#!/usr/bin/pythom3\n',
      0o755,
      /"\/usr\/bin\/pythom3", which does not exist/,
    ],
    ['with CR LF line ends', '#!/bin/sh\r\necho\r\n', 0o755, /ends with CR LF/],
    ['without permission to execute', '#!/bin/sh\n', 0o644, /may not be executed/],
  ])('%s: responds 500, logs the reason and runs no shell', async (_name, text, mode, reason) => {
    const directory = scripts({ 'x.cgi': text });
    chmodSync(join(directory, 'x.cgi'), mode);
    const log: string[] = [];
    const app = cgi({ script: join(directory, 'x.cgi'), log: lineLogger('info', (line) => log.push(line)) });
    const { ask } = await serveApp(app);
    expect((await ask('/')).status).toBe(500);
    expect(log.join()).toMatch(reason);
    expect(existsSync(join(directory, 'x.cgi.ran'))).toBe(false);
  });

  test('with an environment that is too large: responds 500', async () => {
    const environment = { LARGE: 'x'.repeat(4 << 20) };
    const { ask, log } = await bin({ x: ENV }, { environment, timeout: 0.2 });
    expect((await ask('/cgi-bin/x')).status).toBe(500);
    expect(log.join()).toMatch(/it cannot be run: spawn E2BIG/);
    // No timer of the failed start remains.
    await sleep(400);
    expect((await ask('/cgi-bin/x')).status).toBe(500);
  });

  test('other files of a script directory are not served', async () => {
    const { ask, directory } = await bin({ '.hidden': ENV, 'sub/env': ENV, 'readme.txt': 'text', 'a b;id': ENV });
    chmodSync(join(directory, 'readme.txt'), 0o644);
    mkdirSync(join(directory, 'empty'));
    symlinkSync('/usr/bin/env', join(directory, 'out'));
    const status = async (target: string) => (await ask(target)).status;
    expect(await status('/cgi-bin/sub/env')).toBe(200);
    expect(await status('/cgi-bin/a%20b;id')).toBe(200);
    for (const target of ['', '/', '/nothing', '/.hidden', '/sub', '/sub/', '/empty/', '/out', '/sub/../.hidden']) {
      expect([target, await status(`/cgi-bin${target}`)]).toEqual([
        target,
        expect.toSatisfy((code) => code >= 400 && code <= 404),
      ]);
    }
    for (const target of ['/sub/env%00', '/%2e%2e/%2e%2e/bin/ls', '/..%2f..%2fbin%2fls', '/%c0%ae%c0%ae/x']) {
      expect(await status(`/cgi-bin${target}`)).toBeGreaterThanOrEqual(400);
    }
    expect(await status('/cgi-bin/readme.txt')).toBe(403);
  });

  test('the query is never an argument', async () => {
    const { url } = await bin({ args: '#!/bin/sh\nprintf "Content-Type: a/b\\n\\n$#"\n' });
    expect(await (await fetch(`${url}/cgi-bin/args?-s+-d`)).text()).toBe('0');
  });
});

describe('limits', () => {
  const SLEEP = '#!/bin/sh\necho $$ > "$0.pid"\nsleep 600 &\necho $! > "$0.child"\nwait\n';
  const pids = (directory: string): number[] =>
    ['pid', 'child'].map((name) => Number(readFileSync(join(directory, `x.${name}`), 'utf8')));

  test('a script that is silent for too long is ended, together with its children', async () => {
    const { ask, log, directory } = await bin({ x: SLEEP }, { timeout: 0.5 });
    expect((await ask('/cgi-bin/x')).status).toBe(504);
    expect(log.join()).toMatch(/no output for 0\.5 s/);
    await eventually(() => !pids(directory).some(isAlive));
  });

  test('a script that keeps writing is not ended', async () => {
    const { url } = await bin(
      { x: '#!/bin/sh\nprintf "Content-Type: a/b\\n\\n"\nfor i in 1 2 3 4 5 6 7 8; do sleep 0.2; echo $i; done\n' },
      { timeout: 1 },
    );
    expect(await (await fetch(`${url}/cgi-bin/x`)).text()).toBe('1\n2\n3\n4\n5\n6\n7\n8\n');
  });

  test('when the client leaves, the script is ended together with its children', async () => {
    const { port, directory, log } = await bin({ x: SLEEP });
    const socket = connect(port, '127.0.0.1');
    socket.write('GET /cgi-bin/x HTTP/1.1\r\nHost: x\r\n\r\n');
    await eventually(() => existsSync(join(directory, 'x.child')) && pids(directory).every((pid) => pid > 0));
    expect(pids(directory).every(isAlive)).toBe(true);
    socket.destroy();
    await eventually(() => !pids(directory).some(isAlive));
    // A client may leave at any time, so nothing is logged.
    expect(log).toEqual([]);
  });

  test('a script that ignores TERM is killed', async () => {
    const stubborn = '#!/bin/sh\ntrap "" TERM\necho $$ > "$0.pid"\nwhile :; do sleep 0.1; done\n';
    const { ask, directory } = await bin({ x: stubborn }, { timeout: 0.3 });
    expect((await ask('/cgi-bin/x')).status).toBe(504);
    await eventually(() => !isAlive(Number(readFileSync(join(directory, 'x.pid'), 'utf8'))));
  });

  test('above the maximum number of processes the response is 503, until one of them ends', async () => {
    const wait = '#!/bin/sh\n: > "$0.$$.on"\nwhile [ ! -e "$0.go" ]; do sleep 0.05; done\nprintf "Status: 200\\n\\n"\n';
    const { ask, directory, port } = await bin({ x: wait }, { maxProcesses: 2 });
    const first = [askRaw(port, '/cgi-bin/x'), askRaw(port, '/cgi-bin/x')];
    await eventually(() => readdirSync(directory).filter((name) => name.endsWith('.on')).length === 2);
    expect(await ask('/cgi-bin/x')).toMatchObject({ status: 503, headers: { 'retry-after': '1' } });
    writeFileSync(join(directory, 'x.go'), '');
    expect((await Promise.all(first)).map(({ status }) => status)).toEqual([200, 200]);
    expect((await ask('/cgi-bin/x')).status).toBe(200);
  });

  const ECHO = '#!/bin/sh\nbody=$(cat)\nprintf "Content-Type: a/b\\n\\n%s" "$body"\n';
  const post = 'POST /cgi-bin/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n';

  test('clients that send no body, or send it byte by byte, lose their script to other clients', async () => {
    // The scripts must still be running when they are checked, even on a busy machine.
    const script = ECHO.replace('\n', '\necho >> "$0.begun"\n');
    const { ask, port, log, directory } = await bin({ x: script }, { maxProcesses: 3, timeout: 3 });
    const sockets = Array.from({ length: 3 }, () => connect(port, '127.0.0.1'));
    for (const socket of sockets) socket.on('error', () => {}).write(post);
    const drips = setInterval(() => sockets[0]?.write('x'), 50);
    onTestFinished(() => clearInterval(drips));
    // Before that, the next request could take the place of one of them.
    const begun = join(directory, 'x.begun');
    await eventually(() => existsSync(begun) && readFileSync(begun, 'utf8').length === sockets.length);
    await eventually(async () => (await ask('/cgi-bin/x')).status === 503);
    const answers = await Promise.all(sockets.map(text));
    expect(answers.map((answer) => answer.split('\r\n')[0])).toEqual(Array(3).fill('HTTP/1.1 408 Request Timeout'));
    expect(log.filter((line) => line.includes('the client does not send its body'))).toHaveLength(3);
    await eventually(async () => (await ask('/cgi-bin/x')).status === 200);
  });

  test('a client that sends slowly but steadily is not cut off', async () => {
    const { port } = await bin({ x: ECHO }, { timeout: 0.5 });
    const socket = connect(port, '127.0.0.1');
    socket.write(post.replace('100000', '8000').replace('Host', 'Connection: close\r\nHost'));
    for (let sent = 0; sent < 8; sent++) {
      await sleep(150);
      socket.write('x'.repeat(1000));
    }
    expect(await text(socket)).toContain('x'.repeat(8000));
  });
});
