/** What `sticky = true` reads from a request, adds to a response, and shares between workers. */
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { type IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { SessionTable } from '../../src/serve/sticky/session-table.ts';
import {
  engineSession,
  newWorkerName,
  setCookie,
  watchForSession,
  workerInCookie,
} from '../../src/serve/sticky/sticky-sessions.ts';
import { makeWorkersDirectory, tableIn } from '../../src/serve/sticky/workers-directory.ts';

const COOKIE = 'paster_worker_1';

function requestWith(url: string, cookie?: string): IncomingMessage {
  return { url, method: 'GET', headers: cookie === undefined ? {} : { cookie } } as IncomingMessage;
}

function response(): ServerResponse {
  return new ServerResponse(requestWith('/'));
}

/** The cookies in the head that Node has made. */
function cookiesOf(res: ServerResponse): (string | undefined)[] {
  const head = String(Reflect.get(res, '_header'));
  return [...head.matchAll(/^set-cookie: (.*)\r$/gim)].map(([, value]) => value);
}

/** In a directory that is removed when the test ends: the test process may end without its 'exit' event. */
function newTable(): string {
  const directory = makeWorkersDirectory({ user: undefined, group: undefined });
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return tableIn(directory);
}

describe('the session of a request', () => {
  test('is in the cookie, if that can be the name of a worker', () => {
    const name = newWorkerName();
    expect(workerInCookie(requestWith('/', `a=1; ${COOKIE}=${name}; b=2`), COOKIE)).toBe(name);
    expect(workerInCookie(requestWith('/', `paster_worker_2=${name}`), COOKIE)).toBeUndefined();
    expect(workerInCookie(requestWith('/'), COOKIE)).toBeUndefined();
    for (const hostile of ['../sessions', `${name}x`, '', `../../${name.slice(6)}`, `${name.slice(1)}/`]) {
      expect(workerInCookie(requestWith('/', `${COOKIE}=${hostile}`), COOKIE)).toBeUndefined();
    }
  });

  test('is in the query of Engine.IO', () => {
    expect(engineSession(requestWith('/socket.io/?EIO=4&transport=polling&sid=a-_9'))).toBe('a-_9');
    expect(engineSession(requestWith('/socket.io/?EIO=4&sid=a&transport=websocket'))).toBe('a');
    expect(engineSession(requestWith('/socket.io/?EIO=4&transport=polling'))).toBeUndefined();
    expect(engineSession(requestWith('/page?sid=a'))).toBeUndefined();
    expect(engineSession(requestWith(`/?EIO=4&sid=${'a'.repeat(65)}`))).toBeUndefined();
  });

  test('is in the first packet of the response that opens the session', () => {
    const opened: string[] = [];
    const open = (url: string, ...chunks: (string | Buffer)[]): void => {
      const res = response();
      watchForSession(requestWith(url), res, (session) => opened.push(session));
      for (const chunk of chunks) res.write(chunk);
      res.end();
    };
    open('/socket.io/?EIO=4&transport=polling', '0{"sid":"first","upgrades":[]}');
    open('/socket.io/?EIO=3&transport=polling', Buffer.from('97:0{"sid":"second"}'));
    open('/socket.io/?EIO=4&transport=polling', 'nothing', '{"sid":"late"}');
    open('/socket.io/?EIO=4&sid=first', '0{"sid":"of another"}');
    open('/page', '{"sid":"no"}');
    expect(opened).toEqual(['first', 'second']);
  });
});

describe('the cookie of a response', () => {
  test.each<[string, (res: ServerResponse) => void, string[]]>([
    ['to a response without cookies', (res) => res.end(), ['new']],
    ['to a cookie of setHeader', (res) => res.setHeader('Set-Cookie', 'a=1').end(), ['a=1', 'new']],
    ['to a cookie of writeHead', (res) => res.writeHead(200, { 'set-cookie': 'a=1' }).end(), ['a=1', 'new']],
    [
      'to several cookies',
      (res) => res.writeHead(200, 'OK', { 'set-cookie': ['a=1', 'b=2'] }).end(),
      ['a=1', 'b=2', 'new'],
    ],
    [
      'to a cookie in a list of headers',
      (res) => res.writeHead(200, ['X-A', '1', 'set-cookie', 'a=1']).end(),
      ['a=1', 'new'],
    ],
  ])('is added: %s', (_name, respond, expected) => {
    const res = response();
    setCookie(res, 'new');
    respond(res);
    expect(cookiesOf(res)).toEqual(expected);
  });

  test('is not added to responses that caches may give to other clients', () => {
    for (const value of ['public, max-age=60', 's-maxage=1', 'max-age=9, immutable']) {
      const res = response();
      setCookie(res, 'new');
      res.setHeader('cache-control', value).end();
      expect(cookiesOf(res)).toEqual([]);
      const other = response();
      setCookie(other, 'new');
      other.writeHead(200, { 'cache-control': value, 'set-cookie': 'a=1' }).end();
      expect(cookiesOf(other)).toEqual(['a=1']);
    }
  });
});

describe('the table of sessions', () => {
  test('is the same for all processes that open it', () => {
    const file = newTable();
    const [one, other] = [new SessionTable(file), new SessionTable(file)];
    const [first, second] = [newWorkerName(), newWorkerName()];
    one.add('a', first);
    other.add('b', second);
    expect([other.find('a'), one.find('b'), one.find('c')]).toEqual([first, second, undefined]);
    other.add('a', second);
    expect(one.find('a')).toBe(second);
    one.close();
    other.close();
  });

  test('finds each of many sessions', () => {
    const table = new SessionTable(newTable());
    const name = newWorkerName();
    const sessions = Array.from({ length: 2000 }, () => randomBytes(15).toString('base64url'));
    for (const session of sessions) table.add(session, name);
    expect(sessions.filter((session) => table.find(session) !== name)).toEqual([]);
    table.close();
  });

  test('reports that it cannot be created', () => {
    const { TMPDIR } = process.env;
    process.env['TMPDIR'] = join('/', 'no', 'such');
    try {
      expect(() => makeWorkersDirectory({ user: undefined, group: undefined })).toThrow(
        'sticky = true needs a directory of its own: ENOENT',
      );
    } finally {
      if (TMPDIR === undefined) delete process.env['TMPDIR'];
      else process.env['TMPDIR'] = TMPDIR;
    }
  });
});
