/** The contract of every server: the head of the response. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { interceptResponse } from '../../src/http/response/response-interceptor.ts';
import { applyFilter } from '../../src/protocol/filter.ts';
import type { App, Filter } from '../../src/protocol/types.ts';
import { httpBackend } from './backends/http-backend.ts';
import { describeBackends, headerOf } from './contract.ts';

/** The error codes of Node's own server, which runs first. */
const nodesCodes = new Map<string, unknown>();

/** A header that is set before the application is called, and one that is set as late as possible. */
const SETTING_FILTERS: Readonly<Record<string, Filter>> = {
  'before the application': (app) => (req, res) => {
    res.setHeader('X-Filter', '1');
    return app(req, res);
  },
  'with the head': (app) => (req, res) => {
    interceptResponse(res, { onHead: () => res.setHeader('X-Filter', '1') === res });
    return app(req, res);
  },
};

describeBackends(({ backend, ask }) => {
  describe('the head of the response', () => {
    describe.each(Object.entries(SETTING_FILTERS))('behind a filter that sets a header %s', (_when, filter) => {
      test.each<[string, unknown]>([
        ['a list', ['X-A', '1', 'Set-Cookie', 'a=1', 'Set-Cookie', 'b=2']],
        // Node accepts these, but does not document them.
        [
          'pairs',
          [
            ['X-A', '1'],
            ['Set-Cookie', 'a=1'],
            ['Set-Cookie', 'b=2'],
          ],
        ],
        [
          'pairs with lists of values',
          [
            ['X-A', '1'],
            ['Set-Cookie', ['a=1', 'b=2']],
          ],
        ],
      ])('writeHead accepts %s', async (_form, headers) => {
        const app = await applyFilter(filter, (_req, res) => res.writeHead(201, headers as never).end('x'));
        const response = await ask(app);
        expect(response.status).toBe(201);
        expect(headerOf(response, 'x-filter')).toBe('1');
        expect(headerOf(response, 'x-a')).toBe('1');
        expect(response.rawHeaders.filter((each) => /^[ab]=/.test(each))).toEqual(['a=1', 'b=2']);
      });
    });

    test('statusCode is sent', async () => {
      expect(
        (
          await ask((_req, res) => {
            res.statusCode = 418;
            res.end();
          })
        ).status,
      ).toBe(418);
    });

    test.each<[string, App, string[]]>([
      [
        'setHeader',
        (_req, res) => {
          res.setHeader('X-A', 'b');
          res.end('x');
        },
        ['X-A', 'b', 'Content-Length', '1'],
      ],
      [
        'writeHead sends an object of headers',
        (_req, res) => {
          res.writeHead(200, { 'X-A': 'b', 'x-n': 5 });
          res.end('x');
        },
        ['X-A', 'b', 'x-n', '5'],
      ],
      [
        'writeHead sends a list of headers',
        (_req, res) => {
          res.writeHead(200, ['X-A', 'b', 'X-C', 'd']);
          res.end('x');
        },
        ['X-A', 'b', 'X-C', 'd'],
      ],
      [
        'writeHead accepts a reason before the headers',
        (_req, res) => {
          res.writeHead(200, 'Fine', { 'X-A': 'b' });
          res.end('x');
        },
        ['X-A', 'b'],
      ],
      [
        'writeHead overrides setHeader',
        (_req, res) => {
          res.setHeader('X-A', '1');
          res.setHeader('X-B', '2');
          res.writeHead(200, { 'X-A': '3' });
          res.end();
        },
        ['X-A', '3', 'X-B', '2'],
      ],
      [
        'appendHeader',
        (_req, res) => {
          res.appendHeader('X-A', '1');
          res.appendHeader('X-A', '2');
          res.end();
        },
        ['X-A', '1', 'X-A', '2', 'Content-Length', '0'],
      ],
      [
        'several cookies are sent',
        (_req, res) => {
          res.setHeader('Set-Cookie', ['a=1', 'b=2']);
          res.end();
        },
        ['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2', 'Content-Length', '0'],
      ],
      [
        'removeHeader',
        (_req, res) => {
          res.setHeader('X-A', '1');
          res.removeHeader('x-a');
          res.end();
        },
        ['Content-Length', '0'],
      ],
      [
        'a removed Content-Length is not sent',
        (_req, res) => {
          res.removeHeader('Content-Length');
          res.end('x');
        },
        [],
      ],
      [
        'Content-Length counts bytes of UTF-8',
        (_req, res) => {
          res.end('€');
        },
        ['Content-Length', '3'],
      ],
      [
        'a given Content-Length is kept',
        (_req, res) => {
          res.setHeader('Content-Length', '2');
          res.write('o');
          res.end('k');
        },
        ['Content-Length', '2'],
      ],
      [
        'a stream has no Content-Length',
        (_req, res) => {
          res.write('a');
          res.end('b');
        },
        [],
      ],
      [
        'setHeaders',
        (_req, res) => {
          res.setHeaders(new Map([['X-A', '1']]));
          res.end();
        },
        ['x-a', '1', 'Content-Length', '0'],
      ],
    ])('%s', async (_name, app, expected) => {
      const answer = await ask(app);
      expect(answer.status).toBe(200);
      const lower = (list: readonly string[]) => list.map((each, i) => (i % 2 === 0 ? each.toLowerCase() : each));
      expect(lower(answer.rawHeaders)).toEqual(lower(expected));
    });

    test.each<[string, App, number]>([
      [
        'HEAD',
        (_req, res) => {
          res.setHeader('Content-Length', '5');
          res.end('hello');
        },
        200,
      ],
      [
        '204',
        (_req, res) => {
          res.statusCode = 204;
          res.end('hello');
        },
        204,
      ],
      [
        '304',
        (_req, res) => {
          res.writeHead(304, { ETag: '"a"' });
          res.end('hello');
        },
        304,
      ],
    ])('%s has no body', async (name, app, status) => {
      const answer = await ask(app, { method: name === 'HEAD' ? 'HEAD' : 'GET' });
      expect([answer.status, answer.body.length, answer.complete]).toEqual([status, 0, true]);
      if (name === 'HEAD') expect(headerOf(answer, 'content-length')).toBe('5');
      else expect(headerOf(answer, 'content-length')).toBeUndefined();
    });

    test.each<[string, App]>([
      [
        'a line break in a value',
        (_req, res) => {
          res.setHeader('X-A', 'a\r\nSet-Cookie: x');
        },
      ],
      [
        'a line break in a value given to writeHead',
        (_req, res) => {
          res.writeHead(200, { 'X-A': 'a\nb' });
        },
      ],
      [
        'a space in a name',
        (_req, res) => {
          res.setHeader('X A', 'a');
        },
      ],
      [
        'a space in a name given to writeHead',
        (_req, res) => {
          res.writeHead(200, { 'X A': 'a' });
        },
      ],
      [
        'a line break in the reason',
        (_req, res) => {
          res.writeHead(200, 'a\r\nb');
        },
      ],
      [
        'undefined as a value',
        (_req, res) => {
          res.setHeader('X-A', undefined as unknown as string);
        },
      ],
      [
        'status 99',
        (_req, res) => {
          res.writeHead(99);
        },
      ],
      [
        'status 1000',
        (_req, res) => {
          res.writeHead(1000);
        },
      ],
      [
        'setHeader after the head',
        (_req, res) => {
          res.flushHeaders();
          res.setHeader('X-A', '1');
        },
      ],
      [
        'writeHead twice',
        (_req, res) => {
          res.writeHead(200);
          res.writeHead(200);
        },
      ],
      [
        'removeHeader after the head',
        (_req, res) => {
          res.flushHeaders();
          res.removeHeader('X-A');
        },
      ],
      [
        'write of a number',
        (_req, res) => {
          res.write(5 as unknown as string);
        },
      ],
      [
        'write of null',
        (_req, res) => {
          res.write(null as unknown as string);
        },
      ],
      [
        'end of an object',
        (_req, res) => {
          res.end({} as unknown as string);
        },
      ],
    ])('%s is refused with Node’s error code', async (name, app) => {
      let code: unknown;
      const answer = await ask((req, res) => {
        try {
          app(req, res);
        } catch (error) {
          code = (error as NodeJS.ErrnoException).code;
          res.statusMessage = '';
        }
        if (!res.writableEnded) res.end('after');
      });
      expect(answer.body.toString()).toBe('after');
      if (backend === httpBackend) nodesCodes.set(name, code);
      else expect(code).toBe(nodesCodes.get(name));
      expect(code).toMatch(/^ERR_/);
    });

    test('headersSent, writableEnded and the other flags are like Node’s', async () => {
      const flags: unknown[] = [];
      await ask((_req, res) => {
        const look = () =>
          flags.push([
            res.headersSent,
            res.writableEnded,
            res.writableFinished,
            res.destroyed,
            res.finished,
            res.socket === null,
          ]);
        look();
        res.write('x');
        look();
        res.end();
        look();
        res.on('finish', look);
        res.on('close', look);
      });
      await nextTurn();
      expect(flags).toEqual([
        [false, false, false, false, false, false],
        [true, false, false, false, false, false],
        [true, true, expect.any(Boolean), false, true, false],
        [true, true, true, false, true, true],
        [true, true, true, true, true, true],
      ]);
    });

    test('a latin-1 header is sent before a body of bytes', async () => {
      const answer = await ask((_req, res) => {
        res.setHeader('X-A', 'caf\xe9');
        res.write(Buffer.from('x'));
        res.end();
      });
      expect(headerOf(answer, 'x-a')).toBe('caf\xe9');
    });

    test('interim responses are accepted', async () => {
      let calls = 0;
      const answer = await ask((_req, res) => {
        res.writeContinue(() => calls++);
        res.writeProcessing();
        res.writeEarlyHints({ link: '</a.css>; rel=preload' }, () => calls++);
        setTimeout(() => res.end('ok'), 10);
      });
      expect([answer.status, answer.body.toString(), calls]).toEqual([200, 'ok', 2]);
    });

    // node:http sends it, and its client waits for another response.
    test.skipIf(backend === httpBackend)(
      'a final status below 200 is refused, and leaves the response usable',
      async () => {
        let code: unknown;
        let message: unknown;
        const answer = await ask((_req, res) => {
          try {
            res.writeHead(102);
          } catch (error) {
            code = (error as NodeJS.ErrnoException).code;
          }
          res.end('ok');
          message = res.statusMessage;
        });
        expect([code, answer.status, message, answer.body.toString()]).toEqual([
          'ERR_HTTP_INVALID_STATUS_CODE',
          200,
          'OK',
          'ok',
        ]);
      },
    );

    test('a body may follow some time after flushHeaders', async () => {
      let release = (): void => {};
      const gate = new Promise<void>((resolve) => {
        release = resolve;
      });
      const answer = await ask((_req, res) => {
        res.flushHeaders();
        gate.then(() => res.end('later'));
        setTimeout(release, 10);
      });
      expect(answer.body.toString()).toBe('later');
    });

    test('trailers are accepted, and are not part of the body', async () => {
      const answer = await ask((_req, res) => {
        res.write('x');
        res.addTrailers({ 'X-T': '1' });
        res.end();
      });
      expect(answer.body.toString()).toBe('x');
    });
  });
});
