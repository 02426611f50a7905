/** Writing a response: return values, callbacks, the order of events, and every way to abort it. */
import { Duplex, finished, PassThrough, pipeline, Readable, Writable } from 'node:stream';
import { pipeline as pipelined } from 'node:stream/promises';
import type { App } from '../../../src/protocol/types.ts';
import { type Case, type Client, codeOf, type Look, outcome, watch } from './case.ts';

type Handler = (look: Look, ...args: Parameters<App>) => unknown;

function writing(name: string, handler: Handler, request: Case['request'] = {}): Case {
  return { name, request, app: (look) => (req, res) => handler(look, req, res) };
}

const RES = ['prefinish', 'finish', 'close', 'error', 'pipe', 'unpipe'];
const REQ = ['end', 'close', 'error', 'aborted'];

/** The events of the response, with its flags at each of them. */
function watched(name: string, handler: Handler, request: Case['request'] = {}): Case {
  return writing(
    name,
    (look, req, res) => {
      for (const event of RES) {
        res.on(event, (argument) => {
          look(`res ${event}`, event === 'error' ? codeOf(argument) : '', res.destroyed, res.socket === null);
          // At 'prefinish' they depend on how much the connection has accepted at once.
          if (event !== 'prefinish') look(res.headersSent, res.writableEnded, res.writableFinished);
        });
      }
      return handler(look, req, res);
    },
    request,
  );
}

const callback = (look: Look, what: string) => (error?: Error | null) => look(what, codeOf(error) ?? 'fine');

/** Node 22 and 24 write the chunks of a corked response after its end, and no client reads them. */
const MISPLACES_CORKED = /^2[2-5]\./.test(process.versions.node);

/** The client disconnects when it has read what has been sent so far: on a busy machine the timer alone may fire earlier. */
function leaveSoon(client: Client): void {
  setTimeout(() => setImmediate(() => setImmediate(() => client.leave())), 20);
}

export const WRITING_CASES: readonly Case[] = [
  watched('end', (_look, _req, res) => res.end()),
  watched('end(text)', (_look, _req, res) => res.end('x')),
  watched('end with a callback', (look, _req, res) => res.end(callback(look, 'ended'))),
  watched('end(text, callback)', (look, _req, res) => res.end('x', callback(look, 'ended'))),
  watched('end(text, encoding, callback)', (look, _req, res) => res.end('eA==', 'base64', callback(look, 'ended'))),
  watched('end returns the response', (look, _req, res) => look(res.end('x') === res)),
  watched('write, then end', (look, _req, res) => {
    look(res.write('a'), res.writableLength > 0, res.headersSent);
    res.end('b');
  }),
  watched('write with a callback', (look, _req, res) => {
    res.write('a', callback(look, 'written'));
    res.end();
  }),
  watched('write(text, encoding, callback)', (look, _req, res) => {
    res.write('YQ==', 'base64', callback(look, 'written'));
    res.end('Yg==', 'base64');
  }),
  watched('write, and end a turn later', (look, _req, res) => {
    res.write('a', callback(look, 'written'));
    setImmediate(() => res.end('b', callback(look, 'ended')));
  }),
  watched('end twice', (look, _req, res) => {
    res.end('x');
    look(outcome(() => res.end() === res));
  }),
  watched('end twice with callbacks', (look, _req, res) => {
    res.end('x', callback(look, 'first'));
    res.end(callback(look, 'second'));
  }),
  watched('end twice with data', (look, _req, res) => {
    res.end('x');
    look(outcome(() => res.end('y') === res));
  }),
  watched('write after end with a callback', (look, _req, res) => {
    res.end('x');
    look(outcome(() => res.write('y', callback(look, 'late'))));
  }),
  watched('write of undefined', (look, _req, res) => {
    look(outcome(() => res.write(undefined as unknown as string)));
    res.end('x');
  }),
  watched('end(null)', (_look, _req, res) => res.end(null as unknown as string)),
  watched('end(undefined)', (_look, _req, res) => res.end(undefined)),
  watched('a Uint8Array', (_look, _req, res) => res.end(new Uint8Array([120, 121]))),
  watched('a part of a buffer', (_look, _req, res) => res.end(Buffer.from('abcdef').subarray(2, 4))),
  watched('an unknown encoding', (look, _req, res) => {
    look(outcome(() => res.write('x', 'nonsense' as BufferEncoding)));
    if (!res.destroyed) res.destroy();
  }),
  watched('cork and uncork', (look, _req, res) => {
    res.cork();
    look(res.write('a'), res.writableCorked);
    res.write('b');
    res.uncork();
    look(res.writableCorked);
    res.end('c');
  }),
  watched('cork twice', (look, _req, res) => {
    res.cork();
    res.cork();
    res.write('a');
    res.uncork();
    look(res.writableCorked);
    res.uncork();
    look(res.writableCorked);
    res.end();
  }),
  ...(MISPLACES_CORKED
    ? []
    : [
        watched('cork and end', (look, _req, res) => {
          res.cork();
          res.write('a');
          res.end('b');
          look(res.writableCorked);
        }),
      ]),
  watched('uncork without cork', (look, _req, res) => {
    look(outcome(() => res.uncork()));
    res.end('x');
  }),
  watched('cork between writes', (_look, _req, res) => {
    res.write('a');
    setImmediate(() => {
      res.cork();
      res.write('b');
      res.write('c');
      res.uncork();
      res.end();
    });
  }),
  watched('writev of many', (_look, _req, res) => {
    for (let i = 0; i < 100; i++) res.write(`${i} `);
    res.end();
  }),
  watched('texts of every kind', (_look, _req, res) => {
    res.write('caf\xe9 ');
    res.write('caf\xe9 ', 'latin1');
    res.write('€ ');
    res.write('😀');
    res.end();
  }),
  watched('half of a surrogate pair', (_look, _req, res) => res.end('a\ud83d')),
  watched('as much as the Content-Length', (_look, _req, res) => {
    res.setHeader('Content-Length', 3);
    res.end('abc');
  }),
  watched('a source piped in', (_look, _req, res) => {
    Readable.from(['a', 'b']).pipe(res);
  }),
  watched('a source piped in and not ended', (look, _req, res) => {
    const source = Readable.from(['a']);
    source.pipe(res, { end: false });
    source.on('end', () => {
      look('source ended', res.writableEnded);
      res.end('b');
    });
  }),
  watched('pipeline', async (look, _req, res) => {
    look((await pipelined(Readable.from(['a', 'b']), res).catch(codeOf)) ?? 'done');
  }),
  watched('pipeline from a generator', async (look, _req, res) => {
    await pipelined(async function* () {
      yield 'a';
      yield 'b';
    }, res);
    look('done', res.writableFinished);
  }),
  watched('pipeline without ending', async (look, _req, res) => {
    await pipelined(Readable.from(['a']), res, { end: false });
    look('done', res.writableEnded);
    res.end('b');
  }),
  watched('pipeline whose source fails', (look, _req, res) => {
    const source = new Readable({
      read() {
        if (!this.readableDidRead) this.push('part');
        setTimeout(() => this.destroy(Object.assign(new Error('no'), { code: 'E_NO' })), 10);
      },
    });
    pipeline(source, res, (error) => look('pipeline', codeOf(error), res.destroyed));
  }),
  watched('pipeline whose signal is aborted', (look, _req, res) => {
    const controller = new AbortController();
    pipelined(new PassThrough(), res, { signal: controller.signal }).catch((error) => look(codeOf(error)));
    setImmediate(() => controller.abort());
  }),
  watched('a web stream piped in', async (look, _req, res) => {
    const result = await new Blob(['abc']).stream().pipeTo(Writable.toWeb(res)).catch(codeOf);
    look(result ?? 'done', res.writableEnded);
  }),
  watched('pipeline from a duplex', (_look, _req, res) => {
    pipeline(Duplex.from(Readable.from(['x', 'y'])), res, () => {});
  }),
  watched('finished(res)', (look, _req, res) => {
    finished(res, callback(look, 'finished'));
    res.end('x');
  }),
  watched('finished(res) after the end', (look, _req, res) => {
    res.end('x');
    res.on('finish', () => finished(res, callback(look, 'finished')));
  }),
  watched('finished(res) of an aborted response', (look, _req, res) => {
    finished(res, callback(look, 'finished'));
    res.write('x');
    setImmediate(() => res.destroy());
  }),
  watched('close long after the end', (look, _req, res) => {
    res.end('x');
    res.on('close', () => setImmediate(() => look(res.closed, res.destroyed, res.writable, res.errored)));
  }),
  watched('every call after close', (look, req, res) => {
    res.end('x');
    res.on('close', () =>
      setImmediate(() => {
        look(
          res.socket,
          res.connection,
          res.headersSent,
          res.finished,
          res.writableEnded,
          res.writableFinished,
          res.writableLength,
          res.writableNeedDrain,
          req.destroyed,
          req.complete,
          req.closed,
          req.socket === null,
        );
        look(
          outcome(() => res.destroy() === res),
          outcome(() => req.destroy() === req),
        );
        look(
          outcome(() => res.end() === res),
          outcome(() => res.setHeader('X-A', '1')),
        );
        look(
          outcome(() => res.flushHeaders()),
          outcome(() => res.cork()),
          outcome(() => res.uncork()),
        );
        look(outcome(() => res.setTimeout(0) === res));
      }),
    );
  }),
  watched('events of both sides for a response', (look, req, res) => {
    watch(look, 'req', req, REQ);
    res.end('x');
  }),
  watched(
    'events of both sides if the body is read',
    (look, req, res) => {
      watch(look, 'req', req, REQ);
      req.resume();
      req.on('end', () => res.end('x'));
    },
    { method: 'POST', body: ['a', 'b'] },
  ),
  watched(
    'a response before the whole body is not an abort',
    (look, req, res) => {
      watch(look, 'req', req, ['aborted', 'error']);
      res.end('x');
    },
    { method: 'POST', body: ['a', 'b'] },
  ),

  // aborting
  ...(['before the head', 'after the head', 'after a part'] as const).flatMap((when) =>
    (
      [
        ['res.destroy()', (_req, res) => res.destroy()],
        ['res.destroy(error)', (_req, res) => res.destroy(Object.assign(new Error('mine'), { code: 'E_MINE' }))],
        ['req.destroy()', (req) => req.destroy()],
        ['req.destroy(error)', (req) => req.destroy(Object.assign(new Error('mine'), { code: 'E_MINE' }))],
        ['req.socket.destroy()', (req) => req.socket.destroy()],
        [
          'res.socket.destroy(error)',
          (_req, res) => res.socket?.destroy(Object.assign(new Error('mine'), { code: 'E_MINE' })),
        ],
        ['req.socket.destroySoon()', (req) => req.socket.destroySoon()],
        ['req.socket.end()', (req) => req.socket.end()],
      ] as [string, (...args: Parameters<App>) => unknown][]
    ).map(([what, act]) =>
      watched(`${what} ${when}`, (look, req, res) => {
        watch(look, 'req', req, REQ, codeOf);
        if (when === 'after the head') res.flushHeaders();
        if (when === 'after a part') res.write('part');
        setTimeout(() => {
          act(req, res);
          look(req.destroyed, res.destroyed, res.writableEnded, res.headersSent);
        }, 10);
      }),
    ),
  ),
  watched('destroy at once', (look, _req, res) => {
    look(res.destroy() === res, res.destroyed, res.writable);
  }),
  watched('destroy twice', (look, _req, res) => {
    look(res.destroy() === res, res.destroy() === res);
  }),
  watched('destroy after end', (look, _req, res) => {
    res.on('finish', () => look('finish first'));
    res.end('x');
    res.on('finish', () => res.destroy());
  }),
  watched('write after destroy', (look, _req, res) => {
    res.destroy();
    look(outcome(() => res.write('x', callback(look, 'written'))));
  }),
  watched('end after destroy', (look, _req, res) => {
    res.destroy();
    look(outcome(() => res.end('x', callback(look, 'ended')) === res));
  }),
  watched('writeHead after destroy', (look, _req, res) => {
    res.destroy();
    look(
      outcome(() => res.writeHead(200) === res),
      res.headersSent,
    );
  }),
  watched('setHeader after destroy', (look, _req, res) => {
    res.destroy();
    look(outcome(() => res.setHeader('X-A', '1') === res));
  }),
  watched('a pipeline into a destroyed response', (look, _req, res) => {
    res.destroy();
    pipeline(Readable.from(['a']), res, callback(look, 'pipeline'));
  }),

  // timeouts
  watched('res.setTimeout with a listener', (look, _req, res) => {
    look(res.setTimeout(20, () => res.end('timed out')) === res);
  }),
  watched('req.setTimeout with a listener', (look, req, res) => {
    look(req.setTimeout(20, () => res.end('timed out')) === req);
  }),
  watched('socket.setTimeout with a listener', (look, req, res) => {
    look(req.socket.setTimeout(20, () => res.end('timed out')) === req.socket);
  }),
  watched('res.setTimeout(0) after res.setTimeout', (_look, _req, res) => {
    res.setTimeout(20);
    res.setTimeout(0);
    setTimeout(() => res.end('in time'), 60);
  }),
  watched('res.setTimeout without a listener', (look, req, res) => {
    watch(look, 'req', req, REQ, codeOf);
    res.setTimeout(20);
  }),
  watched(
    'on timeout of the request only',
    (look, req, res) => {
      req.on('timeout', () => {
        look('req timeout');
        res.end('x');
      });
      req.socket.setTimeout(20);
    },
    { method: 'POST', body: ['a'], declaredLength: 1 },
  ),

  // a client that disconnects
  ...(['before the head', 'after a part', 'while the body comes'] as const).map(
    (when): Case => ({
      name: `a client that goes ${when}`,
      request: ({ left }) => ({
        abort: left,
        ...(when === 'while the body comes' ? { method: 'POST', body: ['half'], declaredLength: 100 } : {}),
      }),
      app: (look, client) => (req, res) => {
        const flags = () => [
          req.destroyed,
          req.aborted,
          req.complete,
          res.destroyed,
          res.writableEnded,
          res.writableFinished,
        ];
        for (const event of REQ)
          req.on(event, (error) => look(`req ${event}`, event === 'error' ? codeOf(error) : '', ...flags()));
        for (const event of RES)
          res.on(event, (error) => look(`res ${event}`, event === 'error' ? codeOf(error) : '', ...flags()));
        if (when === 'while the body comes') req.once('data', () => client.leave());
        if (when === 'after a part') res.write('part');
        if (when !== 'while the body comes') leaveSoon(client);
      },
    }),
  ),
  {
    name: 'a client that disconnects while a pipeline runs',
    request: ({ left }) => ({ abort: left }),
    app: (look, client) => (_req, res) => {
      const source = new Readable({ read() {} });
      source.push('part');
      pipeline(source, res, (error) => look('pipeline', codeOf(error), source.destroyed));
      leaveSoon(client);
    },
  },
];
