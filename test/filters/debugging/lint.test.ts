/** Each violation of the protocol is reported at the line that causes it; correct code causes no report. */
import { describe, expect, test } from 'vitest';
import { lint } from '../../../src/filters/debugging/lint.ts';
import type { App } from '../../../src/protocol/types.ts';
import { ask } from '../../helpers/requests/ask.ts';
import { Lines, serveFiltered } from '../serve-filter.ts';

async function mistakesOf(app: App, method = 'GET'): Promise<string[]> {
  const lines = new Lines();
  const { url } = await serveFiltered(lint({}, lines.write), (req, res) => {
    // Node ends the process for some of these.
    res.on('error', () => {});
    return app(req, res);
  });
  await ask(url, '/x', { method }).catch(() => {});
  return lines.all.map((line) => line.replace(/^lint: \S+lint\.test\.ts:\d+:\d+: \w+ \/x: /, ''));
}

/** The line of this file that calls it. */
function lineHere(): number {
  const [, caller = ''] = new Error().stack?.match(/lint\.test\.ts:\d+/g) ?? [];
  return Number(caller.split(':')[1]);
}

const MISTAKES: Record<string, App> = {
  'setHeader("x-a") after the head was sent': (_req, res) => {
    res.write('a');
    try {
      res.setHeader('x-a', 'b');
    } finally {
      res.end();
    }
  },
  'removeHeader("x-a") after the head was sent': (_req, res) => {
    res.end('a');
    res.removeHeader('x-a');
  },
  'writeHead after the head was sent': (_req, res) => {
    res.writeHead(200);
    try {
      res.writeHead(200);
    } finally {
      res.end();
    }
  },
  'write after end': (_req, res) => {
    res.end();
    res.write('more');
  },
  'end a second time': (_req, res) => {
    res.end();
    res.end();
  },
  'a Content-Length of 5, and 3 bytes of body': (_req, res) =>
    void res.writeHead(200, { 'content-length': 5 }).end('abc'),
  'a Content-Length of 2, and at least 3 bytes of body': (_req, res) => {
    res.setHeader('Content-Length', 2);
    res.end('abc');
  },
  'the Content-Length "many" is not a number': (_req, res) => void res.writeHead(200, ['Content-Length', 'many']).end(),
  'a body for status 204': (_req, res) => void res.writeHead(204).end('abc'),
  'a body for status 304': (_req, res) => {
    res.statusCode = 304;
    res.write('abc');
    res.end();
  },
  'status 204 with Content-Length': (_req, res) => void res.writeHead(204, { 'content-length': '0' }).end(),
  'status 302 without location': (_req, res) => void res.writeHead(302).end(),
  'status 401 without www-authenticate': (_req, res) => void res.writeHead(401).end(),
  'status 405 without allow': (_req, res) => void res.writeHead(405).end(),
  'the status 42 is not from 200 to 599': (_req, res) => void res.writeHead(42).end(),
  'the status 700 is not from 200 to 599': (_req, res) => void res.writeHead(700).end(),
  '"a b" is not the name of a header': (_req, res) => void res.setHeader('a b', 'c'),
  'the header "x-a" has characters that no header may have': (_req, res) => void res.setHeader('x-a', 'b\r\nc: d'),
  'the header "x-a" has the value undefined': (_req, res) => void res.setHeader('x-a', undefined as unknown as string),
  'a header named Status: set statusCode instead': (_req, res) => {
    res.setHeader('Status', '404');
    res.end();
  },
};

describe('lint reports', () => {
  test.each(Object.entries(MISTAKES))('%s', async (mistake, app) => {
    expect(await mistakesOf(app)).toContain(mistake);
  });

  test('a body for HEAD', async () => {
    expect(await mistakesOf((_req, res) => void res.end('abc'), 'HEAD')).toEqual(['a body for HEAD']);
  });

  test('an error as an exception, at its line, with on_mistake = throw', async () => {
    const lines = new Lines();
    let thrown: unknown;
    let line = 0;
    const { url } = await serveFiltered(lint({ on_mistake: 'throw' }, lines.write), (_req, res) => {
      try {
        line = 1 + lineHere();
        res.setHeader('Status', '404');
      } catch (error) {
        thrown = error;
      }
      res.end();
    });
    expect((await ask(url, '/')).status).toBe(200);
    expect(thrown).toMatchObject({ code: 'PASTER_LINT', location: { file: import.meta.filename, line } });
    expect(lines.all).toEqual([]);
  });

  test('errors of a server', async () => {
    const lines = new Lines();
    const odd =
      (app: App): App =>
      (req, res) => {
        Object.assign(req, { method: 'GET IT', url: 'x' });
        Object.assign(req.headers, { 'X-Upper': '1', 'content-length': 'z' });
        return app(req, res);
      };
    const { url } = await serveFiltered([odd, lint({}, lines.write)], (_req, res) => res.end());
    await ask(url, '/');
    expect(lines.all.map((line) => line.replace(/.*server: /, ''))).toEqual([
      'the method "GET IT" is not a token',
      'the URL "x" does not begin with a slash',
      'the header X-Upper is not in lower case',
      'the Content-Length z is not a number',
    ]);
  });

  test('an error after the head', async () => {
    const late: App = async (_req, res) => {
      res.write('a');
      throw new Error('late');
    };
    expect(await mistakesOf(late)).toEqual(['lint: GET /x: the application throws after the head was sent']);
  });
});

test.each<[string, App]>([
  ['a plain response', (_req, res) => res.end('abc')],
  ['a response with its length', (_req, res) => res.writeHead(200, { 'content-length': 3 }).end('abc')],
  ['a response in chunks', (_req, res) => res.write('a', () => res.end(() => {}))],
  ['a response without a body', (_req, res) => res.writeHead(204).end()],
  ['a redirection', (_req, res) => res.writeHead(302, 'Found', { location: '/' }).end()],
  [
    'a head that is an array of names and values',
    (_req, res) => res.writeHead(200, ['a', 'b', 'set-cookie', 'c']).end('d'),
  ],
])('%s causes no report', async (_what, app) => {
  expect(await mistakesOf(app)).toEqual([]);
});
