/**
 * Libraries that replace methods of Node's classes before a gateway is loaded: restify, whose `writeHead` returns nothing,
 * and instrumentation loaded by `--import`. The application and the client must still see the same as on node:http.
 */
import { ServerResponse } from 'node:http';
import { describe, expect, test } from 'vitest';
import { httpBackend } from './backends/http-backend.ts';
import type { Case, Look } from './cases/case.ts';
import { observe } from './observe.ts';

let look: Look = () => {};

for (const name of ['writeHead', 'setHeader', 'write', 'end']) {
  const method: unknown = Reflect.get(ServerResponse.prototype, name);
  Object.defineProperty(ServerResponse.prototype, name, {
    configurable: true,
    writable: true,
    value(this: ServerResponse, ...args: unknown[]): unknown {
      look(name, args.length);
      if (name === 'writeHead') this.emit('header');
      const result = Reflect.apply(method as () => unknown, this, args);
      return name === 'writeHead' ? undefined : result;
    },
  });
}

const { cgiBackend } = await import('./backends/cgi-backend.ts');
const { fastcgiBackend } = await import('./backends/fastcgi-backend.ts');
const { scgiBackend } = await import('./backends/scgi-backend.ts');

function writing(name: string, write: (res: ServerResponse) => unknown): Case {
  return {
    name,
    app: (seen) => (_req, res) => {
      look = seen;
      res.on('header', () => {
        seen('header');
        if (res.statusCode === 204) res.removeHeader('X-A');
      });
      for (const event of ['prefinish', 'finish', 'close']) res.on(event, () => seen(event));
      return write(res);
    },
  };
}

const CASES: readonly Case[] = [
  writing('end', (res) => res.end()),
  writing('end(text)', (res) => res.end('x')),
  writing('setHeader and end(text)', (res) => res.setHeader('X-A', '1').setHeader('X-A', '2').end('x')),
  writing('writeHead and end', (res) => {
    res.writeHead(201, { 'X-A': '1' });
    res.end('x');
  }),
  writing('write and end', (res) => {
    res.write('a');
    setImmediate(() => res.end('b'));
  }),
  writing('a header that a listener removes', (res) => {
    res.setHeader('X-A', '1');
    res.setHeader('X-B', '1');
    res.statusCode = 204;
    res.end();
  }),
  writing('an application that throws', (res) => {
    res.setHeader('X-A', '1');
    throw new Error('thrown in the application');
  }),
];

describe.each([fastcgiBackend, scgiBackend, cgiBackend])('$name', (backend) => {
  test.each(CASES.map((each) => [each.name, each] as const))('%s: the same as on node:http', async (_name, each) => {
    const expected = await observe(httpBackend, each);
    const { seen, answer } = await observe(backend, each);
    const complete = backend.keepsConnections ? answer.complete : expected.answer.complete;
    expect({ seen, answer: { ...answer, complete } }).toEqual(expected);
    expect(seen).toContainEqual(['header']);
  });
});
