/** Behaviours that are tested once for every server that runs an application: shared by the test files of this folder. */
import { type IncomingMessage, IncomingMessage as NodeRequest, ServerResponse } from 'node:http';
import { afterEach, describe } from 'vitest';
import type { App } from '../../src/protocol/types.ts';
import type { Backend, ContractRequest, ContractResponse, Serving } from './backends/backend.ts';
import { cgiBackend } from './backends/cgi-backend.ts';
import { fastcgiBackend } from './backends/fastcgi-backend.ts';
import { httpBackend } from './backends/http-backend.ts';
import { http2Backend } from './backends/http2-backend.ts';
import { scgiBackend } from './backends/scgi-backend.ts';

export interface Contract {
  readonly backend: Backend;
  /** Serves an application until the test ends. */
  start(app: App): Promise<Serving>;
  /** The response to one request. */
  ask(app: App, request?: ContractRequest): Promise<ContractResponse>;
  /** What the application saw, as JSON. */
  seen(look: (req: IncomingMessage) => unknown, request?: ContractRequest): Promise<unknown>;
  /** What the server has logged. */
  log(): string;
}

/** Declares the same tests for each server; node:http is first. */
export function describeBackends(define: (contract: Contract) => void): void {
  describe.each([
    httpBackend,
    http2Backend,
    likeExpress(http2Backend),
    fastcgiBackend,
    likeExpress(fastcgiBackend),
    scgiBackend,
    cgiBackend,
  ])('$name', (backend) => {
    let serving: Serving | undefined;
    afterEach(async () => {
      await serving?.close();
      serving = undefined;
    });

    const start = async (app: App): Promise<Serving> => {
      serving = await backend.start(app);
      return serving;
    };
    const ask = async (app: App, request?: ContractRequest): Promise<ContractResponse> =>
      (await start(app)).request(request);

    define({
      backend,
      start,
      ask,
      async seen(look, request) {
        const answer = await ask((req, res) => res.end(JSON.stringify(look(req))), request);
        return JSON.parse(answer.body.toString());
      },
      log: () => serving?.log.join('\n') ?? '',
    });
  });
}

/** Express gives every request and response its own prototype, so paster's code must not depend on its own prototype. */
function likeExpress(backend: Backend): Backend {
  return {
    ...backend,
    name: `${backend.name}, with the prototypes replaced as Express does`,
    start: (app) =>
      backend.start((req, res) => {
        Object.setPrototypeOf(req, Object.create(NodeRequest.prototype));
        Object.setPrototypeOf(res, Object.create(ServerResponse.prototype));
        return app(req, res);
      }),
  };
}

export async function readBody(req: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of req) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}

export function headerOf(response: ContractResponse, name: string): string | undefined {
  const index = response.rawHeaders.findIndex((each, i) => i % 2 === 0 && each.toLowerCase() === name);
  return index === -1 ? undefined : response.rawHeaders[index + 1];
}
