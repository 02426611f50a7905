/** The cascade: which application responds, that the others leave no trace, and bodies that several applications read. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, request as requestHttp } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import express from 'express';
import fastify from 'fastify';
import { Hono } from 'hono';
import Koa from 'koa';
import { afterEach, describe, expect, test } from 'vitest';
import { type CascadeOptions, cascade, cascadeSettings, makeCascade } from '../../src/apps/cascade/cascade.ts';
import type { Loader } from '../../src/deploy/compose.ts';
import type { AppLike } from '../../src/protocol/app.ts';
import type { App, Settings } from '../../src/protocol/types.ts';
import type { ContractRequest, ContractResponse, Serving } from '../contract/backends/backend.ts';
import { fastcgiBackend } from '../contract/backends/fastcgi-backend.ts';
import { httpBackend } from '../contract/backends/http-backend.ts';
import { http2Backend } from '../contract/backends/http2-backend.ts';
import { eventually } from '../helpers/programs/program.ts';
import { signal } from '../helpers/programs/signal.ts';

async function textOf(req: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of req) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}

const missing: App = (_req, res) => {
  res.setHeader('X-Dropped', 'yes');
  res.setHeader('Set-Cookie', 'a=b');
  res.writeHead(404, 'Nowhere', { 'X-Dropped-Too': 'yes' });
  res.write('not ');
  res.end('here');
};

function headerOf({ rawHeaders }: ContractResponse, name: string): string | undefined {
  const index = rawHeaders.findIndex((each, i) => i % 2 === 0 && each.toLowerCase() === name);
  return index === -1 ? undefined : rawHeaders[index + 1];
}

describe.each([httpBackend, http2Backend, fastcgiBackend])('over $name', (backend) => {
  let serving: Serving | undefined;
  afterEach(async () => {
    await serving?.close();
    serving = undefined;
  });

  async function ask(apps: AppLike[], request?: ContractRequest, options?: CascadeOptions): Promise<ContractResponse> {
    const app = await cascade(apps, options);
    await app.ready?.();
    serving = await backend.start(app);
    return serving.request(request);
  }

  test('the first application whose status is not 404 responds, without anything from those before it', async () => {
    let isThirdCalled = false;
    const third: App = () => {
      isThirdCalled = true;
    };
    const answer = await ask([missing, (_req, res) => res.end('second'), third]);
    expect(isThirdCalled).toBe(false);
    expect(answer).toMatchObject({ status: 200, complete: true });
    expect(answer.body.toString()).toBe('second');
    expect(answer.rawHeaders.join()).not.toMatch(/dropped|cookie/i);
  });

  test('the response of the last application is sent, even if it is a 404', async () => {
    const answer = await ask([(_req, res) => res.writeHead(404).end('first'), missing]);
    expect(answer.status).toBe(404);
    expect(answer.body.toString()).toBe('not here');
    expect(headerOf(answer, 'x-dropped-too')).toBe('yes');
  });

  test('headers set by the responding application and by filters in front of the cascade are sent', async () => {
    const states: unknown[] = [];
    const inner = await cascade([
      missing,
      (_req, res) => {
        res.setHeader('X-Own', ['1', '2']);
        res.removeHeader('X-Unwanted');
        res.statusMessage = 'Fine';
        res.writeHead(201, { 'X-Late': String(res.getHeader('x-filter')) });
        states.push(res.headersSent);
        try {
          res.setHeader('X-Too-Late', '1');
        } catch (error) {
          states.push(String(error));
        }
        res.end('ok');
        states.push(res.writableEnded);
      },
      missing,
    ]);
    const answer = await ask([
      (req, res) => {
        res.setHeader('X-Filter', 'there');
        res.setHeader('X-Unwanted', '1');
        return inner(req, res);
      },
    ]);
    expect(states).toEqual([true, expect.stringMatching(/headers/i), true]);
    expect(answer.status).toBe(201);
    const headers = answer.rawHeaders.join().toLowerCase();
    expect(headers).toContain('x-own,1,x-own,2');
    expect(headers).toContain('x-filter,there');
    expect(headers).toContain('x-late,there');
    expect(headers).not.toMatch(/x-unwanted|x-too-late|dropped/);
  });

  test('each application reads the body from its start, however much the previous one has read', async () => {
    const body = ['abc', 'def', 'g'.repeat(10)];
    const seen: string[] = [];
    const reads: App = async (req, res) => {
      seen.push(await textOf(req));
      res.writeHead(404).end();
    };
    const readsOnePiece: App = (req, res) => {
      req.once('data', (piece: Buffer) => {
        seen.push(piece.toString().slice(0, 3));
        res.writeHead(404).end();
      });
    };
    const answer = await ask([reads, readsOnePiece, missing, async (req, res) => res.end(await textOf(req))], {
      method: 'POST',
      body,
    });
    expect(answer.body.toString()).toBe(body.join(''));
    expect(seen).toEqual([body.join(''), 'abc']);
  });

  test('a body of several megabytes can be read by one application after the other', async () => {
    const body = Array.from({ length: 64 }, (_, i) => Buffer.alloc(50_000, i));
    const hash = createHash('sha1').update(Buffer.concat(body)).digest('hex');
    const hashes: App = async (req, res) => {
      const own = createHash('sha1');
      for await (const piece of req) own.update(piece);
      res.writeHead(req.url === '/last' ? 404 : 200).end(own.digest('hex'));
    };
    const answer = await ask([hashes, hashes, hashes], { method: 'PUT', path: '/last', body });
    expect(answer).toMatchObject({ status: 404, complete: true });
    expect(answer.body.toString()).toBe(hash);
  });

  test('a body above the limit is refused, because of its Content-Length or as soon as too much has arrived', async () => {
    const reads: App = async (req, res) => {
      await textOf(req).catch(() => {});
      res.writeHead(404).end();
    };
    let asked = 0;
    const last: App = (_req, res) => {
      asked++;
      res.end('last');
    };
    const body = ['x'.repeat(600), 'x'.repeat(600)];
    const options = { maxSpoolSize: 1000 };
    for (const declaredLength of [1200, undefined]) {
      const answer = await ask(
        [reads, last],
        { method: 'POST', body, ...(declaredLength && { declaredLength }) },
        options,
      );
      expect(answer).toMatchObject({ status: 413, complete: true });
      await serving?.close();
    }
    expect(asked).toBe(0);
    const kept = await ask([reads, last], { method: 'POST', body: ['x'.repeat(1000)] }, options);
    expect(kept.body.toString()).toBe('last');
  });

  test('the limit does not apply to a body that is not kept', async () => {
    const body = ['x'.repeat(600), 'x'.repeat(600)];
    const length: App = async (req, res) => void res.end(String((await textOf(req)).length));
    const streams: App = (req, res) => {
      res.writeHead(200);
      req.pipe(res);
    };
    const options = { maxSpoolSize: 1000 };
    const unread = await ask([missing, length], { method: 'POST', body }, options);
    expect(unread.body.toString()).toBe('1200');
    await serving?.close();
    const passed = await ask([streams, missing], { method: 'POST', body }, options);
    expect(passed.body.length).toBe(1200);
  });

  test('a response is streamed while the body still arrives', async () => {
    const answer = await ask(
      [
        missing,
        async (req, res) => {
          res.write('<');
          for await (const piece of req) res.write(piece);
          res.end('>');
        },
        missing,
      ],
      { method: 'POST', body: ['one', 'two', 'three'] },
    );
    expect(answer.body.toString()).toBe('<onetwothree>');
  });

  test('one connection carries several requests, whether or not their bodies are read', async () => {
    const app = await cascade([missing, async (req, res) => res.end(req.url === '/r' ? await textOf(req) : 'unread')]);
    serving = await backend.start(app);
    const post = (path: string): ContractRequest => ({ method: 'POST', path, body: ['x'.repeat(100_000), 'y'] });
    const answers = await serving.inTurn([post('/r'), post('/u'), post('/r'), { path: '/u' }]);
    expect(answers.map(({ body }) => body.length)).toEqual([100_001, 6, 100_001, 6]);
  });

  test('an error responds with 500, unless the cascade catches 500 or the status of the error', async () => {
    const fails: App = () => {
      throw new Error('broken');
    };
    const notFound: App = async () => Promise.reject(Object.assign(new Error('no such thing'), { status: 404 }));
    const last: App = (_req, res) => res.end('last');
    expect((await ask([fails, last])).status).toBe(500);
    await serving?.close();
    expect((await ask([fails, last], {}, { catch: [404, 500] })).body.toString()).toBe('last');
    await serving?.close();
    expect((await ask([notFound, last])).body.toString()).toBe('last');
  });

  test('an error after the head aborts the response', async () => {
    const answer = await ask([
      async (_req, res) => {
        res.writeHead(200, { 'Content-Length': 10 }).write('half');
        await sleep(20);
        throw new Error('broken');
      },
      missing,
    ]);
    expect(answer).toMatchObject({ complete: false });
  });

  test('HEAD, 204 and 304 have no body', async () => {
    const app: App = (req, res) => {
      res.statusCode = Number(req.url?.slice(1));
      res.end(req.method === 'HEAD' || res.statusCode !== 200 ? undefined : 'body');
    };
    const whole = await cascade([missing, app, missing]);
    serving = await backend.start(whole);
    const answers = await serving.inTurn([{ path: '/204' }, { path: '/304' }, { method: 'HEAD', path: '/200' }]);
    expect(answers.map(({ status, body }) => [status, body.length])).toEqual([
      [204, 0],
      [304, 0],
      [200, 0],
    ]);
  });

  test('the application that is running notices that the client left, and the next one is not called', async () => {
    const events: string[] = [];
    const begun = signal();
    await ask(
      [
        missing,
        (req, res) => {
          req.resume().on('close', () => events.push('req close'));
          res.on('close', () => events.push(`res close ${res.destroyed} ${res.writableFinished}`));
          req.on('end', () => res.write('x', begun.fire));
        },
        () => void events.push('the next application is called'),
      ],
      { method: 'POST', body: ['a'], abort: begun.fired },
    );
    await eventually(() => events.length >= 2);
    expect(events).toEqual(['req close', 'res close true false']);
  });

  test('an incomplete body is an error for the application that reads it', async () => {
    const events: string[] = [];
    const begun = signal();
    await ask(
      [
        (req, res) => {
          req.once('data', begun.fire);
          for (const name of ['aborted', 'end']) req.on(name, () => events.push(name));
          req.on('error', (error: NodeJS.ErrnoException) => events.push(`${error.code}`));
          req.on('close', () => events.push(`close ${req.complete}`));
          req.resume();
          res.write('x');
        },
        () => void events.push('the next application is called'),
      ],
      { method: 'POST', body: ['a'], declaredLength: 100, abort: begun.fired },
    );
    await eventually(() => events.length >= 3);
    expect(events).toEqual(['aborted', 'ECONNRESET', 'close false']);
  });

  test('works with applications of frameworks: catches each 404, sends each response completely', async () => {
    const inExpress = express().post('/express', express.json(), (req, res) => void res.json(req.body));
    const inKoa = new Koa().use(async (ctx) => {
      if (ctx.path === '/koa') ctx.body = `koa ${await textOf(ctx.req)}`;
    });
    const inFastify = fastify();
    inFastify.post('/fastify', async ({ body }) => ({ body }));
    const inHono = new Hono().post('/hono', async (c) => c.text(`hono ${await c.req.text()}`));
    const app = await cascade([inExpress, inKoa, inFastify, inHono, missing]);
    await app.ready?.();
    serving = await backend.start(app);
    const post = (path: string): ContractRequest => ({
      method: 'POST',
      path,
      headers: { 'Content-Type': 'application/json' },
      body: ['{"a":1}'],
    });
    const answers = await serving.inTurn(['/express', '/koa', '/fastify', '/hono', '/none'].map(post));
    expect(answers.map(({ body }) => body.toString())).toEqual([
      '{"a":1}',
      'koa {"a":1}',
      '{"body":{"a":1}}',
      'hono {"a":1}',
      'not here',
    ]);
    expect(serving.log).toEqual([]);
  });
});

test('applications are called in the order of their keys as text, as in Paste', async () => {
  const asked: string[] = [];
  const loader = {
    getApp: async (name: string): Promise<App> => {
      const app: App = (_req, res) => {
        asked.push(name);
        res.writeHead(404).end();
      };
      return app;
    },
  } as unknown as Loader;
  const result = cascadeSettings['~standard'].validate({ app2: 'two', app10: 'ten', app1: 'one' });
  if (!('value' in result)) throw new Error('it is valid');
  const serving = await httpBackend.start(await makeCascade(loader, {}, result.value));
  expect((await serving.request()).status).toBe(404);
  await serving.close();
  expect(asked).toEqual(['one', 'ten', 'two']);
});

test.each([
  [{ app1: 'a', catch: '404 foo' }, /"foo" is not a status/],
  [{ app1: 'a', other: 'b' }, /unknown setting "other"/],
])('%j is an error', (section, message) => {
  const result = cascadeSettings['~standard'].validate(section as Settings);
  expect('issues' in result && result.issues.map((issue) => issue.message).join()).toMatch(message);
});

test('a cascade without applications is an error', async () => {
  await expect(cascade([])).rejects.toThrow(/names no application/);
});

describe('upgrades', () => {
  async function upgrade(apps: AppLike[]): Promise<string> {
    const app = await cascade(apps);
    await app.ready?.();
    const server = createServer(app).on('upgrade', (req, socket, head) => app.upgrade?.(req, socket, head));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const headers = { Connection: 'upgrade', Upgrade: 'test' };
    const answer = await new Promise<string>((resolve, reject) => {
      const client = requestHttp({ host: '127.0.0.1', port, headers, agent: false });
      client.on('error', reject).end();
      client.on('response', async (response) => resolve(`${response.statusCode} ${await textOf(response)}`));
      client.on('upgrade', (_response, socket) => {
        socket.once('data', (bytes) => {
          socket.destroy();
          resolve(`101 ${bytes}`);
        });
        socket.write('hello');
      });
    });
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    return answer;
  }

  /** Refuses with a status, or echoes. */
  function upgrading(status?: number): App {
    const app: App = (_req, res) => res.writeHead(500).end();
    app.upgrade = (_req, socket) => {
      if (status !== undefined) return socket.end(`HTTP/1.1 ${status} No\r\nConnection: close\r\n\r\nrefused`);
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: test\r\n\r\n');
      return socket.pipe(socket);
    };
    return app;
  }

  test('go to the first application that accepts them', async () => {
    expect(await upgrade([missing, upgrading(), upgrading(403)])).toBe('101 hello');
  });

  test('go to the next application if one refuses them with a caught status', async () => {
    expect(await upgrade([upgrading(404), upgrading(), upgrading(403)])).toBe('101 hello');
    expect(await upgrade([upgrading(403), upgrading()])).toBe('403 refused');
    expect(await upgrade([upgrading(404), upgrading(404)])).toBe('404 refused');
  });

  test('pass through nested cascades', async () => {
    const inner = await cascade([upgrading(404), upgrading(404)]);
    expect(await upgrade([inner, upgrading()])).toBe('101 hello');
    expect(await upgrade([inner, inner, upgrading(404), upgrading(403)])).toBe('403 refused');
    expect(await upgrade([await cascade([upgrading(404), upgrading()]), upgrading(403)])).toBe('101 hello');
  });

  test('go to the next application if one does not accept upgrades', async () => {
    const plain = fastify();
    expect(await upgrade([plain, upgrading()])).toBe('101 hello');
  });
});
