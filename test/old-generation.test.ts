/**
 * V8 allocates a function in the old generation if its expression is assigned directly to a property: `res.end = () => {}`. Until
 * the next full collection the function keeps alive everything that it refers to, such as the request. V8 then allocates other
 * objects of each request there too, which made requests to a cascade cost half as much again.
 */
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { getHeapSpaceStatistics } from 'node:v8';
import { parseAst } from 'rolldown/parseAst';
import { expect, test } from 'vitest';
import { cascade } from '../src/apps/cascade/cascade.ts';
import type { App } from '../src/protocol/types.ts';
import { collectGarbage } from './helpers/heap.ts';
import { ROOT } from './helpers/programs/program.ts';

/** Properties of applications: each is assigned once per application. */
const HOOKS = /\.(?:ready|drain|close|upgrade|check)$/;

/** Assignments that run once per process, server, framework or command. */
const NOT_PER_REQUEST = [
  /^(?:commands|process)\//,
  /^deploy\/(?:background\/|instrumentation\.ts|modules\/)/,
  /^deploy\/programs\/(?:children\/|hide-channel\.ts|listening\/|stop-signals\.ts)/,
  /^deploy\/programs\/program\.ts stream\.write$/,
  /^apps\/cascade\/tentative-response\.ts methods\[name\]$/,
  /^metrics\/count-by-section\.ts wrapped\[name\]$/,
  /^net\/listener\.ts server\.address$/,
  // Tests of Node's private interfaces.
  /^net\/node-internals\/messages\.ts response\._(?:storeHeader|finish)$/,
  /^net\/direct\/stream-internals\.ts (?:listening\.onconnection|server\.emit)$/,
  /^protocol\/shapes\/framework-errors\.ts mounted\.createContext$/,
  /^protocol\/shapes\/frameworks\.ts app\[name\]$/,
];

/** The properties to which code inside functions assigns a function expression. */
function assignedFunctions(code: string): string[] {
  const found: string[] = [];
  const visit = (node: unknown, isInFunction: boolean): void => {
    if (typeof node !== 'object' || node === null) return;
    const { type, left, right } = node as { type?: unknown; left?: unknown; right?: unknown };
    if (isInFunction && type === 'AssignmentExpression') {
      const [target, value] = [inner(left), inner(right)];
      if (target.type === 'MemberExpression' && /FunctionExpression$/.test(value.type)) {
        found.push(code.slice(target.start, target.end));
      }
    }
    const isFunction = typeof type === 'string' && type.includes('Function');
    for (const child of Object.values(node)) visit(child, isInFunction || isFunction);
  };
  visit(parseAst(code, { lang: 'ts' }), false);
  return found;
}

interface Expression {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly expression?: unknown;
}

/** The expression without parentheses and types around it. */
function inner(node: unknown): Expression {
  const expression = node as Expression;
  return /^(?:Parenthesized|TS)/.test(expression.type) ? inner(expression.expression) : expression;
}

test('a function that belongs to a request is named before it is assigned to a property', () => {
  const SRC = join(ROOT, 'src');
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  const assigned = files.flatMap((file) =>
    assignedFunctions(readFileSync(join(SRC, file), 'utf8')).map((target) => `${file} ${target}`),
  );
  // Name the function first: `const end = () => {}; res.end = end;`, or use `Object.assign(res, { end() {} })`.
  const exempt = [HOOKS, ...NOT_PER_REQUEST];
  expect(assigned.filter((each) => !exempt.some((pattern) => pattern.test(each)))).toEqual([]);
  expect(exempt.filter((pattern) => !assigned.some((each) => pattern.test(each)))).toEqual([]);
  expect(assignedFunctions('() => { a.b = (() => {}) as C; }')).toEqual(['a.b']);
});

const REQUESTS = 1000;

/** The number of bytes that each request leaves in the old generation until the next full collection. */
async function oldBytesPerRequest(app: App): Promise<number> {
  const server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const ask = async (): Promise<void> => {
    for (let request = 0; request < REQUESTS; request++) {
      client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      await once(client, 'data');
    }
  };
  await ask();
  collectGarbage();
  const before = oldBytes();
  await ask();
  const added = oldBytes() - before;
  client.destroy();
  server.close();
  return added / REQUESTS;
}

function oldBytes(): number {
  const space = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'old_space');
  if (space === undefined) throw new Error('V8 has no old_space');
  return space.space_used_size;
}

test('a request to a cascade can be collected as soon as it has ended', async () => {
  const missing: App = (_req, res) => {
    res.statusCode = 404;
    res.end();
  };
  const hello: App = (_req, res) => void res.end('hello');
  // Node's own structures take up to 300 bytes. With the whole request it is 3000.
  expect(await oldBytesPerRequest(await cascade([missing, hello]))).toBeLessThan(1000);
});
