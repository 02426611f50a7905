/** The head of a response: how it is set, read and refused. */
import { ServerResponse } from 'node:http';
import { type Case, outcome } from './case.ts';

type Response = ServerResponse;

/** A case that records the outcome of an act on the response, and then ends the response with `after`. */
function head(name: string, act: (res: Response) => unknown, method = 'GET'): Case {
  return {
    name,
    request: { method },
    app: (look) => (_req, res) => {
      look(outcome(() => act(res)));
      look(res.headersSent, res.statusCode, res.getHeaders(), res.writableEnded);
      if (!res.writableEnded) res.end('after');
    },
  };
}

/** For arguments that the types forbid, or do not know, but JavaScript allows. */
interface LooseResponse {
  statusCode: unknown;
  shouldKeepAlive: unknown;
  useChunkedEncodingByDefault: unknown;
  readonly errored: unknown;
  writeHead(...args: unknown[]): unknown;
  setHeader(...args: unknown[]): unknown;
  setHeaders(...args: unknown[]): unknown;
  getHeader(...args: unknown[]): unknown;
  getRawHeaderNames(...args: unknown[]): unknown;
  hasHeader(...args: unknown[]): unknown;
  removeHeader(...args: unknown[]): unknown;
  writeEarlyHints(...args: unknown[]): unknown;
}

const loose = (res: Response) => res as unknown as LooseResponse;

const asked = (value: unknown) => (value === undefined ? 'undefined' : value);

export const HEAD_CASES: readonly Case[] = [
  // writeHead
  head('writeHead(status)', (res) => res.writeHead(201) === res),
  head('writeHead(status, reason)', (res) => [res.writeHead(201, 'Made') === res, res.statusMessage]),
  head('writeHead(status, undefined, headers)', (res) => loose(res).writeHead(202, undefined, { 'X-A': '1' }) === res),
  head('writeHead with null as headers', (res) => loose(res).writeHead(200, null) === res),
  head('writeHead(status as text)', (res) => loose(res).writeHead('203') === res),
  head('writeHead(fraction)', (res) => res.writeHead(204.9) === res),
  head('writeHead without a status', (res) => loose(res).writeHead()),
  head('writeHead(NaN)', (res) => res.writeHead(Number.NaN)),
  head('writeHead(-1)', (res) => res.writeHead(-1)),
  head('writeHead of an unknown status', (res) => [res.writeHead(299) === res, res.statusMessage]),
  head('writeHead of 599', (res) => [res.writeHead(599) === res, res.statusMessage]),
  head('writeHead with several values', (res) => res.writeHead(200, { 'X-A': ['1', '2'] }) === res),
  head('writeHead with cookies', (res) => res.writeHead(200, { 'Set-Cookie': ['a=1', 'b=2'] }) === res),
  head('writeHead with Cookie values', (res) => res.writeHead(200, { Cookie: ['a=1', 'b=2'] } as never) === res),
  head('writeHead with an empty list of values', (res) => res.writeHead(200, { 'X-A': [] }) === res),
  head('writeHead with an empty value', (res) => res.writeHead(200, { 'X-A': '' }) === res),
  head('writeHead with 0', (res) => res.writeHead(200, { 'X-A': 0 }) === res),
  head('writeHead with true', (res) => loose(res).writeHead(200, { 'X-A': true }) === res),
  head('writeHead with undefined', (res) => res.writeHead(200, { 'X-A': undefined })),
  head('writeHead with null', (res) => loose(res).writeHead(200, { 'X-A': null }) === res),
  head('writeHead with a list of odd length', (res) => res.writeHead(200, ['X-A'])),
  head('writeHead with an empty list', (res) => res.writeHead(200, []) === res),
  head('writeHead with pairs', (res) =>
    outcome(
      () =>
        loose(res).writeHead(200, [
          ['X-A', '1'],
          ['X-B', '2'],
        ]) === res,
    ),
  ),
  head('writeHead with a repeated name', (res) => res.writeHead(200, ['X-A', '1', 'x-a', '2']) === res),
  head('writeHead with a list of values in a list', (res) => loose(res).writeHead(200, ['X-A', ['1', '2']]) === res),
  head('writeHead with an empty name', (res) => res.writeHead(200, { '': 'x' })),
  head('writeHead with an empty name after setHeader', (res) => {
    res.setHeader('X-A', '1');
    return res.writeHead(200, { '': 'x' }) === res;
  }),
  head('writeHead with a bad name after setHeader', (res) => {
    res.setHeader('X-A', '1');
    return res.writeHead(200, { 'X B': 'x' });
  }),
  head('writeHead with a bad value after setHeader', (res) => {
    res.setHeader('X-A', '1');
    return res.writeHead(200, { 'X-B': 'a\r\nb' });
  }),
  head('writeHead with a list after setHeader', (res) => {
    res.setHeader('X-A', '1').setHeader('X-B', '2');
    return res.writeHead(200, ['X-A', '3', 'X-A', '4', 'X-C', '5']) === res;
  }),
  head('writeHead with a list of odd length after setHeader', (res) => {
    res.setHeader('X-A', '1');
    return res.writeHead(200, ['X-B']);
  }),
  head('writeHead with undefined after setHeader', (res) => {
    res.setHeader('X-A', '1');
    return res.writeHead(200, { 'X-B': undefined });
  }),
  head('writeHead with another spelling of a name after setHeader', (res) => {
    res.setHeader('x-a', '1');
    return res.writeHead(200, { 'X-A': '2' }) === res;
  }),
  head('writeHead twice', (res) => res.writeHead(200).writeHead(201)),
  head('writeHead after an implicit head', (res) => {
    res.write('x');
    res.writeHead(200);
  }),
  head('writeHead after the end', (res) => {
    res.end('x');
    res.writeHead(200);
  }),
  head('writeHead and a body of its length', (res) => res.writeHead(200, { 'Content-Length': '5' }) === res),
  head('a character beyond latin-1 in a value', (res) => res.writeHead(200, { 'X-A': '€' })),
  head('a character beyond latin-1 in the reason', (res) => res.writeHead(200, '€')),
  head('a tab in a value', (res) => res.writeHead(200, { 'X-A': 'a\tb' }) === res),
  head('NUL in a value', (res) => res.writeHead(200, { 'X-A': 'a\0b' })),
  head('DEL in a value', (res) => res.writeHead(200, { 'X-A': 'a\x7fb' })),
  head('spaces around a value', (res) => res.writeHead(200, { 'X-A': ' a ' }) === res),

  // the status
  ...[
    200, 201, 202, 203, 206, 300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 410, 418, 422, 429, 500, 501, 503,
  ].map((status) =>
    head(`statusCode ${status}`, (res) => {
      res.statusCode = status;
    }),
  ),
  head('statusMessage', (res) => {
    res.statusMessage = 'As you like it';
  }),
  head('an empty statusMessage', (res) => {
    res.statusMessage = '';
  }),
  head('a statusCode that is not a number', (res) => {
    loose(res).statusCode = 'many';
    res.end();
  }),
  head('statusCode 99', (res) => {
    res.statusCode = 99;
    const result = outcome(() => res.end());
    res.statusCode = 500;
    return result;
  }),

  // setHeader and related methods
  head('setHeader returns the response', (res) => res.setHeader('X-A', '1') === res),
  head('setHeader with a number', (res) => {
    res.setHeader('X-A', 5);
    return [res.getHeader('x-a'), typeof res.getHeader('X-A')];
  }),
  head('setHeader with a list', (res) => {
    res.setHeader('X-A', ['1', '2']);
    return res.getHeader('x-a');
  }),
  head('setHeader with an empty list', (res) => res.setHeader('X-A', []) === res),
  head('setHeader twice', (res) => res.setHeader('X-A', '1').setHeader('x-a', '2') === res),
  head('setHeader without a value', (res) => loose(res).setHeader('X-A')),
  head('setHeader without a name', (res) => loose(res).setHeader(undefined, '1')),
  head('setHeader with a number as the name', (res) => loose(res).setHeader(5, '1')),
  head('setHeader with an empty name', (res) => res.setHeader('', '1')),
  head('setHeader with null', (res) => loose(res).setHeader('X-A', null) === res),
  head('setHeader with a bad value in a list', (res) => res.setHeader('X-A', ['1', 'a\nb'])),
  head('setHeader with a character beyond latin-1', (res) => res.setHeader('X-A', '€')),
  head('setHeader after the end', (res) => {
    res.end('x');
    res.setHeader('X-A', '1');
  }),
  head('appendHeader of a new header', (res) => {
    res.appendHeader('X-A', '1');
    return res.getHeader('x-a');
  }),
  head('appendHeader with a list', (res) => {
    res.appendHeader('X-A', '1').appendHeader('X-A', ['2', '3']);
    return res.getHeader('x-a');
  }),
  head('appendHeader keeps the first spelling', (res) => {
    res.appendHeader('X-A', '1').appendHeader('x-a', '2');
    return loose(res).getRawHeaderNames();
  }),
  head('appendHeader with a bad value', (res) => res.appendHeader('X-A', 'a\nb')),
  head('appendHeader after the head', (res) => {
    res.flushHeaders();
    res.appendHeader('X-A', '1');
  }),
  head('setHeaders of a Map', (res) => res.setHeaders(new Map([['X-A', '1']])) === res),
  head('setHeaders of Headers with cookies', (res) => {
    const headers = new Headers({ 'X-A': '1' });
    headers.append('Set-Cookie', 'a=1');
    headers.append('Set-Cookie', 'b=2');
    res.setHeaders(headers);
    return res.getHeader('set-cookie');
  }),
  head('setHeaders of an object', (res) => loose(res).setHeaders({ 'X-A': '1' })),
  head('setHeaders after the head', (res) => {
    res.flushHeaders();
    res.setHeaders(new Map([['X-A', '1']]));
  }),
  head('getHeaderNames and getRawHeaderNames', (res) => {
    res.setHeader('X-B', '1').setHeader('x-A', '2');
    return [res.getHeaderNames(), loose(res).getRawHeaderNames()];
  }),
  head('getHeaders has no prototype', (res) => Object.getPrototypeOf(res.getHeaders()) === null),
  head('hasHeader', (res) => {
    res.setHeader('X-A', '1');
    return [res.hasHeader('x-a'), res.hasHeader('X-A'), res.hasHeader('x-b'), outcome(() => loose(res).hasHeader())];
  }),
  head('getHeader of an absent header', (res) => [asked(res.getHeader('x-a')), outcome(() => loose(res).getHeader())]),
  head('getHeader after the head', (res) => {
    res.setHeader('X-A', '1');
    res.flushHeaders();
    return [res.getHeader('x-a'), res.hasHeader('x-a'), res.getHeaderNames()];
  }),
  head('getHeader without earlier headers knows none of writeHead', (res) => {
    res.writeHead(200, { 'X-A': '1' });
    return [asked(res.getHeader('x-a')), res.getHeaderNames()];
  }),
  head('getHeader after setHeader knows headers of writeHead', (res) => {
    res.setHeader('X-B', '1');
    res.writeHead(200, { 'X-A': '1' });
    return [asked(res.getHeader('x-a')), res.getHeaderNames()];
  }),
  head('removeHeader', (res) => {
    res.setHeader('X-A', '1').setHeader('X-B', '2');
    res.removeHeader('x-a');
    res.removeHeader('nothing');
    return [asked(res.getHeader('x-a')), outcome(() => loose(res).removeHeader())];
  }),
  head('flushHeaders twice', (res) => {
    res.flushHeaders();
    res.flushHeaders();
  }),
  head('sendDate', (res) => {
    const before = res.sendDate;
    res.sendDate = false;
    return before;
  }),

  // lengths and kinds of responses
  head('Content-Length as a number', (res) => {
    res.setHeader('Content-Length', 5);
  }),
  head('HEAD with a body', () => undefined, 'HEAD'),
  head('HEAD with a length', (res) => res.setHeader('Content-Length', 100) === res, 'HEAD'),
  head('HEAD that writes', (res) => [res.write('x'), res.headersSent], 'HEAD'),
  head('HEAD with writeHead', (res) => res.writeHead(200, { 'X-A': '1' }) === res, 'HEAD'),
  head('HEAD with end only', (res) => void res.end(), 'HEAD'),
  head('204 that writes', (res) => {
    res.statusCode = 204;
    return res.write('x');
  }),
  head('204 with a length', (res) => res.writeHead(204, { 'Content-Length': '0' }) === res),
  head('304 with a length', (res) => res.writeHead(304, { 'Content-Length': '100', ETag: '"x"' }) === res),
  head('304 that writes', (res) => {
    res.statusCode = 304;
    return res.write('x');
  }),
  head('205', (res) => {
    res.statusCode = 205;
    res.end();
  }),
  head('a response to OPTIONS', (res) => void res.setHeader('Allow', 'GET').end(), 'OPTIONS'),
  head('end without arguments', (res) => res.end() === res),
  head('end of an empty text', (res) => void res.end('')),
  head('end of an empty buffer', (res) => void res.end(Buffer.alloc(0))),
  head('write of an empty text', (res) => [res.write(''), res.headersSent]),
  head('a type and a charset', (res) => res.setHeader('Content-Type', 'text/plain; charset=utf-8') === res),
  head('Content-Disposition in latin-1', (res) => {
    res.setHeader('Content-Disposition', 'attachment; filename="caf\xe9"');
    res.end('x');
  }),
  head('Content-Disposition in latin-1 before a stream', (res) => {
    res.setHeader('Content-Disposition', 'attachment; filename="caf\xe9"');
    res.write('x');
  }),
  head('useChunkedEncodingByDefault off', (res) => {
    loose(res).useChunkedEncodingByDefault = false;
    res.write('x');
  }),
  head('shouldKeepAlive off', (res) => {
    loose(res).shouldKeepAlive = false;
  }),
  head('strictContentLength: too much at once', (res) => {
    res.strictContentLength = true;
    res.setHeader('Content-Length', 1);
    const result = outcome(() => res.write('too much'));
    res.destroy();
    return result;
  }),
  head('strictContentLength: the exact length', (res) => {
    res.strictContentLength = true;
    res.setHeader('Content-Length', 3);
    res.write('a');
    res.end('bc');
  }),
  head('strictContentLength: too much at the end', (res) => {
    res.strictContentLength = true;
    res.setHeader('Content-Length', 2);
    res.write('a');
    const result = outcome(() => res.end('bc'));
    res.destroy();
    return result;
  }),

  // trailers and interim responses
  head('addTrailers', (res) => outcome(() => res.addTrailers({ 'X-T': '1' }))),
  head('addTrailers with a bad name', (res) => outcome(() => res.addTrailers({ 'X T': '1' }))),
  head('addTrailers with a bad value', (res) => outcome(() => res.addTrailers({ 'X-T': 'a\nb' }))),
  head('writeEarlyHints without hints', (res) => outcome(() => loose(res).writeEarlyHints())),
  head('writeEarlyHints without a link', (res) => outcome(() => res.writeEarlyHints({}))),
  head('writeEarlyHints with a bad link', (res) => outcome(() => res.writeEarlyHints({ link: 'bad' }))),

  // how the response is implemented
  head('the class of the response', (res) => [res instanceof ServerResponse, typeof res.req, res.finished]),
  head('writable properties', (res) => [
    res.writable,
    res.writableLength,
    res.writableHighWaterMark,
    res.writableObjectMode,
    res.writableCorked,
    res.writableNeedDrain,
    res.writableFinished,
    loose(res).errored,
    res.closed,
    res.chunkedEncoding,
    res.useChunkedEncodingByDefault,
  ]),
];
