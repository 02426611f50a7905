/** Errors with a status become a response with that status; others stay errors. */
import { describe, expect, test } from 'vitest';
import { httpExceptions } from '../../../src/filters/errors/httpexceptions.ts';
import type { App } from '../../../src/protocol/types.ts';
import { ask } from '../../helpers/requests/ask.ts';
import { Lines, serveFiltered } from '../serve-filter.ts';

/** An error as `http-errors` makes it. */
function httpError(status: number, message: string, properties: object = {}): Error {
  return Object.assign(new Error(message), { status, statusCode: status, expose: status < 500, ...properties });
}

async function answerTo(error: unknown, accept = 'text/plain') {
  const lines = new Lines();
  const app: App = async (_req, res) => {
    res.setHeader('set-cookie', 'kept=1').setHeader('etag', '"x"').setHeader('content-type', 'image/png');
    throw error;
  };
  const { url, failures } = await serveFiltered(httpExceptions(lines.write), app);
  const { status, headers, body } = await ask(url, '/', { headers: { accept } });
  return { status, headers, text: body.toString(), lines: lines.all, failures };
}

describe('an error with a status', () => {
  test('below 500 sends its message', async () => {
    const { status, headers, text, lines } = await answerTo(httpError(404, 'no such <fish>'));
    expect([status, text, lines]).toEqual([404, 'Not Found\nno such <fish>\n', []]);
    expect(headers).toMatchObject({ 'set-cookie': ['kept=1'], 'content-type': 'text/plain; charset=utf-8' });
    expect(headers.etag).toBeUndefined();
  });

  test('is sent as HTML and JSON', async () => {
    expect((await answerTo(httpError(409, 'two <fish>'), 'text/html')).text).toContain('<p>two &lt;fish&gt;</p>');
    expect(JSON.parse((await answerTo(httpError(409, 'two'), 'application/json')).text)).toEqual({
      status: 409,
      error: 'Conflict',
      message: 'two',
    });
  });

  test('of 500 or more keeps its message for the log', async () => {
    const { status, text, lines, failures } = await answerTo(httpError(503, 'the database is down'));
    expect([status, text, failures]).toEqual([503, 'Service Unavailable\n', []]);
    expect(lines[0]).toMatch(/^GET \/: 503: Error: the database is down/);
  });

  test('decides by `expose` whether its message is sent', async () => {
    expect((await answerTo(httpError(403, 'internal', { expose: false }))).text).toBe('Forbidden\n');
    expect((await answerTo(httpError(502, 'upstream', { expose: true }))).text).toBe('Bad Gateway\nupstream\n');
  });

  test('sets headers', async () => {
    const { headers } = await answerTo(httpError(401, 'who?', { headers: { 'WWW-Authenticate': 'Basic' } }));
    expect(headers['www-authenticate']).toBe('Basic');
    const moved = await answerTo(httpError(302, 'there', { headers: { location: '/there' } }));
    expect([moved.status, moved.headers.location]).toEqual([302, '/there']);
  });
});

test.each([
  ['no status', new Error('plain')],
  ['a success status', httpError(200, 'well')],
  ['a status that is text', Object.assign(new Error('odd'), { status: '404' })],
  ['a thrown object that is not an error', { status: 404 }],
  ['a status above 599', httpError(600, 'far')],
])('%s: the server responds 500, and logs the error', async (_what, error) => {
  const { status, failures } = await answerTo(error);
  expect(status).toBe(500);
  expect(failures).toHaveLength(1);
});

test('an error after the head is left to the server', async () => {
  const { url, failures } = await serveFiltered(httpExceptions(), async (_req, res) => {
    res.write('begun');
    await new Promise((resolve) => setTimeout(resolve, 20));
    throw httpError(404, 'late');
  });
  expect(await ask(url, '/')).toMatchObject({ status: 200, complete: false });
  expect(failures[0]).toContain('late');
});
