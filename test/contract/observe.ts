/** The result of a case on a server: what the application saw, and what its client received. */
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Backend, ContractResponse } from './backends/backend.ts';
import type { Case, Client } from './cases/case.ts';

export interface Observation {
  readonly seen: readonly unknown[];
  readonly answer: Omit<ContractResponse, 'body'> & { readonly body: string };
}

/** Longer bodies are compared by their digests. */
const SHOWN = 500;

/** Events of the request and response may be this much later than the end of the response. */
const SETTLE_MS = 500;

/** Runs a case on its own server. */
export async function observe(backend: Backend, { app, request = {} }: Case): Promise<Observation> {
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
