/** The log line: its content for each kind of response, and that no client can forge one. */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { describe, expect, test, vi } from 'vitest';
import { translogger, transloggerSettings } from '../../src/filters/logging/translogger.ts';
import type { App, Filter, Settings } from '../../src/protocol/types.ts';
import { Lines, serveFiltered, settingsFrom } from './serve-filter.ts';

const hello: App = (req, res) => {
  req.url = '/rewritten';
  req.method = 'BREW';
  res.end('hello');
};

/** Serves `app` behind the filter of a section. */
async function logged(section: Settings, app: App): Promise<{ url: string; lines: Lines }> {
  const lines = new Lines();
  const filter = translogger(settingsFrom(transloggerSettings, section), lines.write);
  return { ...(await serveFiltered(filter, app)), lines };
}

/** Sends raw bytes, and waits for the end of the connection. */
async function send(url: string, bytes: string): Promise<void> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1').end(bytes, 'latin1');
  await once(socket.resume(), 'close');
}

describe('the combined format', () => {
  test('is Apache’s', async () => {
    const { url, lines } = await logged({}, hello);
    await fetch(`${url}/path?q=1`, { headers: { referer: 'http://r/', 'user-agent': 'agent "x"' } });
    const [line] = await lines.atLeast(1);
    expect(line).toMatch(
      /^127\.0\.0\.1 - - \[\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET \/path\?q=1 HTTP\/1\.1" 200 5 "http:\/\/r\/" "agent \\"x\\""$/,
    );
  });

  test('is the same line as that format written out', async () => {
    const { default: combined } = transloggerSettings.declarations.format;
    const [own, compiled] = [new Lines(), new Lines()];
    const { url } = await serveFiltered(
      [translogger({}, own.write), translogger({ format: `${combined}!` }, compiled.write)],
      (req, res) => {
        if (req.url === '/user') Object.assign(req, { remoteUser: 'jo "e"' });
        if (req.url === '/leave') return req.socket.destroy();
        return res.writeHead(req.url === '/nothing' ? 204 : 200).end('body');
      },
    );
    const head = 'HTTP/1.1\r\nHost: x\r\nConnection: close\r\n';
    for (const request of [
      `GET /user ${head}Referer: a"\\\xe9\r\nUser-Agent: \tb\r\n\r\n`,
      `OPTIONS /nothing ${head}\r\n`,
      `GET /leave ${head}\r\n`,
    ]) {
      await send(url, request);
    }
    expect((await own.atLeast(3)).map((line) => `${line}!`)).toEqual(await compiled.atLeast(3));
    expect(own.all.join('\n')).toMatch(/ - jo \\"e\\" .* 200 4 "a\\".*"\n.* 204 - "-" "-"\n.* 499 - /);
  });

  test('goes to standard error, unless the settings say otherwise', async () => {
    const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    try {
      const { url } = await serveFiltered(translogger({ format: 'one %(status)s' }), hello);
      await fetch(url);
      await vi.waitFor(() => expect(write.mock.calls.map(([bytes]) => String(bytes))).toEqual(['one 200\n']));
    } finally {
      write.mockRestore();
    }
    const app: App = () => {};
    expect(translogger({ setup_console_handler: false })(app)).toBe(app);
    expect(translogger({ logging_level: 'DEBUG', set_logger_level: 'INFO' })(app)).toBe(app);
  });
});

describe('a format', () => {
  test('leaves unknown fields as they are, and has percent signs', async () => {
    const { url, lines } = await logged({ format: '%(status)s %(bytes)d %% %(nothing)s %(constructor)s %x' }, hello);
    await fetch(url);
    expect(await lines.atLeast(1)).toEqual(['200 5 % %(nothing)s %(constructor)s %x']);
  });

  test('writes control characters and bytes of other scripts as escapes', async () => {
    const { url, lines } = await logged({ format: '%(HTTP_USER_AGENT)s' }, hello);
    await send(url, 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser-Agent: a\tb\\"\u00e9\u009b\r\n\r\n');
    expect(await lines.atLeast(1)).toEqual(['a\\x09b\\\\\\"\\xe9\\x9b']);
  });

  test('writes the bytes that a client sent, and a name in UTF-8', async () => {
    for (const format of ['', '%(REMOTE_USER)s %(HTTP_USER_AGENT)s']) {
      const { url, lines } = await logged({ format }, (req, res) => {
        Object.assign(req, { remoteUser: 'Zoé' });
        res.end();
      });
      await send(url, 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser-Agent: \xe2\x82\xac\r\n\r\n');
      expect(await lines.atLeast(1)).toEqual([expect.stringMatching(/Zo\\xc3\\xa9.* "?\\xe2\\x82\\xac"?$/)]);
    }
  });

  test('that is empty means the default', async () => {
    const { url, lines } = await logged({ format: '' }, hello);
    await fetch(`${url}/path`);
    expect(await lines.atLeast(1)).toEqual([expect.stringContaining('"GET /path HTTP/1.1" 200 5 "-"')]);
  });

  test('has widths, as in Python', async () => {
    const format = '%(status)5s|%(REQUEST_METHOD)-6s|%(HTTP_VERSION).4s|%(REMOTE_USER)3s|%(REQUEST_URI)-8.3s|';
    const { url, lines } = await logged({ format }, hello);
    await fetch(`${url}/path`);
    expect(await lines.atLeast(1)).toEqual(['  200|GET   |HTTP|  -|/pa     |']);
  });
});

describe('the size', () => {
  const format = '%(REQUEST_METHOD)s %(status)s %(bytes)s';

  const answers: Record<string, { app: App; line: string }> = {
    'a streamed response': {
      app(_req, res) {
        res.write('four');
        res.write(Buffer.alloc(6));
        res.end('€');
      },
      line: 'GET 200 13',
    },
    'an encoding': {
      app(_req, res) {
        res.write('00ff', 'hex');
        res.end('AAAA', 'base64');
      },
      line: 'GET 200 5',
    },
    'a response without a body': { app: (_req, res) => res.writeHead(304).end('not sent'), line: 'GET 304 -' },
    'a response with callbacks': { app: (_req, res) => res.write('ab', () => res.end(() => {})), line: 'GET 200 2' },
  };

  test.each(Object.entries(answers))('of %s', async (_what, { app, line }) => {
    const { url, lines } = await logged({ format }, app);
    await (await fetch(url)).text();
    expect(await lines.atLeast(1)).toEqual([line]);
  });

  test('of HEAD', async () => {
    const { url, lines } = await logged({ format }, (_req, res) => res.end('hello'));
    await fetch(url, { method: 'HEAD' });
    expect(await lines.atLeast(1)).toEqual(['HEAD 200 -']);
  });
});

describe('a client that leaves', () => {
  test('in the middle of a response', async () => {
    const { url, lines } = await logged({ json: 'true' }, (_req, res) => void res.write('begun'));
    const abort = new AbortController();
    const response = await fetch(url, { signal: abort.signal });
    await response.body?.getReader().read();
    abort.abort();
    expect(JSON.parse((await lines.atLeast(1))[0] ?? '')).toMatchObject({ status: 200, bytes: 5, aborted: true });
  });

  test('before the response begins', async () => {
    const { url, lines } = await logged({ format: '%(status)s %(bytes)s' }, (req) => req.socket.destroy());
    await expect(fetch(url)).rejects.toThrow();
    expect(await lines.atLeast(1)).toEqual(['499 -']);
  });
});

test('two filters count the same body', async () => {
  const lines = new Lines();
  const filter = translogger({ format: '%(bytes)s' }, lines.write);
  const { url } = await serveFiltered([filter, filter], hello);
  await fetch(url);
  expect(await lines.atLeast(2)).toEqual(['5', '5']);
});

test('each filter counts the body as it passes through that filter', async () => {
  const lines = new Lines();
  const filter = translogger({ format: '%(bytes)s' }, lines.write);
  const doubling: Filter = (app) => (req, res) => {
    const end = res.end.bind(res) as (body: string) => ServerResponse;
    res.end = ((body: string) => end(body + body)) as ServerResponse['end'];
    return app(req, res);
  };
  const { url } = await serveFiltered([filter, doubling, filter], hello);
  expect(await (await fetch(url)).text()).toBe('hellohello');
  expect((await lines.atLeast(2)).sort()).toEqual(['10', '5']);
});

test('an application that throws is logged with the response of the server', async () => {
  const { url, lines } = await logged({ format: '%(status)s' }, () => {
    throw new Error('no');
  });
  await fetch(url);
  expect(await lines.atLeast(1)).toEqual(['500']);
});

test('an application that throws after its response is logged with that response', async () => {
  const { url, lines } = await logged({ format: '%(status)s %(bytes)s' }, (_req, res) => {
    res.writeHead(201).end('made');
    throw new Error('no');
  });
  await fetch(url);
  expect(await lines.atLeast(1)).toEqual(['201 4']);
});

test('an application that destroys its response is logged once', async () => {
  const { url, lines } = await logged({ format: '%(REQUEST_URI)s %(status)s' }, (req, res) => {
    if (req.url === '/ended') res.end('ended');
    res.destroy();
  });
  for (const path of ['/', '/ended']) await fetch(url + path).catch(() => undefined);
  expect(await lines.atLeast(2)).toEqual(['/ 499', '/ended 200']);
});

describe('JSON', () => {
  test('has every field, and stays one line of ASCII', async () => {
    const { url, lines } = await logged({ json: 'true', logger_name: 'site', logging_level: 'WARN' }, hello);
    await send(
      url,
      'GET /a?b="c HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser-Agent: \u00e9\u009b\t"\\\r\nX-Request-Id: abc-1\r\n\r\n',
    );
    const [line = ''] = await lines.atLeast(1);
    expect(line).toMatch(/^[\x20-\x7e]+$/);
    expect(JSON.parse(line)).toEqual({
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      level: 'WARN',
      logger: 'site',
      remote_addr: '127.0.0.1',
      remote_user: null,
      method: 'GET',
      url: '/a?b="c',
      http_version: '1.1',
      status: 200,
      bytes: 5,
      duration_ms: expect.any(Number),
      aborted: false,
      referer: null,
      user_agent: '\u00e9\u009b\t"\\',
      request_id: 'abc-1',
    });
  });
});

describe('the request id', () => {
  const show: App = (req, res) => res.end(String(req.headers['x-request-id']));

  test.each(['abc-1', '0b5c:77/x=1+2.3@z', 'x'.repeat(128)])('%s is kept', async (id) => {
    const { url, lines } = await logged({ format: '%(REQUEST_ID)s' }, show);
    const response = await fetch(url, { headers: { 'x-request-id': id } });
    expect([response.headers.get('x-request-id'), await response.text()]).toEqual([id, id]);
    expect(await lines.atLeast(1)).toEqual([id]);
  });

  test.each(['', 'a b', '<b>', '"', 'é', 'x'.repeat(129)])('"%s" is replaced by a new one', async (id) => {
    const { url, lines } = await logged({ format: '%(REQUEST_ID)s' }, show);
    const response = await fetch(url, { headers: { 'x-request-id': id } });
    const [line] = await lines.atLeast(1);
    expect(line).toMatch(/^[\da-f]{8}-[\da-f-]{27}$/);
    expect([response.headers.get('x-request-id'), await response.text()]).toEqual([line, line]);
  });

  test('is not made if no line shows it', async () => {
    const { url } = await logged({}, show);
    const response = await fetch(url);
    expect(response.headers.get('x-request-id')).toBeNull();
  });
});

test('skips paths, and those below them', async () => {
  const { url, lines } = await logged({ skip: '/healthz /static/', format: '%(REQUEST_URI)s' }, (_req, res) =>
    res.end(),
  );
  for (const path of ['/healthz', '/healthz?x', '/healthz/deep', '/static/a', '/healthzz', '/static']) {
    await fetch(url + path);
  }
  expect(await lines.atLeast(2)).toEqual(['/healthzz', '/static']);
});
