/**
 * What node:http does, the others must do: each case runs on node:http first, and what the application saw there, and what
 * its client got, is what it has to see and to get elsewhere. Behaviours that differ on purpose are in contract.test.ts.
 */
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { Backend, ContractResponse } from './backend.ts';
import type { Case, Client } from './cases/case.ts';
import { HEAD_CASES } from './cases/head.ts';
import { REQUEST_CASES } from './cases/request.ts';
import { WRITING_CASES } from './cases/writing.ts';
import { cgiBackend } from './cgi-backend.ts';
import { fastcgiBackend } from './fastcgi-backend.ts';
import { httpBackend } from './http-backend.ts';
import { scgiBackend } from './scgi-backend.ts';

interface Observation {
  readonly seen: readonly unknown[];
  readonly answer: Omit<ContractResponse, 'body'> & { readonly body: string };
}

/** Longer bodies are compared by their digests. */
const SHOWN = 500;

/** Events of the two may come this much later than the answer. */
const SETTLE_MS = 500;

async function observe(backend: Backend, { app, request = {} }: Case): Promise<Observation> {
  const seen: unknown[] = [];
  let leave = (): void => {};
  const left = new Promise<void>((resolve) => {
    leave = resolve;
  });
  const client: Client = { left, leave: () => leave() };
  let settled: Promise<unknown> = Promise.resolve();
  const handler = app((...what) => seen.push(what), client);
  const serving = await backend.start((req, res) => {
    settled = Promise.all([closed(req), closed(res)]);
    return handler(req, res);
  });
  const answer = await serving.request(typeof request === 'function' ? request(client) : request);
  await Promise.race([settled, sleep(SETTLE_MS)]);
  await nextTurn();
  await nextTurn();
  await serving.close();
  const body =
    answer.body.length <= SHOWN
      ? answer.body.toString('latin1')
      : createHash('sha256').update(answer.body).digest('hex');
  return { seen, answer: { ...answer, body, rawHeaders: lowerNames(answer.rawHeaders) } };
}

function closed(emitter: IncomingMessage | ServerResponse): Promise<void> {
  return new Promise((resolve) => emitter.once('close', () => resolve()));
}

/** Node's client and the FastCGI client agree on names only without their case. */
function lowerNames(rawHeaders: readonly string[]): string[] {
  return rawHeaders.map((each, i) => (i % 2 === 0 ? each.toLowerCase() : each));
}

const onNode = new Map<Case, Promise<Observation>>();

function nodes(each: Case): Promise<Observation> {
  const known = onNode.get(each) ?? observe(httpBackend, each);
  onNode.set(each, known);
  return known;
}

describe.each([httpBackend, fastcgiBackend, scgiBackend, cgiBackend])('$name', (backend) => {
  describe.each([
    ['the request', REQUEST_CASES],
    ['the head of the response', HEAD_CASES],
    ['writing and breaking off', WRITING_CASES],
  ])('%s', (_what, cases) => {
    test.each(cases)('$name', async (each) => {
      const { seen, answer } = await observe(backend, each);
      const expected = await nodes(each);
      // Without a connection to keep, an answer without a length ends with its connection: broken looks like whole.
      const complete = backend.keepsConnections ? answer.complete : expected.answer.complete;
      expect({ seen, answer: { ...answer, complete } }).toEqual(expected);
      expect(expected.seen.length + expected.answer.status).toBeGreaterThan(0);
    });
  });
});
