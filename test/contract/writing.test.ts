/** The contract of every server: writing the response, and what aborts it. */
import { pipeline, Readable } from 'node:stream';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { App } from '../../src/protocol/types.ts';
import { eventually } from '../helpers/programs/program.ts';
import { signal } from '../helpers/programs/signal.ts';
import { describeBackends, headerOf, readBody } from './contract.ts';

describeBackends(({ backend, ask, start, log }) => {
  describe('writing', () => {
    test('emits events in Node’s order', async () => {
      const events: string[] = [];
      await ask((req, res) => {
        for (const name of ['prefinish', 'finish', 'close', 'error']) res.on(name, () => events.push(`res ${name}`));
        for (const name of ['end', 'close', 'error', 'aborted']) req.on(name, () => events.push(`req ${name}`));
        req.resume();
        req.on('end', () => {
          res.write('a', () => events.push('written'));
          res.end('b', () => events.push('ended'));
        });
      });
      await eventually(() => events.includes('res close') && events.includes('req close'));
      const isOfRequest = (event: string) => event.startsWith('req ');
      expect(events.filter((event) => !isOfRequest(event))).toEqual([
        'res prefinish',
        'written',
        'res finish',
        'ended',
        'res close',
      ]);
      // Only HTTP/2 closes the request before the response.
      expect(events.filter(isOfRequest)).toEqual(['req end', 'req close']);
    });

    test('closes req and res even if the request is not read', async () => {
      const events: string[] = [];
      await ask((req, res) => {
        req.on('close', () => events.push('req'));
        res.on('close', () => events.push('res'));
        res.end();
      });
      await eventually(() => events.length === 2);
      expect(events.sort()).toEqual(['req', 'res']);
    });

    test.each([1, 100, 16_384, 65_535, 65_536, 66_000, 1_000_000])('sends %d bytes in one chunk', async (size) => {
      const answer = await ask((_req, res) => {
        res.end(Buffer.alloc(size, 'y'));
      });
      expect([answer.body.length, answer.complete]).toEqual([size, true]);
    });

    test.each([70_000, 1_000_000])('sends %d characters in one chunk', async (size) => {
      const answer = await ask((_req, res) => {
        res.end('€'.repeat(size));
      });
      expect(answer.body.equals(Buffer.from('€'.repeat(size)))).toBe(true);
    });

    test.each<[BufferEncoding, string, string]>([
      ['hex', '616263', 'abc'],
      ['base64', 'YWJj', 'abc'],
      ['latin1', 'abc', 'abc'],
      ['utf16le', 'a', 'a\0'],
    ])('encodes %s', async (encoding, text, expected) => {
      expect(
        (
          await ask((_req, res) => {
            res.end(text, encoding);
          })
        ).body.toString(),
      ).toBe(expected);
    });

    test('sends corked chunks', async () => {
      const answer = await ask((_req, res) => {
        res.cork();
        res.write('a');
        res.write(Buffer.from('b'));
        res.uncork();
        res.end('c');
      });
      expect(answer.body.toString()).toBe('abc');
    });

    test('has backpressure: write returns false, drain follows, nothing is lost', async () => {
      let falses = 0;
      const answer = await ask(
        async (_req, res) => {
          for (let i = 0; i < 100; i++) {
            if (!res.write(Buffer.alloc(40_000, 65 + (i % 26)))) {
              falses++;
              await new Promise((resolve) => res.once('drain', resolve));
            }
          }
          res.end();
        },
        { readAfter: sleep(30) },
      );
      expect(answer.body.length).toBe(4_000_000);
      expect(falses).toBeGreaterThan(0);
    });

    test('drains after many small writes in one turn too', async () => {
      const answer = await ask(async (_req, res) => {
        let open = true;
        for (let i = 0; i < 2000; i++) open = res.write('0123456789012345678901234567890123456789') && open;
        if (!open) await new Promise((resolve) => res.once('drain', resolve));
        res.end(`!${res.writableNeedDrain}`);
      });
      expect(answer.body.length).toBe(80_000 + 6);
    });

    test('lets two pipelines write one response, one after the other', async () => {
      const big = () => Readable.from(Array.from({ length: 40 }, () => Buffer.alloc(20_000, 'z')));
      const answer = await ask((_req, res) => {
        const first = big();
        first.pipe(res, { end: false });
        first.on('end', () => big().pipe(res));
      });
      expect(answer.body.length).toBe(1_600_000);
    });

    test('works with stream.pipeline', async () => {
      let error: unknown = 'never';
      const answer = await ask((_req, res) => {
        pipeline(Readable.from(['a', 'b']), res, (e) => {
          error = e;
        });
      });
      await nextTurn();
      expect([answer.body.toString(), error ?? null]).toEqual(['ab', null]);
    });

    test('emits an error for a write after the end', async () => {
      let code: string | undefined;
      const answer = await ask((_req, res) => {
        res.on('error', (e: NodeJS.ErrnoException) => {
          code = e.code;
        });
        res.end('x');
        res.write('y');
      });
      await nextTurn();
      expect([answer.body.toString(), code]).toEqual(['x', 'ERR_STREAM_WRITE_AFTER_END']);
    });

    test('reports a second end to its callback', async () => {
      let code: string | undefined;
      const answer = await ask((_req, res) => {
        res.end('x');
        res.on('finish', () =>
          res.end((e?: NodeJS.ErrnoException) => {
            code = e?.code;
          }),
        );
      });
      await expect.poll(() => code).toBe('ERR_STREAM_ALREADY_FINISHED');
      expect(answer.body.toString()).toBe('x');
    });

    test('enforces strictContentLength', async () => {
      let code: unknown;
      await ask((_req, res) => {
        res.strictContentLength = true;
        res.setHeader('Content-Length', '5');
        try {
          res.end('x');
        } catch (e) {
          code = (e as NodeJS.ErrnoException).code;
        }
        res.destroy();
      });
      expect(code).toBe('ERR_HTTP_CONTENT_LENGTH_MISMATCH');
    });
  });

  test(`requests in turn, over ${backend.keepsConnections ? 'one connection' : 'a connection each'}`, async () => {
    const serving = await start(async (req, res) => res.end(`${req.url} ${await readBody(req)}`));
    const answers = await serving.inTurn([
      { path: '/1' },
      { path: '/2', method: 'POST', body: ['two'] },
      { path: '/3', method: 'POST', body: [] },
      { path: '/4' },
    ]);
    expect(answers.map((answer) => answer.body.toString())).toEqual(['/1 ', '/2 two', '/3 ', '/4 ']);
    expect(answers.every((answer) => answer.complete)).toBe(true);
  });

  describe('aborting', () => {
    test.each<[string, App, number]>([
      [
        'res.destroy() before the head',
        (_req, res) => {
          res.destroy();
        },
        0,
      ],
      [
        'res.destroy() after the head',
        (_req, res) => {
          res.write('x');
          setTimeout(() => res.destroy(), 10);
        },
        200,
      ],
      [
        'req.destroy()',
        (req) => {
          req.destroy();
        },
        0,
      ],
      [
        'req.socket.destroy()',
        (req) => {
          req.socket.destroy();
        },
        0,
      ],
    ])('%s aborts the response', async (_name, app, status) => {
      const events: string[] = [];
      const answer = await ask((req, res) => {
        req.on('error', () => {});
        req.on('close', () => events.push('req close'));
        res.on('close', () => events.push(`res close ${res.writableFinished} ${res.destroyed}`));
        app(req, res);
      });
      await eventually(() => events.length >= 2);
      expect([answer.status, answer.complete]).toEqual([status, false]);
      expect(events.sort()).toEqual(['req close', 'res close false true']);
    });

    test('a client that disconnects closes req and res', async () => {
      const events: string[] = [];
      const leaving = signal();
      await ask(
        (req, res) => {
          req.on('aborted', () => events.push('req aborted'));
          req.on('error', (e: NodeJS.ErrnoException) => events.push(`req ${e.code}`));
          req.on('close', () => events.push(`req close ${req.destroyed}`));
          res.on('finish', () => events.push('finish'));
          res.on('close', () => events.push(`res close ${res.writableFinished}`));
          res.write('x');
          setTimeout(leaving.fire, 10);
        },
        { abort: leaving.fired },
      );
      await eventually(() => events.length >= 4);
      expect(events).toEqual(['req aborted', 'res close false', 'req ECONNRESET', 'req close true']);
    });

    test('writing to a client that has left does no harm', async () => {
      const leaving = signal();
      let result: unknown;
      await ask(
        (_req, res) => {
          res.on('close', () => {
            result = [res.write('y'), res.destroyed];
            res.end('z');
          });
          res.write('x');
          setTimeout(leaving.fire, 5);
        },
        { abort: leaving.fired },
      );
      await eventually(() => result !== undefined);
      expect(result).toEqual([false, true]);
    });

    test.each<[string, App]>([
      [
        'throws',
        () => {
          throw new Error('thrown in the application');
        },
      ],
      [
        'rejects',
        async () => {
          await nextTurn();
          throw new Error('thrown in the application');
        },
      ],
      [
        'has set an invalid reason and rejects',
        async (_req, res) => {
          res.statusMessage = 'two\r\nlines';
          await nextTurn();
          throw new Error('thrown in the application');
        },
      ],
    ])('an application that %s responds 500', async (_name, app) => {
      const answer = await ask((req, res) => {
        res.setHeader('X-Left', 'over');
        return app(req, res);
      });
      expect([answer.status, answer.complete, headerOf(answer, 'x-left')]).toEqual([500, true, undefined]);
      expect(answer.body.toString()).not.toContain('thrown');
      expect(log()).toContain('thrown in the application');
    });

    test('an application that throws in the middle aborts its response', async () => {
      const answer = await ask(async (_req, res) => {
        res.write('part');
        await sleep(10);
        throw new Error('late');
      });
      expect([answer.status, answer.complete]).toEqual([200, false]);
    });

    test('a source that fails in a pipeline aborts the response', async () => {
      const answer = await ask((_req, res) => {
        const source = Readable.from(
          (async function* () {
            yield 'part';
            await sleep(10);
            throw new Error('source');
          })(),
        );
        pipeline(source, res, () => {});
      });
      expect(answer.complete).toBe(false);
    });

    test('setTimeout closes an idle connection', async () => {
      const answer = await ask((_req, res) => {
        res.setTimeout(20);
      });
      expect(answer.complete).toBe(false);
    });

    test('setTimeout with a listener does not', async () => {
      const answer = await ask((_req, res) => {
        res.setTimeout(20, () => res.end('timed out'));
      });
      expect(answer.body.toString()).toBe('timed out');
    });
  });
});
