/** The log line: Apache's combined format, and nothing a client sends can forge one. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { expect, onTestFinished, test, vi } from 'vitest';
import { makeTranslogger, transloggerSettings } from '../../src/filters/translogger.ts';
import { applyFilter } from '../../src/protocol/filter.ts';
import type { App, Settings } from '../../src/protocol/types.ts';

async function linesOf(section: Settings, app: App, ask: (port: number) => Promise<unknown>): Promise<string[]> {
  const result = transloggerSettings['~standard'].validate(section);
  if (!('value' in result)) throw new Error('the section is not valid');
  const logged = await applyFilter(makeTranslogger({}, result.value), app);
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  const server = createServer((req, res) => void logged(req, res)).listen(0, '127.0.0.1');
  onTestFinished(() => {
    write.mockRestore();
    server.close();
  });
  await once(server, 'listening');
  await ask((server.address() as AddressInfo).port);
  await vi.waitFor(() => {
    if (section['setup_console_handler'] !== 'false') expect(write).toHaveBeenCalled();
  });
  return write.mock.calls.map(([line]) => String(line));
}

const hello: App = (req, res) => {
  req.url = '/rewritten';
  res.setHeader('content-length', 5);
  res.end('hello');
};

test('is Apache’s combined format', async () => {
  const [line] = await linesOf({}, hello, (port) =>
    fetch(`http://127.0.0.1:${port}/path?q=1`, { headers: { referer: 'http://r/', 'user-agent': 'agent "x"' } }),
  );
  expect(line).toMatch(
    /^127\.0\.0\.1 - - \[\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET \/path\?q=1 HTTP\/1\.1" 200 5 "http:\/\/r\/" "agent \\"x\\""\n$/,
  );
});

test('takes a format, and leaves unknown fields as they are', async () => {
  const lines = await linesOf({ format: '%(status)s %(nothing)s %(constructor)s' }, hello, (port) =>
    fetch(`http://127.0.0.1:${port}/`),
  );
  expect(lines).toEqual(['200 %(nothing)s %(constructor)s\n']);
});

test('writes control characters and bytes of other scripts as escapes', async () => {
  const [line] = await linesOf({ format: '%(HTTP_USER_AGENT)s' }, hello, async (port) => {
    const socket = connect(port, '127.0.0.1').end(
      'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser-Agent: a\tb\\\u00e9\r\n\r\n',
      'latin1',
    );
    await once(socket.resume(), 'close');
  });
  expect(line).toBe('a\\x09b\\\\\\xc3\\xa9\n');
});

test('logs an answer that the client did not wait for', async () => {
  const never: App = (_req, res) => void res.write('begun');
  const [line] = await linesOf({ format: '%(REQUEST_METHOD)s %(status)s' }, never, async (port) => {
    const socket = connect(port, '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(socket, 'data');
    socket.destroy();
  });
  expect(line).toBe('GET 200\n');
});

test.each([[{ setup_console_handler: 'false' }], [{ logging_level: 'DEBUG', set_logger_level: 'INFO' }]])(
  'is silent with %j',
  async (section) => {
    const lines = await linesOf({ setup_console_handler: 'false', ...section } as unknown as Settings, hello, (port) =>
      fetch(`http://127.0.0.1:${port}/`),
    );
    expect(lines).toEqual([]);
  },
);
