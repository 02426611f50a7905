/** The request: its properties, and the many ways to read a body. */
import { IncomingMessage } from 'node:http';
import { finished, PassThrough, pipeline, Readable, Transform } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { pipeline as pipelined } from 'node:stream/promises';
import { type Case, codeOf, outcome, watch } from './case.ts';

function asked(
  name: string,
  ask: (req: IncomingMessage) => unknown,
  headers: Record<string, string | string[]> = {},
): Case {
  return {
    name,
    request: { headers },
    app: (look) => (req, res) => {
      look(outcome(() => ask(req)));
      res.end('x');
    },
  };
}

const PIECES = ['one ', Buffer.from('two '), 'three'];

function read(name: string, app: Case['app'], body: readonly (string | Buffer)[] = PIECES): Case {
  return { name, request: { method: 'POST', body }, app };
}

/** Repeated headers: Node keeps the first one of some, and joins others. */
const REPEATED = [
  'Age',
  'Authorization',
  'ETag',
  'From',
  'If-Modified-Since',
  'If-Unmodified-Since',
  'Last-Modified',
  'Location',
  'Max-Forwards',
  'Referer',
  'Retry-After',
  'Server',
  'Accept',
  'Accept-Encoding',
  'Cache-Control',
  'If-None-Match',
  'Origin',
  'Range',
  'Set-Cookie',
  'Via',
  'X-Any',
];

export const REQUEST_CASES: readonly Case[] = [
  ...REPEATED.map((name) =>
    asked(`${name} twice`, (req) => [req.headers[name.toLowerCase()], req.headersDistinct[name.toLowerCase()]], {
      [name]: ['first', 'second'],
    }),
  ),
  asked('a repeated Content-Type', (req) => req.headers['content-type'], { 'Content-Type': ['a/b', 'c/d'] }),
  asked('the prototype of headers', (req) => [
    Object.getPrototypeOf(req.headers) === Object.prototype,
    Object.getPrototypeOf(req.headersDistinct),
    Object.getPrototypeOf(req.trailers) === Object.prototype,
  ]),
  asked('a header that looks like a property', (req) => req.headers['constructor'] ?? 'absent', { Constructor: 'x' }),
  asked('__proto__ as a header', (req) => Object.keys(req.headers).includes('__proto__'), { ['__proto__']: 'x' }),
  asked('an empty header', (req) => req.headers['x-empty'], { 'X-Empty': '' }),
  asked('a header of one letter', (req) => req.headers['x'], { X: 'y' }),
  asked('a header with digits', (req) => req.headers['x-1-2'], { 'X-1-2': 'y' }),
  asked('a header with commas and quotes', (req) => req.headers['x-list'], { 'X-List': 'a, "b, c", d' }),
  asked('a long header', (req) => req.headers['x-long']?.length, { 'X-Long': 'x'.repeat(7000) }),
  asked('many headers', (req) => Object.keys(req.headers).filter((name) => name.startsWith('x-many')).length, {
    ...Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`X-Many-${i}`, String(i)])),
  }),
  asked(
    'headers can be changed',
    (req) => {
      req.headers['x-mine'] = 'mine';
      delete req.headers['x-theirs'];
      return [req.headers['x-mine'], req.headers['x-theirs'] ?? 'gone', req.headersDistinct['x-theirs']];
    },
    { 'X-Theirs': 'theirs' },
  ),
  asked('headers can be replaced', (req) => {
    req.headers = { only: 'this' };
    return req.headers;
  }),
  asked('url and method can be replaced', (req) => {
    req.url = '/other';
    req.method = 'PUT';
    return [req.url, req.method];
  }),
  asked('flags before the body is read', (req) => [
    req.readable,
    req.readableEnded,
    req.readableFlowing,
    req.readableLength,
    req.readableHighWaterMark,
    req.readableObjectMode,
    req.readableEncoding,
    req.readableAborted,
    req.readableDidRead,
    req.destroyed,
    req.closed,
    req.errored,
    req.aborted,
    req.complete,
    req.isPaused(),
  ]),
  asked('the class of the request', (req) => [req instanceof IncomingMessage, req instanceof Readable, String(req)]),
  asked('statusCode and statusMessage', (req) => [req.statusCode, req.statusMessage]),
  asked('trailersDistinct', (req) => [req.trailers, req.trailersDistinct, req.rawTrailers]),
  asked('setTimeout returns the request', (req) => req.setTimeout(0) === req),
  asked('the socket’s streams', ({ socket }) =>
    [
      socket.readable,
      socket.writable,
      socket.destroyed,
      socket.connecting,
      socket.pending,
      socket.readyState,
      socket.closed,
      socket.errored,
      socket.writableEnded,
      socket.writableFinished,
      socket.writableLength,
      socket.allowHalfOpen,
    ].map((value) => value ?? 'nothing'),
  ),
  asked('the socket’s address', ({ socket }) => [
    socket.remoteAddress,
    socket.remoteFamily,
    socket.localAddress,
    socket.localFamily,
    typeof socket.localPort,
    Object.keys(socket.address()).sort(),
  ]),
  asked('setNoDelay and the like return the socket', ({ socket }) => [
    socket.setNoDelay() === socket,
    socket.setKeepAlive() === socket,
    socket.setTimeout(0) === socket,
    socket.ref() === socket,
    socket.unref() === socket,
    socket.pause() === socket,
    socket.resume() === socket,
    socket.setEncoding === undefined,
  ]),

  // reading the body
  read('events of a body in flowing mode', (look) => (req, res) => {
    watch(look, 'req', req, ['end', 'close', 'error', 'aborted', 'pause', 'resume']);
    let all = '';
    req.on('data', (part) => {
      all += part;
    });
    req.on('end', () => {
      look(all, req.complete, req.readableEnded, req.destroyed);
      res.end('x');
    });
  }),
  read('events of a body with readable', (look) => (req, res) => {
    watch(look, 'req', req, ['end', 'close', 'error']);
    let all = '';
    req.on('readable', () => {
      for (let part = req.read(); part !== null; part = req.read()) all += part;
    });
    req.on('end', () => {
      look(all);
      res.end(all);
    });
  }),
  read('read(n)', (look) => (req, res) => {
    const parts: string[] = [];
    req.on('readable', () => {
      for (let part = req.read(3); part !== null; part = req.read(3)) parts.push(String(part));
    });
    req.on('end', () => {
      look(parts.join('|').length, parts[0]);
      res.end(parts.join(''));
    });
  }),
  read('async iteration', (look) => async (req, res) => {
    let all = '';
    for await (const part of req) all += part;
    look(all, req.complete, req.destroyed, req.readableEnded);
    res.end(all);
  }),
  read(
    'pause and resume',
    (look) => (req, res) => {
      let all = '';
      req.on('data', (part) => {
        all += part;
        req.pause();
        look(req.isPaused());
        setImmediate(() => req.resume());
      });
      req.on('end', () => res.end(all));
    },
    ['only'],
  ),
  read('pause before any listener', (look) => (req, res) => {
    req.pause();
    let all = '';
    req.on('data', (part) => {
      all += part;
    });
    look(req.readableFlowing);
    setImmediate(() => req.resume());
    req.on('end', () => res.end(all));
  }),
  read('setEncoding hex', () => async (req, res) => {
    req.setEncoding('hex');
    let all = '';
    for await (const part of req) all += part;
    res.end(all);
  }),
  read(
    'setEncoding utf8 across chunks',
    (look) => async (req, res) => {
      req.setEncoding('utf8');
      let all = '';
      for await (const part of req) all += part;
      look(req.readableEncoding);
      res.end(all);
    },
    [Buffer.from([0xf0, 0x9f]), Buffer.from([0x98]), Buffer.from([0x80])],
  ),
  read('unshift', (look) => (req, res) => {
    let all = '';
    let again = true;
    req.on('readable', () => {
      for (let part = req.read(); part !== null; part = req.read()) {
        if (again) {
          again = false;
          req.unshift(part);
          look('unshifted');
          continue;
        }
        all += part;
      }
    });
    req.on('end', () => res.end(all));
  }),
  read('a body as a web stream', () => async (req, res) => {
    const parts: Uint8Array[] = [];
    for await (const part of Readable.toWeb(req)) parts.push(part as Uint8Array);
    res.end(Buffer.concat(parts));
  }),
  read('a body as that of a Request', () => async (req, res) => {
    const request = new Request('http://x/', {
      method: 'POST',
      body: Readable.toWeb(req) as never,
      duplex: 'half',
    } as never);
    res.end(await request.text());
  }),
  read('stream/consumers', (look) => async (req, res) => {
    const all = await text(req);
    look(all, req.complete);
    res.end(all);
  }),
  read('stream/consumers of bytes', () => async (req, res) => res.end(await buffer(req))),
  read('a body piped through a transform', () => (req, res) => {
    req
      .pipe(
        new Transform({
          transform(part, _encoding, callback) {
            callback(null, String(part).toUpperCase());
          },
        }),
      )
      .pipe(res);
  }),
  read('pipeline into the response', (look) => async (req, res) => {
    const result = await pipelined(req, new PassThrough(), res).catch(codeOf);
    look(result ?? 'done', req.complete, res.writableFinished);
  }),
  read('pipeline that fails in the middle', (look) => (req, res) => {
    req.on('error', (error) => look('req error', codeOf(error)));
    const failing = new Transform({
      transform(_part, _encoding, callback) {
        callback(Object.assign(new Error('no'), { code: 'E_NO' }));
      },
    });
    pipeline(req, failing, (error) => {
      look('pipeline', codeOf(error), req.destroyed, res.destroyed);
      res.end('x');
    });
  }),
  read('finished', (look) => (req, res) => {
    finished(req, (error) => look('req', codeOf(error) ?? 'fine'));
    finished(res, (error) => look('res', codeOf(error) ?? 'fine'));
    req.resume().on('end', () => res.end('x'));
  }),
  read('finished, without reading the body', (look) => (_req, res) => {
    finished(res, (error) => look('res', codeOf(error) ?? 'fine'));
    res.end('x');
  }),
  read('listeners set a turn later', (look) => (req, res) => {
    setImmediate(() => {
      let all = '';
      req.on('data', (part) => {
        all += part;
      });
      req.on('end', () => {
        look(all);
        res.end(all);
      });
    });
  }),
  read(
    'an empty body',
    (look) => async (req, res) => {
      // The length is not compared: SCGI declares 0 for every request without a body.
      look(await text(req), req.complete);
      res.end('x');
    },
    [''],
  ),
  read('destroy with an error', (look) => (req) => {
    watch(look, 'req', req, ['error', 'close', 'end', 'aborted'], codeOf);
    req.destroy(Object.assign(new Error('mine'), { code: 'E_MINE' }));
    look(req.destroyed, codeOf(req.errored));
  }),
  read('destroy without an error', (look) => (req) => {
    watch(look, 'req', req, ['error', 'close', 'end', 'aborted'], codeOf);
    look(req.destroy() === req, req.destroyed);
  }),
  {
    name: 'a body for GET',
    request: { method: 'GET', body: ['x'] },
    app: (look) => async (req, res) => {
      look(req.headers['content-length'], await text(req));
      res.end('x');
    },
  },
  {
    name: 'no body, read to its end',
    app: (look) => async (req, res) => {
      look(await text(req), req.complete, req.readableEnded);
      res.end('x');
    },
  },
  {
    name: 'a body of a megabyte in many chunks',
    request: { method: 'PUT', body: Array.from({ length: 100 }, (_, i) => Buffer.alloc(10_000, i)) },
    app: (look) => async (req, res) => {
      const all = await buffer(req);
      look(all.length, all[0], all.at(-1));
      res.end(all);
    },
  },
];
