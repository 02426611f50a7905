/** Node's own HTTP server: the reference for the others. */
import { Agent, createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { callApp } from '../../../src/http/error-response.ts';
import { lineLogger } from '../../../src/log.ts';
import type { App } from '../../../src/protocol/types.ts';
import {
  type Backend,
  type ContractRequest,
  type ContractResponse,
  oneByOne,
  sendBody,
  withoutConnectionHeaders,
} from './backend.ts';

export const httpBackend: Backend = {
  name: 'node:http',
  keepsCase: true,
  keepsConnections: true,
  async start(app: App) {
    const log: string[] = [];
    const logger = lineLogger('debug', (line) => log.push(line));
    const server = createServer((req, res) => callApp(app, req, res, logger));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    return {
      log,
      request: (request = {}) => ask(port, request),
      async inTurn(requests) {
        const agent = new Agent({ keepAlive: true, maxSockets: 1 });
        const answers = await oneByOne(requests, (request) => ask(port, request, agent));
        agent.destroy();
        return answers;
      },
      async close() {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      },
    };
  },
};

function ask(port: number, request: ContractRequest, agent: Agent | false = false): Promise<ContractResponse> {
  const { method = 'GET', path = '/', headers = {}, body, declaredLength, abort, readAfter } = request;
  return new Promise((resolve) => {
    const sent = body?.reduce((sum, piece) => sum + Buffer.byteLength(piece), 0);
    const length = declaredLength ?? sent;
    const client = httpRequest({
      host: '127.0.0.1',
      port,
      method,
      path,
      agent,
      headers: { ...(length === undefined ? {} : { 'Content-Length': length }), ...headers } as Record<string, string>,
    });
    client.on('error', () => resolve({ status: 0, rawHeaders: [], body: Buffer.alloc(0), complete: false }));
    client.on('response', async (response) => {
      response.on('error', () => {});
      await readAfter;
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('close', () =>
        resolve({
          status: response.statusCode ?? 0,
          rawHeaders: withoutConnectionHeaders(response.rawHeaders),
          body: Buffer.concat(parts),
          complete: response.complete,
        }),
      );
    });
    abort?.then(() => client.destroy());
    if (body !== undefined && body.length > 0) client.flushHeaders();
    void sendBody(client, body ?? [], length === undefined || length === sent, () => client.destroy());
  });
}
